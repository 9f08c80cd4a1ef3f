"""Awkward places: the sparse approximation of a field beside its dense covariance, right or a sentence.

    python -m tests.robustness.fields.awkward [first last [seed]]

Every case is fitted twice, with the dense covariance and with neighbours. Both must refuse it with the same sentence,
or both must end with finite estimates, log-likelihoods as near each other as the number of neighbours lets them be,
predictions at new places that agree, and nothing but sentences of glmmcore on the way. What differs is printed.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from glmmcore import ModelError, glmm
from glmmcore.errors import DataWarning

N_PLACES, N_ROWS, MANY = 60, 150, 25
# Log-likelihoods with 25 of 60 neighbours, and predictions in standard errors.
CLOSE, CLOSE_PREDICTION = 0.15, 0.25


@dataclass(frozen=True)
class Case:
    """One model of one set of places; `option` what the sparse one adds."""

    name: str
    places: str
    field: str
    family: str
    response: str = "field"
    group: str = "1"
    neighbours: int = MANY
    fixed: tuple[tuple[str, float], ...] = ()

    def formula(self, sparse: bool) -> str:
        """With and without neighbours."""
        option = f", neighbours = {self.neighbours}" if sparse else ""
        return f"r ~ z + {self.field.format(self.group + option)}"


def _square(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.0, 10.0, (N_PLACES, 2))


def _near(rng: np.random.Generator, gap: float) -> np.ndarray:
    half = rng.uniform(0.0, 10.0, (N_PLACES // 2, 2))
    return np.vstack([half, half + gap * rng.normal(size=half.shape)])


def _line(rng: np.random.Generator, slope: float) -> np.ndarray:
    along = rng.uniform(0.0, 10.0, N_PLACES)
    return np.column_stack([along, slope * along])


def _clusters(rng: np.random.Generator, apart: float) -> np.ndarray:
    centre = np.repeat([[0.0, 0.0], [apart, 0.0], [0.0, apart]], N_PLACES // 3, axis=0)
    return centre + rng.normal(size=(N_PLACES, 2))


def _with_far(rng: np.random.Generator, far: float) -> np.ndarray:
    at = _square(rng)
    at[0] = far
    return at


def _grid(rng: np.random.Generator) -> np.ndarray:
    return np.column_stack([each.ravel() for each in np.meshgrid(np.arange(10.0), np.arange(6.0))])


def _spoiled(rng: np.random.Generator, value: float) -> np.ndarray:
    at = _square(rng)
    at[3, 1] = value
    return at


PLACES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "square": _square,
    "grid with ties": _grid,
    "along x": lambda rng: _line(rng, 0.0),
    "along a diagonal": lambda rng: _line(rng, 0.7),
    "metres of a national grid": lambda rng: _square(rng) * 1e4 + np.array([4.5e5, 5.1e6]),
    "degrees": lambda rng: _square(rng) * np.array([0.1, 0.1]) + np.array([11.0, 47.0]),
    "degrees on both sides of the date line": lambda rng: _square(rng) * 36.0 - 180.0,
    "micrometres in metres": lambda rng: _square(rng) * 1e-7,
    "very small units": lambda rng: _square(rng) * 1e-90,
    "very large units": lambda rng: _square(rng) * 1e90,
    "beyond doubles": lambda rng: _spoiled(rng, 1e200),
    "pairs 1e-3 apart": lambda rng: _near(rng, 1e-3),
    "pairs 1e-6 apart": lambda rng: _near(rng, 1e-6),
    "pairs 1e-12 apart": lambda rng: _near(rng, 1e-12),
    "three clusters": lambda rng: _clusters(rng, 30.0),
    "three clusters far apart": lambda rng: _clusters(rng, 1e5),
    "one place far away": lambda rng: _with_far(rng, 1e3),
    "one place very far away": lambda rng: _with_far(rng, 1e8),
    "one place": lambda rng: np.full((N_PLACES, 2), 3.0),
    "two places": lambda rng: np.repeat([[0.0, 0.0], [1.0, 2.0]], N_PLACES // 2, axis=0),
    "three places": lambda rng: np.repeat([[0.0, 0.0], [1.0, 2.0], [5.0, 1.0]], N_PLACES // 3, axis=0),
    "a missing coordinate": lambda rng: _spoiled(rng, np.nan),
    "an infinite coordinate": lambda rng: _spoiled(rng, np.inf),
    "negative zero": lambda rng: np.round(_square(rng)) * np.where(rng.random((N_PLACES, 1)) < 0.5, -0.0, 1.0),
    "whole numbers": lambda rng: np.round(_square(rng) / 3.0),
}
FIELDS = ("exp(x, y | {})", "mat(x, y | {})")
FAMILIES = ("gaussian", "poisson")


def cases() -> list[Case]:
    """All of them, in order."""
    out = [Case(f"{p}, {f}, {a}", p, f, a) for p in PLACES for f in FIELDS for a in FAMILIES]
    some = ("square", "grid with ties", "along x", "pairs 1e-6 apart", "three clusters far apart")
    for response in ("noise", "trend", "constant", "zeros", "one jump"):
        out += [Case(f"{response}, {p}, {f}", p, f, "poisson", response) for p in some for f in FIELDS]
        out += [Case(f"{response}, {f}, gaussian", "square", f, "gaussian", response) for f in FIELDS]
    for group in ("g", "single", "lonely"):
        out += [Case(f"group {group}, {f}, {a}", "square", f, a, group=group) for f in FIELDS for a in FAMILIES]
    for field in ("exp(x | {})", "exp(x, y, w | {})", "exp(x, y, w, z | {})", "exp(x, x | {})", "exp(text | {})"):
        out += [Case(f"{field}, {a}", "square", field, a) for a in FAMILIES]
    out += [Case(f"{f} at x / 1000", "square", f.replace("x, y", "x / 1000, y / 1000"), "gaussian") for f in FIELDS]
    for value in (1e-12, 1e-3, 1e3, 1e6, 1e12):
        given = (("range(1)", value),)
        out += [Case(f"range {value:g}, {f}, {a}", "square", f, a, fixed=given) for f in FIELDS for a in FAMILIES]
    out += [
        Case(f"sd 0, {f}, {a}", "square", f, a, fixed=(("sd(1)", 0.0),)) for f in FIELDS for a in FAMILIES
    ]  # a standard deviation of zero may be refused, by both
    out += [
        Case(f"{m} neighbours, {p}, {f}", p, f, "poisson", neighbours=m)
        for m in (1, 2, 58)
        for p in ("square", "along x", "two places")
        for f in FIELDS
    ]
    return out


def data(case: Case, seed: int) -> pd.DataFrame:
    """Rows of a case."""
    rng = np.random.default_rng(seed)
    at = PLACES[case.places](rng)
    place = np.concatenate([np.arange(N_PLACES), rng.integers(0, N_PLACES, N_ROWS - N_PLACES)])
    waves = rng.normal(size=(3, 2))
    scaled = np.where(np.isfinite(at), at, 0.0)
    spread = np.ptp(scaled, axis=0).max()
    scaled = (scaled - scaled.mean(axis=0)) / (spread if spread > 0.0 else 1.0)
    field = 0.7 * np.sin(4.0 * scaled @ waves.T).sum(axis=1)
    d = pd.DataFrame({"x": at[place, 0], "y": at[place, 1], "z": rng.normal(size=N_ROWS)})
    d["w"], d["text"] = field[place], "a"
    d["g"], d["single"] = place % 4, np.arange(N_ROWS)
    d["lonely"] = np.where(place < 30, "many", np.char.add("p", place.astype(str)))
    eta = 0.5 + 0.3 * d["z"]
    eta = eta + {"field": field[place], "trend": 2.0 * scaled[place, 0]}.get(case.response, 0.0)
    d["r"] = rng.poisson(np.exp(eta)).astype(float) if case.family == "poisson" else eta + rng.normal(size=N_ROWS)
    if case.response in ("constant", "zeros"):
        d["r"] = float(case.response == "constant")
    if case.response == "one jump":
        d.loc[0, "r"] = 500.0
    return d


def outcome(case: Case, d: pd.DataFrame, sparse: bool) -> dict[str, object]:
    """What a fit ends in: a sentence, or numbers."""
    new = pd.DataFrame({"x": [d["x"][1], 4.0], "y": [d["y"][1], 5.0], "z": 0.0, "w": 0.1, "text": "a", "g": 1})
    new["single"], new["lonely"] = 1, "many"
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            fit = glmm(case.formula(sparse), d, case.family, fixed=dict(case.fixed))
        except (ModelError, MemoryError) as error:
            return {"sentence": str(error).splitlines()[0].split("neighbours")[0]}
        out: dict[str, object] = {"llf": fit.llf, "converged": fit.converged, "bse": fit.bse.to_numpy()}
        out["numbers"] = np.concatenate([[fit.llf], fit.params.to_numpy()])
        try:
            out["prediction"] = fit.predict(new, kind="link", se=True).to_numpy()
        except ModelError as error:
            out["prediction sentence"] = str(error)
        str(fit.summary())
    out["warnings"] = [str(w.message) for w in seen if not issubclass(w.category, DataWarning)]
    return out


def faults(case: Case, dense: dict[str, object], sparse: dict[str, object]) -> list[str]:
    """What is wrong with a pair of outcomes."""
    if ("sentence" in dense) != ("sentence" in sparse):
        return [f"dense {dense} but sparse {sparse}"]
    if "sentence" in dense:
        same = dense["sentence"] == sparse["sentence"] or "option" in str(sparse["sentence"])
        return [] if same else [f"other sentences: {dense['sentence']} | {sparse['sentence']}"]
    out = []
    for name, one in (("dense", dense), ("sparse", sparse)):
        if not np.isfinite(one["numbers"]).all():
            out.append(f"{name}: not finite {one['numbers']}")
        if one["warnings"]:
            out.append(f"{name}: {one['warnings']}")
        if "prediction" in one and not np.isfinite(one["prediction"][:, 0]).all():
            out.append(f"{name}: prediction {one['prediction']}")
    if case.neighbours >= MANY and not out:
        gap = sparse["llf"] - dense["llf"]
        if abs(gap) > CLOSE:
            out.append(f"log-likelihoods {dense['llf']:.4f} dense, {sparse['llf']:.4f} sparse")
        elif "prediction" in dense and "prediction" in sparse:
            with np.errstate(invalid="ignore"):  # both may be infinite
                off = np.abs(sparse["prediction"] - dense["prediction"])
            if np.any(off > CLOSE_PREDICTION * dense["prediction"][:, 1:] + 1e-3):
                out.append(f"predictions {dense['prediction'].tolist()} dense, {sparse['prediction'].tolist()} sparse")
    if dense["converged"] != sparse["converged"]:
        out.append(f"converged {dense['converged']} dense, {sparse['converged']} sparse")
    return out


def main() -> None:
    chosen = cases()
    first, last = (int(a) for a in sys.argv[1:3]) if len(sys.argv) > 2 else (0, len(chosen))
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0  # of places, fields and responses
    wrong, sentences, began = 0, 0, time.process_time()
    for i, case in enumerate(chosen[first:last], first):
        d = data(case, 1000 * seed + i)
        begin = time.process_time()
        try:
            dense, sparse = (outcome(case, d, each) for each in (False, True))
            found = faults(case, dense, sparse)
        except Exception as error:  # an exception that is no sentence is what is looked for
            dense, found = {}, [f"{type(error).__name__}: {error}"]
        sentences += "sentence" in dense
        wrong += bool(found)
        seconds = time.process_time() - begin
        if found or seconds > 20.0:
            print(f"{i} {case.name} ({seconds:.1f} s): {'; '.join(found)}", flush=True)
    print(f"{last - first} cases, {sentences} sentences, {wrong} faults, {time.process_time() - began:.0f} s")


if __name__ == "__main__":
    main()
