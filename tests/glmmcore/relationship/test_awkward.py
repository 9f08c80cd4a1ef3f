"""Awkward relationships: the right number or a sentence."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from glmmcore import DataWarning, ModelError, glmm
from glmmcore.relationship import (
    covariance,
    from_adjacency,
    from_pedigree,
    from_tree,
    precision,
    random_walk,
)

EYE, AB = np.eye(2), ["a", "b"]
MARKERS = np.random.default_rng(0).normal(size=(300, 5))
TRIANGLE = [[1, 1, 0], [1, 1, 0.9], [0, 0.9, 1]]  # no covariance: a eigenvalue is negative


def ped(*rows):
    return pd.DataFrame(rows, columns=["id", "sire", "dam"])


REFUSED = [
    (lambda: covariance(EYE), "give labels="),
    (lambda: covariance(EYE, "ab"), "give labels="),
    (lambda: covariance(EYE, ["a"]), "1 labels for 2 rows"),
    (lambda: covariance(EYE, ["a", "a"]), "labels occur twice: 'a'"),
    (lambda: covariance(EYE, ["1", 1]), "labels occur twice"),
    (lambda: covariance(EYE, ["a", None]), "position 1 is missing"),
    (lambda: covariance(np.ones((2, 3)), AB), "must be square"),
    (lambda: covariance(np.ones(2), AB), "must be square"),
    (lambda: covariance(np.ones((2, 2, 2)), AB), "must be square"),
    (lambda: covariance(np.zeros((0, 0)), []), "must be square"),
    (lambda: covariance([[1, 2], [0, 1]], AB), "not symmetric, see 'b' and 'a'|not symmetric, see 'a' and 'b'"),
    (lambda: covariance([[1, np.nan], [np.nan, 1]], AB), "is not finite"),
    (lambda: covariance([[1, np.inf], [np.inf, 1]], AB), "is not finite"),
    (lambda: covariance([["1", "x"], ["x", "1"]], AB), "real numbers"),
    (lambda: covariance([[1j, 0], [0, 1]], AB), "real numbers"),
    (lambda: covariance([[-1, 0], [0, 1]], AB), "variance of 'a' is negative"),
    (lambda: covariance([[0, 1], [1, 1]], AB), "larger than their variances allow"),
    (lambda: covariance([[1, 2], [2, 1]], AB), "larger than their variances allow"),
    (lambda: covariance([[0, 0], [0, 0]], AB), "all variances are zero"),
    (lambda: covariance(TRIANGLE, list("abc")), "correlation of one and different rows"),
    (lambda: covariance(np.minimum(TRIANGLE, 0.9) + 0.1 * np.eye(3), list("abc")), "negative eigenvalue"),
    (lambda: covariance(np.ones((500, 3)) @ np.ones((3, 500)) + np.diag(np.arange(500) < 250), range(500)), None),
    (lambda: covariance(MARKERS @ MARKERS.T, range(300)), "have rank 5"),
    (lambda: covariance(pd.DataFrame(EYE, index=AB, columns=AB), AB), "has its own labels"),
    (lambda: covariance(pd.DataFrame(EYE, index=AB, columns=["a", "c"])), "different labels"),
    (lambda: covariance(pd.DataFrame(EYE, columns=AB)), "different labels"),
    (lambda: covariance(pd.DataFrame(EYE, index=AB, columns=["a", "a"])), "different labels"),
    (lambda: precision([[1, -1], [-1, 1]], AB), "not positive definite"),
    (lambda: precision([[1, 2], [2, 1]], AB), "not positive definite"),
    (lambda: precision([[0, 0], [0, 1]], AB), "not positive definite"),
    (lambda: precision([[1, 1], [0, 1]], AB), "not symmetric"),
    (lambda: from_tree(3), "not int"),
    (lambda: from_tree("no/such/file"), "neither a tree"),
    (lambda: from_tree(""), "neither a tree"),
    (lambda: from_tree("();"), "fewer than two tips|no name"),
    (lambda: from_tree("a:1;"), "fewer than two tips"),
    (lambda: from_tree("(a:1);"), "fewer than two tips"),
    (lambda: from_tree("(a:1,b:1"), "before all brackets are closed"),
    (lambda: from_tree("(a:1,b:1));"), "a bracket too many"),
    (lambda: from_tree("(a:1,b:1); (c:1,d:1);"), "second tree"),
    (lambda: from_tree("(a:1,b:x);"), "no number"),
    (lambda: from_tree("(a,b);"), "2 of 2 branches have no length"),
    (lambda: from_tree("(a:1,(b:1,c:1));"), "1 of 4 branches have no length"),
    (lambda: from_tree("(a:1,b:-1);"), "branch of 'b' has a negative length"),
    (lambda: from_tree("(a:1,b:nan);"), "no length"),
    (lambda: from_tree("(a:1,b:inf);"), "no length"),
    (lambda: from_tree("(a:1,:1);"), "1 of 2 tips have no name"),
    (lambda: from_tree("(a:1,a:1);"), "labels occur twice: 'a'"),
    (lambda: from_tree("(a:0,b:0);"), "all branches have length zero"),
    (lambda: from_tree("(a:1,b:2);", unit_height=True), "no one height"),
    (lambda: from_pedigree(ped(["a", None, None], ["a", None, None])), "more than one row: 'a'"),
    (lambda: from_pedigree(ped(["a", "a", None])), "descend from themselves: 'a'"),
    (lambda: from_pedigree(ped(["a", "b", None], ["b", "a", None])), "descend from themselves: 'a', 'b'|'b', 'a'"),
    (lambda: from_pedigree(ped(["a", "c", None], ["b", "a", None], ["c", "b", None], ["d", "c", "a"])), "themselves"),
    (lambda: from_pedigree(ped([None, "a", "b"])), "column 'id' is missing in row 0"),
    (lambda: from_pedigree(ped()), "no rows"),
    (lambda: from_pedigree(ped(["a", None, None]), sire="father"), "no column 'father'"),
    (lambda: from_pedigree(ped(["a", None, None]), sire="dam"), "three columns"),
    (lambda: from_adjacency(np.zeros((3, 3)), list("abc")), "no two areas"),
    (lambda: from_adjacency([[0, -1], [-1, 0]], AB), "not be negative"),
    (lambda: from_adjacency([[0, 1], [0, 0]], AB), "not symmetric"),
    (lambda: from_adjacency(np.kron(np.eye(300), [[0, 1], [1, 0]]), range(600)), "300 parts"),
    (lambda: random_walk(3, range(9)), "must be 1 or 2"),
    (lambda: random_walk(1, range(2)), "at least 3 levels"),
    (lambda: random_walk(2, range(3)), "at least 4 levels"),
    (lambda: random_walk(1, [1, 3, 2, 4]), "must ascend"),
    (lambda: random_walk(1, [1, 1, 2, 4]), "occur twice"),
    (lambda: random_walk(2, [1, 2, 4, 5]), "equal steps"),
    (lambda: random_walk(1, [1, 2, np.nan, 5]), "position 2 is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), REFUSED)
def test_a_sentence(make, words):
    if words is None:
        assert make().variances.min() > 0.0
        return
    with pytest.raises(ModelError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def data(labels, n=60, seed=1):
    rng = np.random.default_rng(seed)
    s = rng.integers(0, len(labels), n)
    effect = rng.normal(size=len(labels))
    columns = {"s": np.array(labels, dtype=object)[s], "y": effect[s] + rng.normal(size=n), "x": rng.normal(size=n)}
    return pd.DataFrame(columns)


def dense_loglik(fit, matrix):
    codes = fit.design.predictors["cond"].terms[0].codes
    square = fit.solution.terms[0].covariance[0, 0]
    v = square * matrix[np.ix_(codes, codes)] + fit.sigma**2 * np.eye(fit.nobs)
    mean = fit.design.predictors["cond"].X @ fit.params
    return stats.multivariate_normal(mean, v).logpdf(fit.observed)


def right(r, matrix, labels):
    """The relationship is the matrix, and so is the likelihood of a fit with it."""
    np.testing.assert_allclose(r.matrix(labels), matrix, atol=1e-8 * np.max(matrix))
    fit = glmm("y ~ x + (1|s)", data(labels), known={"s": r})
    order = r.positions(labels)
    full = np.zeros((len(r.labels),) * 2)
    full[np.ix_(order, order)] = matrix
    assert fit.llf == pytest.approx(dense_loglik(fit, full), abs=1e-6)
    assert np.isfinite(fit.bse).all()


def test_duplicates_and_labels_without_variance():
    """Rows that are equal share an effect; the covariance matrix may be singular by them."""
    a = np.random.default_rng(0).normal(size=(4, 8))
    r = a @ a.T / 8
    index = [0, 1, 1, 2, 3, 0]
    matrix = r[np.ix_(index, index)]
    right(covariance(matrix, list("abcdef")), matrix, list("abcdef"))
    matrix[5], matrix[:, 5] = 0.0, 0.0
    right(covariance(matrix, list("abcdef")), matrix, list("abcdef"))


def test_singular_matrices():
    """A genomic relationship: centred columns, so that its rows add up to zero."""
    rng = np.random.default_rng(2)
    markers = rng.binomial(2, 0.4, size=(12, 30)).astype(float)
    centred = markers - markers.mean(axis=0)
    matrix = centred @ centred.T / 30
    right(covariance(matrix, list("abcdefghijkl")), matrix, list("abcdefghijkl"))
    few = centred[:, :5] @ centred[:, :5].T / 5
    right(covariance(few, list("abcdefghijkl")), few, list("abcdefghijkl"))
    scales = np.geomspace(1e-3, 1e3, 12)
    few = few * np.outer(scales, scales)
    right(covariance(few, list("abcdefghijkl")), few, list("abcdefghijkl"))


@pytest.mark.parametrize("gap", [0.0, 1e-14, 1e-10, 1e-8, 1e-6])
def test_nearly_singular_matrices(gap):
    matrix = np.array([[1.0, 1.0 - gap, 0.3, 0], [1.0 - gap, 1.0, 0.3, 0], [0.3, 0.3, 2.0, 0.5], [0, 0, 0.5, 1.0]])
    right(covariance(matrix, list("abcd")), matrix, list("abcd"))


def test_blocks_sparse_and_diagonal():
    from scipy.linalg import block_diag

    blocks = block_diag([[1, 0.5], [0.5, 1]], [[2.0]], [[1, 0.2, 0], [0.2, 1, 0.1], [0, 0.1, 1]])
    right(covariance(sparse.csr_matrix(blocks), list("abcdef")), blocks, list("abcdef"))
    r = covariance(blocks, list("abcdef"))
    assert len(r.precision.value) < 21
    diagonal = np.diag([1e-6, 1.0, 4.0, 1e6])
    right(covariance(diagonal, list("abcd")), diagonal, list("abcd"))
    assert len(covariance(diagonal, list("abcd")).precision.value) == 4
    right(precision(sparse.coo_matrix(np.linalg.inv(blocks)), list("abcdef")), blocks, list("abcdef"))


@pytest.mark.parametrize(
    "labels", [[1, 2, 3], ["1", "2", "3"], [1.0, 2.0, 3.0], pd.CategoricalIndex([3, 1, 2]), ["a b", "c|d", "é"]]
)
def test_labels_of_any_type_are_compared_as_text(labels):
    matrix = np.array([[1, 0.5, 0], [0.5, 1, 0.2], [0, 0.2, 1]])
    frame = pd.DataFrame(matrix, index=labels, columns=labels)
    own = list(labels)
    for kind in (lambda v: v, lambda v: str(v).removesuffix(".0"), lambda v: v if isinstance(v, str) else float(v)):
        d = data([kind(v) for v in own])
        fit = glmm("y ~ 1 + (1|s)", d, known={"s": frame.iloc[::-1, [1, 0, 2]]})
        assert fit.llf == pytest.approx(glmm("y ~ 1 + (1|s)", data(own), known={"s": frame}).llf, abs=1e-9)
        assert fit.predict(d.head(3)).notna().all()


@pytest.mark.parametrize(
    ("text", "matrix"),
    [
        ("(a:1,b:2,c:3);", np.diag([1.0, 2, 3])),  # polytomy at the root
        ("((a:1,b:2,c:3):4,d:1);", [[5, 4, 4, 0], [4, 6, 4, 0], [4, 4, 7, 0], [0, 0, 0, 1]]),
        ("((a:0,b:1):1,c:2);", [[1, 1, 0], [1, 2, 0], [0, 0, 2]]),  # a is the inner node
        ("((a:0,b:0):1,c:2);", [[1, 1, 0], [1, 1, 0], [0, 0, 2]]),  # one effect
        ("((a:1,b:1):0,c:2);", np.diag([1.0, 1, 2])),
        ("(a:0,b:1,c:2);", np.diag([0.0, 1, 2])),  # a is the root: no effect
        ("(((a:1):1,b:1):1,c:2):7;", [[3, 1, 0], [1, 2, 0], [0, 0, 2]]),  # a node with one child; the root's branch
        ("((a:1e-12,b:1):1,c:2);", [[1, 1, 0], [1, 2, 0], [0, 0, 2]]),
        ("((a:1e3,b:1):1e-3,c:2);", [[1000.001, 0.001, 0], [0.001, 1.001, 0], [0, 0, 2]]),
        ("( 'a':1[x],\n b : [&rate=2] 1,c:1.5e0 )root[y];", np.diag([1.0, 1, 1.5])),
        ("(('a''b':1,'c d':1)0.98:1,e_f:2)100;", [[2, 1, 0], [1, 2, 0], [0, 0, 2]]),
    ],
)
def test_trees(text, matrix):
    matrix = np.array(matrix, dtype=float)
    r = from_tree(text)
    np.testing.assert_allclose(r.matrix(), matrix, atol=1e-9 * matrix.max())
    np.testing.assert_allclose(r.variances, np.diag(matrix), atol=1e-9 * matrix.max())
    own = np.diag(matrix)
    np.testing.assert_allclose(r.distances(), own[:, None] + own - 2 * matrix, atol=1e-8 * matrix.max())
    fit = glmm("y ~ x + (1|s)", data(list(r.labels)), known={"s": r})
    assert fit.llf == pytest.approx(dense_loglik(fit, matrix), abs=1e-6)


def test_tree_files_and_objects(tmp_path):
    text = "((a:1,b:2):1,c:3);"
    Path(tmp_path / "t.nwk").write_text(text + "\n")
    expected = from_tree(text).matrix()

    def node(name, length, *children):
        return SimpleNamespace(name=name, length=length, children=list(children))

    root = node(None, None, node(None, 1.0, node("a", 1.0), node("b", 2.0)), node("c", 3.0))
    for given in (tmp_path / "t.nwk", str(tmp_path / "t.nwk"), root):
        pd.testing.assert_frame_equal(from_tree(given).matrix(), expected)


def test_a_comb_of_many_tips_is_not_too_deep():
    n = 3000
    text = "(" * (n - 1) + "t0:1" + "".join(f",t{i}:{i}):1" for i in range(1, n)) + ";"
    r = from_tree(text)
    assert len(r.labels) == n and r.variances.max() > n - 2
    fit = glmm("y ~ x + (1|s)", data([f"t{i}" for i in range(n)], 400), known={"s": r})
    assert np.isfinite(fit.llf)


def tabular(rows):
    """Additive relationships by the tabular method, parents before offspring."""
    names = [row[0] for row in rows]
    a = np.zeros((len(rows), len(rows)))
    for i, (_, s, t) in enumerate(rows):
        parents = [names.index(p) for p in (s, t) if p is not None]
        for j in range(i):
            a[i, j] = a[j, i] = 0.5 * sum(a[j, p] for p in parents)
        a[i, i] = 1.0 + (0.5 * a[parents[0], parents[1]] if len(parents) == 2 else 0.0)
    return a


@pytest.mark.parametrize("seed", range(4))
def test_pedigrees_with_inbreeding(seed):
    rng = np.random.default_rng(seed)
    rows = [[f"f{i}", None, None] for i in range(3)]
    for i in range(25):
        parents = [rows[rng.integers(0, len(rows))][0] if rng.random() > 0.15 else None for _ in range(2)]
        rows.append([f"p{i}", *parents])
    expected = tabular(rows)
    shuffled = [rows[i] for i in rng.permutation(len(rows))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # both sire and dam
        r = from_pedigree(ped(*shuffled))
    np.testing.assert_allclose(r.matrix([row[0] for row in rows]), expected, atol=1e-10)
    assert expected.diagonal().max() > 1.2


def test_codes_of_unknown_parents():
    expected = from_pedigree(ped(["1", None, None], ["2", None, None], ["3", "1", "2"])).matrix()
    for unknown in (0, "0", "", ".", np.nan, "NA", None):
        table = ped([1, unknown, unknown], [2, unknown, unknown], [3, 1, 2])
        np.testing.assert_allclose(from_pedigree(table).matrix([1, 2, 3]), expected)
    zero = from_pedigree(ped([0, None, None], [1, 0, None]))  # an animal of this name
    np.testing.assert_allclose(zero.matrix(), [[1, 0.5], [0.5, 1]])


def test_warnings_of_pedigrees():
    with pytest.warns(DataWarning, match="2 parents have no row of their own .* 'x', 'y'"):
        r = from_pedigree(ped(["a", "x", "y"], ["b", "x", None]))
    np.testing.assert_allclose(r.matrix(["a", "b"]), [[1, 0.25], [0.25, 1]])
    with pytest.warns(DataWarning, match="both sire and dam, as plants may be: 'a'"):
        r = from_pedigree(ped(["a", None, None], ["b", "a", "a"]))  # selfed
    np.testing.assert_allclose(r.matrix(), [[1, 1], [1, 1.5]])


def test_maps():
    chain = np.diag(np.ones(4), 1) + np.diag(np.ones(4), -1)
    whole = np.linalg.pinv(np.diag(chain.sum(axis=0)) - chain)
    right(from_adjacency(chain, list("abcde")), whole, list("abcde"))
    right(from_adjacency(chain + 3 * np.eye(5), list("abcde")), whole, list("abcde"))  # the diagonal is not used
    two = np.zeros((7, 7))
    two[:5, :5] = chain
    two[5, 6] = two[6, 5] = 2.0
    right(from_adjacency(two, list("abcdefg")), np.linalg.pinv(np.diag(two.sum(axis=0)) - two), list("abcdefg"))
    island = np.zeros((6, 6))
    island[:5, :5] = chain
    with pytest.warns(DataWarning, match="1 areas have no neighbours and the effect zero: 'f'"):
        r = from_adjacency(island, list("abcdef"))
    expected = np.zeros((6, 6))
    expected[:5, :5] = whole
    right(r, expected, list("abcdef"))
    scaled = from_adjacency(chain, list("abcde"), unit_variance=True)
    assert np.mean(np.log(scaled.variances)) == pytest.approx(0.0, abs=1e-12)


def test_objects_with_a_sparse_matrix():
    chain = sparse.csr_matrix(np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1))
    expected = from_adjacency(chain, [10, 20, 30, 40]).matrix()
    for name in ("id_order", "unique_ids"):
        pd.testing.assert_frame_equal(
            from_adjacency(SimpleNamespace(sparse=chain, **{name: [10, 20, 30, 40]})).matrix(), expected
        )


def test_random_walks():
    first = np.diff(np.eye(6), axis=0)
    right(random_walk(1, list("abcdef")), np.linalg.pinv(first.T @ first), list("abcdef"))
    gaps = np.diff([1, 2, 4, 5, 9, 10.5])
    own = np.linalg.pinv(first.T @ np.diag(1 / gaps) @ first)
    np.testing.assert_allclose(random_walk(1, [1, 2, 4, 5, 9, 10.5]).matrix(), own, atol=1e-10)
    second = np.diff(np.eye(6), 2, axis=0)
    right(random_walk(2, list("abcdef")), np.linalg.pinv(second.T @ second), list("abcdef"))
    assert random_walk(1, pd.date_range("2020", periods=5)).labels[0] == pd.Timestamp("2020")


def test_long_random_walk_is_banded():
    n = 20_000
    rng = np.random.default_rng(0)
    d = pd.DataFrame({"t": np.arange(n), "y": np.cumsum(0.1 * rng.normal(size=n)) + rng.normal(size=n)})
    fit = glmm("y ~ 1 + (1|t)", d, known={"t": random_walk(1, range(n))})
    assert fit.var_corr["sd"][0] == pytest.approx(0.1, rel=0.1)
    assert fit.sigma == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"known": {"s": np.eye(2)}}, "not ndarray"),
        ({"known": {"s": "tree.nwk"}}, "not str"),
        ({"known": [("s", 1)]}, "takes a dict"),
        ({"known": {"x": covariance(EYE, AB)}}, "no random effects by 'x'; its grouping factors are 's'"),
        ({"known": {"s": covariance(EYE, ["a", "z"])}}, "lacks 1 of the 2 levels in the data: 'b'"),
        ({"known": {"s": covariance(np.diag([0.0, 0, 1]), ["a", "b", "c"])}}, "variance of zero"),
    ],
)
def test_sentences_of_the_fit(options, words):
    with pytest.raises(ModelError, match=words):
        glmm("y ~ x + (1|s)", data(AB), **options)


def test_one_label_or_few_rows():
    r = covariance(EYE, AB)
    with pytest.raises(ModelError, match="only one level"):
        glmm("y ~ x + (1|s)", data(["a"]), known={"s": r})
    fit = glmm("y ~ (1|s)", data(AB, 5), known={"s": r})
    assert np.isfinite(fit.llf)


def test_groups_of_combinations():
    d = data(AB).assign(t=lambda t: np.where(t["x"] > 0, "u", "v"))
    names = ["a:u", "a:v", "b:u", "b:v"]
    matrix = np.array([[1, 0.5, 0, 0], [0.5, 1, 0, 0], [0, 0, 1, 0.5], [0, 0, 0.5, 1]])
    fit = glmm("y ~ x + (1|s:t)", d, known={"s:t": pd.DataFrame(matrix, index=names, columns=names)})
    assert fit.llf == pytest.approx(dense_loglik(fit, matrix), abs=1e-7)
    assert fit.predict(d.head(5)).notna().all()


def test_structures_and_zero_inflation_take_relationships():
    rng = np.random.default_rng(6)
    labels = [f"s{i}" for i in range(8)]
    d = data(labels, 200).assign(f=lambda t: np.where(t["x"] > 0, "u", "v"), n=rng.poisson(2.0, 200))
    r = from_tree("(((s0:1,s1:1):1,(s2:1,s3:1):1):1,((s4:1,s5:1):1,(s6:1,s7:1):1):1);")
    for formula in ("n ~ x + cs(0 + f | s)", "n ~ x + diag(x | s)", "n ~ (x || s)", "n ~ homdiag(0 + f | s)"):
        one = glmm(formula, d, family="poisson", known={"s": r})
        two = glmm(formula, d, family="poisson", known={"s": r.matrix()})
        assert one.llf == pytest.approx(two.llf, abs=1e-7)
        assert one.random_effects["s"].shape[0] == 8
    one = glmm("n ~ x", d, family="nbinom2", zi="~ (1|s)", known={"s": r})
    two = glmm("n ~ x", d, family="nbinom2", zi="~ (1|s)", known={"s": r.matrix()})
    assert one.llf == pytest.approx(two.llf, abs=1e-6)
