"""What models of times, places and relatives cost: large ones, and middling ones beside R's glmmTMB.

    python -m benchmarks.covarying large | beside

``large``: pedigrees of 50 000 animals (gaussian, a row each; few sires, and many) and a tree of 10 000 tips (Poisson,
two rows each).
``beside``: 1000 times (`ou`, `ar1`), 200 places with three rows each (`exp`), 200 species with three rows each, whose
covariance is known. Seconds of CPU of one process, after a first run on small data; the middle of five fits, one of
glmmTMB, in one run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from glmmcore import FittedGLMM, glmm, relationship
from glmmcore.relationship import from_pedigree, from_tree


def timed(fit: Callable[[], FittedGLMM], times: int = 1) -> tuple[FittedGLMM, float, float]:
    """The last fit, and the middle of seconds of CPU and on the wall."""
    spent = []
    for _ in range(times):
        cpu, wall = time.process_time(), time.perf_counter()
        found = fit()
        spent.append((time.process_time() - cpu, time.perf_counter() - wall))
    return found, *np.median(spent, axis=0)


def pedigree(n: int, share: float, rng: np.random.Generator) -> pd.DataFrame:
    """Ten generations; parents at random from the one before, a `share` of it sires; responses."""
    per = n // 10
    sire, dam, value = np.zeros(n, int), np.zeros(n, int), np.zeros(n)  # labels from 1; 0 is unknown
    for i in range(n):
        generation = i // per
        if generation == 0:
            value[i] = rng.normal()
            continue
        lo = (generation - 1) * per
        sire[i] = lo + rng.integers(0, max(int(share * per), 1)) + 1
        dam[i] = lo + rng.integers(int(share * per), per) + 1
        value[i] = 0.5 * (value[sire[i] - 1] + value[dam[i] - 1]) + np.sqrt(0.5) * rng.normal()
    d = pd.DataFrame({"id": np.arange(1, n + 1), "sire": sire, "dam": dam, "x": rng.normal(size=n)})
    d["y"] = 2.0 + 0.5 * d["x"] + value + rng.normal(0.0, 1.2, n)
    return d


def tree(n: int, rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """Newick text of a coalescent tree of height one, and a trait that evolved along it, in the order of t0, t1, ..."""
    height, text = [0.0] * n, [f"t{i}" for i in range(n)]
    wait = rng.exponential(1.0, n - 1) / (np.arange(n, 1, -1) * np.arange(n - 1, 0, -1) / 2.0)
    at = np.cumsum(wait)
    at /= at[-1]
    alive = list(range(n))
    members = [[i] for i in range(n)]
    value = np.zeros(n)
    for when in at:
        i, j = sorted(rng.choice(len(alive), 2, replace=False))
        a, b = alive[i], alive[j]
        for node in (a, b):
            value[members[node]] += np.sqrt(when - height[node]) * rng.normal()
        text[a] = f"({text[a]}:{when - height[a]:.12g},{text[b]}:{when - height[b]:.12g})"
        text[b], height[a] = "", when
        members[a] += members[b]
        alive.pop(j)
    return text[alive[0]] + ";", value


def large() -> None:
    """Print times and estimates of the large models."""
    for n_animals, n_tips in ((500, 200), (50_000, 10_000)):  # small ones first, to compile
        for share in (0.02, 0.2):
            d = pedigree(n_animals, share, np.random.default_rng(5))
            known = {"id": from_pedigree(d)}
            _print(
                f"pedigree of {n_animals}, sires {share:.0%}", *timed(partial(glmm, "y ~ x + (1|id)", d, known=known))
            )
        rng = np.random.default_rng(5)
        newick, trait = tree(n_tips, rng)
        tips = pd.DataFrame({"s": np.repeat([f"t{i}" for i in range(n_tips)], 2)})
        tips["x"] = rng.normal(size=len(tips))
        tips["y"] = rng.poisson(np.exp(0.5 + 0.3 * tips["x"] + np.repeat(trait, 2)))
        known = {"s": from_tree(newick)}
        _print(f"tree of {n_tips} tips, Poisson", *timed(partial(glmm, "y ~ x + (1|s)", tips, "poisson", known=known)))


def _print(what: str, fit: FittedGLMM, cpu: float, wall: float) -> None:
    print(f"{what}: {cpu:.2f} s CPU, {wall:.2f} s, llf {fit.llf:.3f}, sd {fit.var_corr['sd'][0]:.4f}", flush=True)


def beside() -> None:
    """Print times and log-likelihoods beside those of glmmTMB."""
    rng = np.random.default_rng(11)
    n = 1000
    t, k = np.cumsum(rng.exponential(1.0, n)), np.arange(1, n + 1)
    times = pd.DataFrame({"t": t, "k": k, "x": rng.normal(size=n)})
    effect = np.zeros(n)
    effect[0] = rng.normal()
    for i in range(1, n):
        keep = np.exp(-0.3 * (t[i] - t[i - 1]))
        effect[i] = keep * effect[i - 1] + np.sqrt(1.0 - keep**2) * rng.normal()
    times["y"] = 1.0 + 0.5 * times["x"] + effect + rng.normal(0.0, 0.7, n)
    at = rng.uniform(0.0, 10.0, (200, 2))
    distance = np.hypot(*(np.subtract.outer(at[:, c], at[:, c]) for c in (0, 1)))
    field = np.linalg.cholesky(np.exp(-distance / 2.0) + 1e-9 * np.eye(200)) @ rng.normal(size=200)
    places = pd.DataFrame(np.repeat(at, 3, axis=0), columns=["u", "v"]).assign(x=rng.normal(size=600))
    newick, trait = tree(200, rng)
    relation = from_tree(newick).matrix([f"t{i}" for i in range(200)]).to_numpy()
    species = pd.DataFrame({"s": np.repeat([f"t{i}" for i in range(200)], 3), "x": rng.normal(size=600)})
    for d, effects in ((places, field), (species, trait)):
        eta = 0.5 * d["x"] + np.repeat(effects, 3)
        d["y"], d["z"] = 1.0 + eta + rng.normal(0.0, 0.7, 600), rng.poisson(np.exp(0.5 + eta))
    known = {"s": relationship.covariance(relation, [f"t{i}" for i in range(200)])}
    models: dict[str, Callable[[], FittedGLMM]] = {
        "ou gaussian": lambda: glmm("y ~ x + ou(t | 1)", times),
        "ar1 gaussian": lambda: glmm("y ~ x + ar1(k | 1)", times),
        "exp gaussian": lambda: glmm("y ~ x + exp(u, v | 1)", places),
        "exp poisson": lambda: glmm("z ~ x + exp(u, v | 1)", places, "poisson"),
        "propto gaussian": lambda: glmm("y ~ x + (1|s)", species, known=known),
        "propto poisson": lambda: glmm("z ~ x + (1|s)", species, "poisson", known=known),
    }
    ours = {}
    for case, fit in models.items():
        fit()
        found, cpu, _ = timed(fit, 5)
        ours[case] = cpu, found.llf
    with tempfile.TemporaryDirectory() as folder:
        for name, frame in (("times", times), ("places", places), ("species", species)):
            frame.to_csv(Path(folder) / f"{name}.csv", index=False)
        pd.DataFrame(relation).to_csv(Path(folder) / "relation.csv", index=False)
        subprocess.run(["Rscript", str(Path(__file__).with_suffix(".R")), folder], check=True)
        r = pd.read_csv(Path(folder) / "times_r.csv").set_index("case")
    for case, (cpu, llf) in ours.items():
        line = r.loc[case]
        ratio = line["seconds"] / cpu
        print(f"{case}: {cpu:.3f} s, glmmTMB {line['version']} {line['seconds']:.2f} s, ratio {ratio:.1f}, ", end="")
        print(f"llf {llf:.4f} and {line['llf']:.4f}")


if __name__ == "__main__":
    parts = {"large": large, "beside": beside}
    if len(sys.argv) != 2 or sys.argv[1] not in parts:
        sys.exit(__doc__)
    parts[sys.argv[1]]()
