"""Parameters that are given instead of estimated, or where to start: names of the user, values of the optimiser."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize

from glmmcore.covariance import Field
from glmmcore.design import Design, coefficient_names
from glmmcore.errors import ModelError

if TYPE_CHECKING:
    from glmmcore.estimation.problem import LinearPart, TermPart
    from glmmcore.families.base import Family

__all__ = [
    "check_names",
    "coefficients_by_part",
    "extra_values",
    "holds_spread",
    "needs_own_scales",
    "spread_values",
    "start_coefficients",
]

# Names of variance parameters: "sd(x|g)", "zi: corr(Intercept,x|g)", or with the group alone, "sd(g)".
_SPREAD = re.compile(r"(?:(cond|zi): )?([a-z]+)\((?:(.*)\|)?([^|]*)\)")
# Ends of what the optimiser's parameters are searched in: logarithms and logits, or standard deviations themselves.
_FARTHEST = 1e6


def coefficients_by_part(design: Design, family: Family, given: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Values of the coefficients of each part, (p,), NaN where none is given; parts without any are left out."""
    out: dict[str, np.ndarray] = {}
    for name, columns in _columns(design, family).items():
        values = np.full(len(columns), np.nan)
        for j, column in enumerate(columns):
            for key in coefficient_names(name, column):
                if key in given:
                    values[j] = given[key]
        if given.get("sigma", 0.0) > 0.0 and name == "disp" and _is_constant(design, family):
            values[0] = _inverse(lambda delta: np.log(family.sigma(delta)), float(np.log(given["sigma"])), "sigma")
        if not np.isnan(values).all():
            out[name] = values
    return out


def _columns(design: Design, family: Family) -> dict[str, tuple[str, ...]]:
    """Columns of every part with coefficients."""
    out = {name: part.columns for name, part in design.predictors.items()}
    if family.has_dispersion and "disp" not in out:
        out["disp"] = ("Intercept",)
    return out


def _is_constant(design: Design, family: Family) -> bool:
    """Whether the dispersion is one number."""
    part = design.predictors.get("disp")
    return family.has_dispersion and (part is None or (part.X.shape[1] == 1 and not np.any(part.offset)))


def extra_values(family: Family, given: Mapping[str, float], what: str) -> dict[str, float]:
    """Values of the optimiser for further parameters of the family that are given, by predictor name.

    Each printed number belongs to the parameter at its place, and may depend on those before, which then have to be
    given too (both masses of `ordbeta`).
    """
    psi = np.zeros(len(family.extra))
    printed = list(family.describe_extra(psi)) if len(psi) else []
    out: dict[str, float] = {}
    for j, key in enumerate(printed):
        if key not in given:
            continue
        before = [name for name in printed[:j] if name not in given]

        def natural(x: float, j: int = j, key: str = key) -> float:
            moved = psi.copy()
            moved[j] = x
            return family.describe_extra(moved)[key]

        if before:
            raise ModelError(f"{what}: {key!r} can be given together with {before[0]!r} only")
        psi[j] = _inverse(natural, float(given[key]), key)
        out[family.extra[j]] = float(psi[j])
    return out


def check_names(design: Design, family: Family, terms: list[TermPart], given: Mapping[str, float], what: str) -> None:
    """Refuse names that the model does not have.

    Raises
    ------
    ModelError
    """
    parts = _columns(design, family)
    known = {key for name, columns in parts.items() for column in columns for key in coefficient_names(name, column)}
    known |= {"sigma"} if _is_constant(design, family) else set()
    known |= set(family.describe_extra(np.zeros(len(family.extra))))
    for key, value in given.items():
        if key not in known:
            _require_one(terms, key, what, sorted(name for name in known if not name.startswith("cond: ")))
        elif key == "sigma" and not value > 0.0:
            raise ModelError(f"{what}: sigma must be positive, not {value:g}")


def holds_spread(given: Mapping[str, float], design: Design) -> bool:
    """Whether more than coefficients of the linear predictor is given."""
    columns = design.predictors["cond"].columns
    return any(key not in columns and key.removeprefix("cond: ") not in columns for key in given)


def needs_own_scales(given: Mapping[str, float], predictor: str, group: str) -> bool:
    """Whether a variance parameter of an unstructured term by `group` may be given."""
    found = [match for match in map(_SPREAD.fullmatch, given) if match is not None]
    return any((match[1] or "cond") == predictor and match[4] == group for match in found)


def spread_values(terms: list[TermPart], given: Mapping[str, float], what: str) -> Iterator[tuple[int, float]]:
    """Place in x and value of every variance parameter that is given."""
    for key, value in given.items():
        if _SPREAD.fullmatch(key) is None or not terms:
            continue
        found = _matching(terms, key)
        if len(found) != 1:
            continue
        yield _solve(*found[0], float(value), key, what)


def _require_one(terms: list[TermPart], key: str, what: str, known: list[str]) -> None:
    """Refuse a name that is that of no variance parameter, or of several."""
    found = _matching(terms, key)
    if len(found) == 1:
        return
    names = [name for term in terms for parameter in term.structure.reported for name in _labels(term, parameter)[:1]]
    if found:
        these = ", ".join(repr(_labels(term, parameter)[0]) for term, parameter in found)
        raise ModelError(f"{what}: {key!r} may be one of {these}; name which")
    raise ModelError(f"{what}: the model has no {key!r}; it has {', '.join(map(repr, [*known, *names]))}")


# Kind ("sd", "corr", ...) and the columns that a variance parameter belongs to, as `Structure.reported` lists them.
Parameter = tuple[str, int, int]


def _matching(terms: list[TermPart], key: str) -> list[tuple[TermPart, Parameter]]:
    return [(term, p) for term in terms for p in term.structure.reported if key in _labels(term, p)]


def _labels(term: TermPart, parameter: Parameter) -> list[str]:
    """Names by which a variance parameter is called, that of the tables first; the group alone where it is enough."""
    kind, i, j = parameter
    columns, group = term.term.columns, term.term.group
    part = "" if term.predictor == "cond" else f"{term.predictor}: "
    stem = columns[0].split("[")[0]
    if term.structure.one_row or kind not in ("sd", "corr"):
        common = stem if all(c.startswith(f"{stem}[") for c in columns) else f"{columns[0]} to {columns[-1]}"
        common = columns[0] if len(columns) == 1 else common
        inner = f"{common}, lag {i}" if kind == "corr" and i > 1 else common
    else:
        inner = columns[i] if kind == "sd" else f"{columns[j]},{columns[i]}"
    out = [f"{part}{kind}({inner}|{group})"]
    if sum(other == kind for other, _, _ in term.structure.reported) == 1:
        out.append(f"{part}{kind}({group})")
    return out


def _natural(term: TermPart, parameter: Parameter, theta: np.ndarray) -> float:
    """Value of a variance parameter as tables show it."""
    kind, i, j = parameter
    structure = term.structure
    if isinstance(structure, Field) and kind != "sd":
        return float(structure.natural(theta)[structure.parameters.index(kind)])
    rows = term.root_back @ structure.factor(theta)
    if kind == "sd":
        return float(np.sqrt(rows[i] @ rows[i]))
    return float(rows[i] @ rows[j] / np.sqrt((rows[i] @ rows[i]) * (rows[j] @ rows[j])))


def _solve(term: TermPart, parameter: Parameter, value: float, key: str, what: str) -> tuple[int, float]:
    """The one element of theta that a parameter depends on, and its value."""
    kind = parameter[0]
    low, high = (-1.0, 1.0) if kind in ("corr", "rho") else (0.0, np.inf)
    if not (low < value < high or (kind == "sd" and value == 0.0)):
        raise ModelError(f"{what}: {key!r} must be between {low:g} and {high:g}, not {value:g}")
    # which elements it depends on is seen by moving each from a point that is special for none
    theta = term.structure.start(np.full(term.structure.k, 0.7))
    before = _natural(term, parameter, theta)
    moves = [abs(_natural(term, parameter, theta + step) - before) for step in 0.1 * np.eye(len(theta))]
    at = np.flatnonzero(np.array(moves) > 1e-9).tolist()
    if len(at) != 1:
        raise ModelError(f"{what}: {key!r} cannot be given in {term.term.structure}(... | {term.term.group})")

    def natural(x: float) -> float:
        moved = theta.copy()
        moved[at[0]] = x
        with np.errstate(over="ignore"):
            return _natural(term, parameter, moved)

    if kind == "sd" and value == 0.0:
        if natural(0.0) > 0.0:
            raise ModelError(f"{what}: {key!r} must be positive, not 0")
        return term.where.start + at[0], 0.0
    return term.where.start + at[0], _inverse(natural, value, key, positive=kind == "sd" and natural(0.0) == 0.0)


def _inverse(function: Any, value: float, key: str, *, positive: bool = False) -> float:
    """Where a monotone function takes a value."""
    sizes = np.geomspace(1e-9, _FARTHEST if positive else 500.0, 200)
    points = sizes if positive else np.concatenate([-sizes[::-1], [0.0], sizes])
    with np.errstate(all="ignore"):
        found = np.array([function(float(p)) - value for p in points])
    for a, b in zip(range(len(points) - 1), range(1, len(points)), strict=True):
        if found[a] == 0.0:
            return float(points[a])
        if np.isfinite(found[a]) and np.isfinite(found[b]) and found[a] * found[b] < 0.0:
            return float(optimize.brentq(lambda x: function(x) - value, points[a], points[b], xtol=1e-15, rtol=1e-15))
    raise ModelError(f"fixed=, start=: {key!r} cannot take the value {value:g}")


def start_coefficients(part: LinearPart, given: np.ndarray, default: np.ndarray) -> np.ndarray:
    """Standardised coefficients with some of the user's at given values, the others as by default."""
    user = part.user(default)
    return part.standardised(np.where(np.isnan(given), user, given))
