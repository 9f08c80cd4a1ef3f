"""Random formulas against design matrices built from first principles, and against themselves written otherwise."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from glmmcore import glmm
from glmmcore.design import Design
from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.linear import LinearObjective
from glmmcore.families import get_family
from glmmcore.formula import build_design
from glmmcore.formula.bars import parse_formula
from glmmcore.formula.parsed import ParsedFormula
from glmmcore.formula.syntax import show

from .budget import examples

N = 72


def make_data(seed: int = 0) -> pd.DataFrame:
    """Every combination of the factors several times, so that nothing is aliased by chance."""
    rng = np.random.default_rng(seed)
    cells = np.array(list(product("uvw", "kl", "pqr")))
    cells = np.tile(cells, (N // len(cells), 1))[rng.permutation(N)]
    return pd.DataFrame(
        {
            "y": rng.normal(size=N),
            "x": rng.normal(size=N),
            "z": rng.uniform(1, 3, N),
            "n.o": rng.uniform(1, 2, N),
            "my x": rng.normal(size=N),
            "f": cells[:, 0],
            "h": cells[:, 1],
            "a": cells[:, 2],
            "b": rng.integers(0, 3, N),
            "g": rng.integers(10, 16, N),
        },
        index=rng.permutation(1000)[:N],
    )


DATA = make_data()
NUMERIC = {
    "x": DATA["x"],
    "z": DATA["z"],
    "n.o": DATA["n.o"],
    "`my x`": DATA["my x"],
    "I(x**2)": DATA["x"] ** 2,
    "I(x + z)": DATA["x"] + DATA["z"],
    "log(z)": np.log(DATA["z"]),
    "np.exp(-z)": np.exp(-DATA["z"]),
    "{z - x}": DATA["z"] - DATA["x"],
}
CATEGORIES = {**{name: DATA[name] for name in "fha"}, "I(x > 0)": DATA["x"] > 0}
FACTORS = list(CATEGORIES)
GROUPS = ["g", "b", "a", "f", "g:b", "b:f", "g/b", "a/f", "f/h/b"]


@dataclass(frozen=True)
class Term:
    """Atoms joined by ``:``."""

    atoms: tuple[str, ...]

    @property
    def text(self) -> str:
        return ":".join(self.atoms)

    def tensor(self) -> np.ndarray:
        """Products of numbers with indicators of all levels, the over-complete columns of the term."""
        out = np.ones((N, 1))
        for atom in self.atoms:
            columns = (
                pd.get_dummies(CATEGORIES[atom]).to_numpy(float)
                if atom in FACTORS
                else np.asarray(NUMERIC[atom], dtype=float)[:, None]
            )
            out = (out[:, :, None] * columns[:, None, :]).reshape(N, -1)
        return out


@dataclass(frozen=True)
class Sum:
    """Terms with or without intercept, and one of the ways to write them."""

    terms: tuple[Term, ...]
    intercept: bool
    text: str

    def span(self) -> np.ndarray:
        blocks = [np.ones((N, 1 if self.intercept else 0))]
        return np.hstack([*blocks, *(term.tensor() for term in self.terms)])


ATOMS = st.sampled_from([*NUMERIC, *FACTORS, *FACTORS])


@st.composite
def sums(draw: st.DrawFn, most: int = 4, atoms: st.SearchStrategy[str] = ATOMS, *, empty: bool = True) -> Sum:
    pieces = draw(st.lists(st.lists(atoms, min_size=1, max_size=2, unique=True), min_size=0, max_size=most))
    terms: dict[frozenset[str], Term] = {}
    texts = []
    for piece in pieces:
        operator = draw(st.sampled_from([":", "*", " : ", " * "])) if len(piece) > 1 else ":"
        if "*" in operator:
            for atom in piece:
                terms.setdefault(frozenset([atom]), Term((atom,)))
        terms.setdefault(frozenset(piece), Term(tuple(piece)))
        text = operator.join(piece)
        texts.append(f"({text})" if draw(st.booleans()) else text)
    intercept = draw(st.sampled_from([True, True, False]))
    if not intercept and not terms and not empty:
        intercept = True
    plus = draw(st.sampled_from([" + ", "+", "  +\n "]))
    ends = ["", "1"] if intercept else ["0"]
    word = draw(st.sampled_from(ends))
    at = draw(st.integers(0, len(texts)))
    if word:
        texts.insert(at, word)
    text = plus.join(texts)
    if not intercept and texts[1:] and draw(st.booleans()) and word:
        texts.remove(word)
        text = plus.join(texts) + draw(st.sampled_from([" - 1", "-1"]))
    return Sum(tuple(terms.values()), intercept, text or "1")


def same_span(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the columns of two matrices span the same space."""
    ranks = [np.linalg.matrix_rank(m / np.linalg.norm(m, axis=0), tol=1e-9) if m.size else 0 for m in (a, b)]
    both = np.hstack([a, b])
    together = np.linalg.matrix_rank(both / np.linalg.norm(both, axis=0), tol=1e-9) if both.size else 0
    return ranks[0] == ranks[1] == together


def build(formula: str, **options) -> Design:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # aliased columns
        return build_design(formula, DATA, **options)


@examples(120)
@given(sums())
def test_fixed_part_spans_what_the_terms_mean(fixed: Sum) -> None:
    part = build(f"y ~ {fixed.text}").predictors["cond"]
    expected = fixed.span()
    keep = np.any(expected != 0, axis=0)
    assert part.X.shape == (N, len(part.columns))
    assert np.linalg.matrix_rank(part.X / np.maximum(np.linalg.norm(part.X, axis=0), 1e-300)) == part.X.shape[1]
    assert same_span(part.X, expected[:, keep])
    assert ("Intercept" in part.columns) == fixed.intercept
    for term in fixed.terms:
        if all(atom not in FACTORS for atom in term.atoms):
            found = [j for j in range(part.X.shape[1]) if np.allclose(part.X[:, j], term.tensor()[:, 0], rtol=1e-12)]
            assert found or part.aliased


@st.composite
def bars(draw: st.DrawFn) -> tuple[str, Sum, str, bool]:
    left = draw(sums(2, st.sampled_from([*list(NUMERIC)[:6], *FACTORS]), empty=False))
    group = draw(st.sampled_from(GROUPS))
    independent = draw(st.sampled_from([False, False, True]))
    return f"({left.text} {'||' if independent else '|'} {group})", left, group, independent


def cells(group: str) -> list[np.ndarray]:
    """For each factor that a group such as ``a/b`` stands for, the cell of every row."""
    names = group.replace("/", ":").split(":")
    ends = range(1, len(names) + 1) if "/" in group else [len(names)]
    return [DATA[names[:end]].astype(str).agg("\x00".join, axis=1).to_numpy() for end in ends]


@examples(120)
@given(bars())
def test_random_terms_against_indicator_matrices(bar: tuple[str, Sum, str, bool]) -> None:
    text, left, group, independent = bar
    terms = list(build(f"y ~ 1 + {text}").predictors["cond"].terms)
    expected = left.span()
    expected = expected[:, np.any(expected != 0, axis=0)]
    for wanted in cells(group):
        names = group.replace("/", ":").split(":")[: wanted[0].count("\x00") + 1]
        own = [t for t in terms if t.group == ":".join(names)]
        terms = [t for t in terms if t not in own]
        z = np.hstack([t.Z for t in own])
        assert same_span(z, expected)
        for t in own:
            assert t.codes.dtype == np.int32
            assert len(t.levels) == len(set(wanted)) == t.codes.max() + 1
            # same partition of the rows
            assert len({*zip(t.codes.tolist(), wanted.tolist(), strict=True)}) == len(set(wanted))
            assert all(str(t.levels[c]) == w.replace("\x00", ":") for c, w in zip(t.codes, wanted, strict=True))
            if independent and t.Z.shape[1] > 1:
                assert t.structure == "diag"
        if independent and all(a not in FACTORS for term in left.terms for a in term.atoms):
            assert all(t.Z.shape[1] == 1 for t in own)
        if not independent:
            assert len(own) == 1
    assert not terms


def render(parsed: ParsedFormula) -> str:
    """A parsed formula as text again."""
    response = show(parsed.response[0].node) if len(parsed.response) == 1 else None
    pieces = [parsed.fixed.text]
    for bar in parsed.bars:
        word = bar.structure if bar.structure != "us" else ""
        names = ":".join(f"`{name}`" for name in bar.group)
        pieces.append(f"{word}({bar.left.text} {'||' if bar.independent else '|'} {names})")
    pieces += [f"offset({show(offset.node)})" for offset in parsed.offsets]
    return f"{response} ~ {' + '.join(pieces)}"


def assert_same_design(one: Design, other: Design, rows: np.ndarray | slice = slice(None)) -> None:
    np.testing.assert_array_equal(one.response.y[rows], other.response.y)
    assert_same_predictors(one.predictors, other.predictors, rows)


def assert_same_predictors(one, other, rows=slice(None)) -> None:
    for name, part in one.items():
        twin = other[name]
        assert part.columns == twin.columns
        np.testing.assert_array_equal(part.X[rows], twin.X)
        np.testing.assert_array_equal(part.offset[rows], twin.offset)
        assert len(part.terms) == len(twin.terms)
        for t, s in zip(part.terms, twin.terms, strict=True):
            assert (t.group, t.columns, t.structure) == (s.group, s.columns, s.structure)
            assert list(t.levels) == list(s.levels)
            np.testing.assert_array_equal(t.Z[rows], s.Z)
            np.testing.assert_array_equal(t.codes[rows], s.codes)


@st.composite
def formulas(draw: st.DrawFn) -> str:
    response = draw(st.sampled_from(["y", "log(z)", "`my x`", "I(y + 1)", "np.sqrt(z)"]))
    left_out = {"y": "", "log(z)": "", "`my x`": "my x", "I(y + 1)": "", "np.sqrt(z)": ""}[response]
    atoms = st.sampled_from([a for a in [*NUMERIC, *FACTORS] if not left_out or left_out not in a])
    pieces = [draw(sums(3, atoms)).text]
    if left_out:
        chosen = [f"(1|{g})" for g in draw(st.lists(st.sampled_from(GROUPS), max_size=1))]
    else:
        chosen = [draw(bars())[0] for _ in range(draw(st.integers(0, 1)))]
    structure = draw(st.sampled_from(["", "", "cs(f|g)", "diag(x + z|g)", "us(x|g)", "homdiag(0 + f|g)"]))
    pieces += chosen
    if structure and not chosen:
        pieces.append(structure)
    pieces += draw(st.lists(st.sampled_from(["offset(z)", "offset(log(z) * 2)", "offset(`n.o`)"]), max_size=2))
    if "- 1" in pieces[0] or "-1" in pieces[0]:
        return f"{response} ~ {' + '.join(pieces)}"
    pieces = draw(st.permutations(pieces))
    return f"{response} ~ {' + '.join(pieces)}"


@examples(120)
@given(formulas(), st.integers(0, 2**32 - 1))
def test_printed_and_read_again_is_the_same_design(formula: str, seed: int) -> None:
    """Also: new data equal to some of the old give those rows."""
    printed = render(parse_formula(formula))
    design = build(formula)
    assert_same_design(design, build(printed))
    order = np.random.default_rng(seed).permutation(N)[: N // 2]
    predictors, keep = design.encode(DATA.iloc[order])
    assert keep.all()
    assert_same_predictors(design.predictors, predictors, order)


@examples(40)
@given(sums(2), st.lists(bars(), min_size=1, max_size=2, unique_by=lambda b: b[2]), st.booleans(), st.data())
def test_gaussian_likelihood_against_the_dense_marginal(fixed: Sum, chosen: list, reml: bool, data) -> None:
    """Profiled log-likelihood at a random covariance against N(X beta, sigma^2 (I + Z Sigma Z')) in dense form."""
    groups = [set(b[2].replace("/", ":").split(":")) for b in chosen]
    if len(groups) > 1 and groups[0] & groups[1]:
        chosen = chosen[:1]
    design = build(f"y ~ {fixed.text} + {' + '.join(b[0] for b in chosen)} + offset(z)")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    estimator = Estimator.build(design, get_family("gaussian"), reml=reml)
    problem = estimator.problem
    theta = np.zeros(problem.n_params)
    variance = np.eye(N)
    for part in problem.terms:
        theta[part.where] = rng.normal(size=part.structure.size) * 0.7
        root = part.back @ part.structure.factor(theta[part.where])
        indicator = np.eye(len(part.term.levels))[part.term.codes]
        z = part.term.Z @ root
        variance += (indicator @ indicator.T) * (z @ z.T)
    X, y = design.predictors["cond"].X, design.response.y - DATA["z"].to_numpy()
    p = X.shape[1] if reml else 0
    inverse = np.linalg.inv(variance)
    information = X.T @ inverse @ X
    beta = np.linalg.solve(information, X.T @ inverse @ y)
    square = float((y - X @ beta) @ inverse @ (y - X @ beta))
    m = N - p
    expected = 0.5 * (np.linalg.slogdet(variance)[1] + m * (1 + np.log(2 * np.pi * square / m)))
    if reml:
        expected += 0.5 * np.linalg.slogdet(information)[1]
    value, _ = LinearObjective(problem, None)(theta)
    # condition numbers of variance and information up to 1e6 in the dense reference
    np.testing.assert_allclose(value, expected, rtol=1e-8, atol=1e-7)


@examples(10)
@given(st.permutations(["x", "f", "h", "x:f"]), st.permutations(["(1|g)", "(0 + x|b)"]))
def test_order_of_terms_does_not_change_the_fit(terms: list[str], chosen: list[str]) -> None:
    fit = glmm(f"y ~ {' + '.join([*terms, *chosen])}", DATA)
    np.testing.assert_allclose(fit.llf, LLF, rtol=1e-8)
    np.testing.assert_allclose(fit.fitted, FITTED, atol=1e-4)


_REFERENCE = glmm("y ~ x*f + h + (1|g) + (0 + x|b)", DATA)
LLF, FITTED = _REFERENCE.llf, _REFERENCE.fitted
