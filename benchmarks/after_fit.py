"""What each question after the fit costs: means, contrasts, letters, slopes, covariances, predictions.

``python -m benchmarks.after_fit [word ...]`` prints the table of ``docs/inference_times.md``: processor seconds at
10 000 rows and 500 groups, the lesser of two calls, each on a fit that has answered nothing yet (warm: compiled, once
called before). Words choose questions or models whose names contain one of them.
"""

from __future__ import annotations

import copy
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

import glmmcore as g
from glmmcore import FittedGLMM, glmm

N, GROUPS, SECOND, SEED = 10_000, 500, 50, 20261127

WORTH_A_LINE = 0.08
"""Seconds from which a question is printed at once, before the table."""

Question = Callable[[FittedGLMM], object]


def table(family: str) -> pd.DataFrame:
    """Return rows of a response with two factors, a number, 500 groups in 50 crossed ones and 40 clusters of groups."""
    rng = np.random.default_rng(SEED)
    d = pd.DataFrame(
        {
            "f": rng.choice(list("abcd"), N),
            "h": rng.choice(list("uvw"), N),
            "x": rng.normal(size=N),
            "g": rng.permutation(np.arange(N) % GROUPS),
            "s": rng.integers(0, SECOND, N),
        }
    )
    d["cluster"] = d["g"] % 40
    eta = 0.6 + 0.2 * d["x"] + np.array([0.0, 0.1, 0.3, -0.2])[d["f"].map("abcd".index)]
    eta += rng.normal(0, 0.5, GROUPS)[d["g"]] + rng.normal(0, 0.2, GROUPS)[d["g"]] * d["x"]
    eta += rng.normal(0, 0.3, SECOND)[d["s"]]
    match family:
        case "gaussian":
            d["y"] = eta + rng.normal(size=N)
        case "nbinom2":
            d["y"] = rng.negative_binomial(2.0, 2.0 / (2.0 + np.exp(eta)))
        case "binomial":
            d["y"] = rng.binomial(1, 1.0 / (1.0 + np.exp(-eta)))
        case _:
            d["y"] = rng.poisson(np.exp(eta)) * (rng.random(N) > (0.25 if family == "zi" else 0.0))
    return d


RANDOM = {"(1|g)": "(1|g)", "(x|g)": "(x|g)", "crossed": "(1|g) + (1|s)", "crossed slopes": "(x|g) + (1|s)"}


def models() -> dict[str, Callable[[], FittedGLMM]]:
    """Return the fits, by name."""
    out: dict[str, Callable[[], FittedGLMM]] = {}
    for family, more in {
        "gaussian": {"reml": True},
        "poisson": {},
        "nbinom2": {},
        "zi": {"family": "poisson", "zi": "~ f"},
        "binomial": {},
    }.items():
        data = table(family)
        for name, random in RANDOM.items():
            keywords = {"family": family, **more}
            out[f"{family} {name}"] = lambda r=random, d=data, k=keywords: glmm(f"y ~ f * h + x + {r}", d, **k)
        out[f"{family} alone"] = lambda d=data, k=keywords: glmm("y ~ f * h + x", d, **k)
    return out


def is_linear_reml(fit: FittedGLMM) -> bool:
    """Whether Satterthwaite's and Kenward and Roger's degrees of freedom exist."""
    return fit.family.name == "gaussian" and fit.reml and fit.has_random_effects


def has_groups(fit: FittedGLMM) -> bool:
    """Whether clusters can be formed of whole levels of every factor."""
    return fit.has_random_effects and all(name == "g" for name in fit.random_effects)


def always(fit: FittedGLMM) -> bool:
    """Return True: the question can be put to every model."""
    return True


def has_zero_part(fit: FittedGLMM) -> bool:
    """Whether the model has zero inflation."""
    return "zi" in fit.design.predictors


def has_no_groups(fit: FittedGLMM) -> bool:
    """Whether the rows are independent."""
    return not fit.has_random_effects


def positive(fit: FittedGLMM) -> bool:
    """Whether means are positive, so that they have ratios."""
    return fit.family.name != "gaussian"


def is_risk(fit: FittedGLMM) -> bool:
    """Whether means are probabilities."""
    return fit.family.name == "binomial"


def questions() -> dict[str, tuple[Callable[[FittedGLMM], bool], Question]]:
    """Return for each question whom it can be put to, and the call."""
    kr, sat = {"df": "kenward-roger"}, {"df": "satterthwaite"}
    response = {"kind": "response"}
    means, letters = g.marginal_means, g.compact_letters
    return {
        "summary()": (always, lambda m: str(m.summary())),
        "coefficient_table()": (always, lambda m: m.coefficient_table()),
        "conf_int()": (always, lambda m: m.conf_int()),
        "exp_table()": (positive, lambda m: m.exp_table()),
        "odds_ratios()": (is_risk, lambda m: m.odds_ratios()),
        "cov_params()": (always, lambda m: m.cov_params()),
        'cov_params(parameters="all")': (always, lambda m: m.cov_params(parameters="all")),
        'cov_params("kenward-roger")': (is_linear_reml, lambda m: m.cov_params("kenward-roger")),
        'cov_params("HC0")': (has_no_groups, lambda m: m.cov_params("HC0")),
        'cov_params("HC3")': (has_no_groups, lambda m: m.cov_params("HC3")),
        'cov_params("sandwich", cluster="g")': (has_groups, lambda m: m.cov_params("sandwich", cluster="g")),
        'cov_params("sandwich", cluster="cluster")': (
            has_groups,
            lambda m: m.cov_params("sandwich", cluster=m.data["g"] % 40, small_sample="CR1"),
        ),
        "sandwich of all parameters": (
            lambda m: has_groups(m) and not is_linear_reml(m),
            lambda m: m.cov_params("sandwich", cluster="g", parameters="all"),
        ),
        "collinearity": (always, g.collinearity),
        "r2(), icc()": (lambda m: m.has_random_effects, lambda m: (m.r2(), m.icc())),
        'wald_tests("II")': (always, g.wald_tests),
        'wald_tests("III")': (always, lambda m: g.wald_tests(m, kind="III")),
        "wald_tests, Kenward-Roger": (is_linear_reml, lambda m: g.wald_tests(m, **kr)),
        "wald_tests, Satterthwaite": (is_linear_reml, lambda m: g.wald_tests(m, **sat)),
        "marginal_means": (always, lambda m: means(m, "f")),
        "marginal_means, response": (always, lambda m: means(m, "f", **response)),
        "marginal_means, two factors": (always, lambda m: means(m, ["f", "h"], **response)),
        "marginal_means, conditional": (has_zero_part, lambda m: means(m, "f", component="conditional", **response)),
        "marginal_means, zi": (has_zero_part, lambda m: means(m, "f", component="zi", **response)),
        "marginal_means, proportional": (always, lambda m: means(m, "f", weights="proportional", **response)),
        "marginal_means, averaged": (always, lambda m: means(m, "f", random_effects="average", **response)),
        "marginal_means, Satterthwaite": (is_linear_reml, lambda m: means(m, "f", **sat)),
        "marginal_means, Kenward-Roger": (is_linear_reml, lambda m: means(m, "f", **kr)),
        "marginal_means, sandwich": (
            has_groups,
            lambda m: means(m, "f", cov=m.cov_params("sandwich", cluster="g")),
        ),
        **{
            f"contrasts, {word}": (always, lambda m, w=word: means(m, "f", contrasts=w, **response))
            for word in ("pairwise", "dunnett", "sequential", "polynomial", "effect")
        },
        "contrasts, mvt": (always, lambda m: means(m, "f", contrasts="pairwise", adjust="mvt")),
        "contrasts, mvt of 12 means": (always, lambda m: means(m, ["f", "h"], contrasts="pairwise", adjust="mvt")),
        "contrasts, 12 means by Tukey": (always, lambda m: means(m, ["f", "h"], contrasts="pairwise")),
        "contrasts, by groups": (always, lambda m: means(m, "f", by="h", contrasts="pairwise")),
        "contrasts of contrasts": (
            always,
            lambda m: means(m, ["f", "h"], contrasts={"f": "pairwise", "h": "sequential"}),
        ),
        "contrasts, ratios": (positive, lambda m: means(m, "f", contrasts="pairwise", scale="ratio", **response)),
        "contrasts, differences": (
            always,
            lambda m: means(m, "f", contrasts="pairwise", scale="difference", **response),
        ),
        "compact_letters": (always, lambda m: letters(m, "f")),
        "compact_letters by groups": (always, lambda m: letters(m, "f", by="h")),
        "slopes": (always, lambda m: g.slopes(m, "x")),
        "slopes by, response": (always, lambda m: g.slopes(m, "x", by="f", contrasts="pairwise", **response)),
        "avg_predictions": (always, lambda m: g.avg_predictions(m, "f")),
        "avg_predictions by": (always, lambda m: g.avg_predictions(m, "f", by="h")),
        "avg_comparisons": (always, lambda m: g.avg_comparisons(m, "f")),
        "avg_comparisons, ratio": (positive, lambda m: g.avg_comparisons(m, "f", comparison="ratio")),
        "predict()": (always, lambda m: m.predict()),
        "predict(se=True)": (always, lambda m: m.predict(se=True)),
        "predict(level=.95)": (always, lambda m: m.predict(level=0.95)),
        "predict, new rows, se": (always, lambda m: m.predict(m.data, se=True)),
        "predict, no effects, se": (always, lambda m: m.predict(random_effects="none", se=True)),
        "predict, averaged, se": (always, lambda m: m.predict(random_effects="average", se=True)),
        "predict, some groups, se": (
            lambda m: m.has_random_effects,
            lambda m: m.predict(random_effects=["g"], se=True),
        ),
        "predict, prediction interval": (always, lambda m: m.predict(interval="prediction")),
        "predict, averaged prediction interval": (
            always,
            lambda m: m.predict(random_effects="average", interval="prediction"),
        ),
        'predict(kind="zprob", se=True)': (has_zero_part, lambda m: m.predict(kind="zprob", se=True)),
        "compare": (always, lambda m: g.compare(m, m)),
        "side_by_side": (always, lambda m: g.side_by_side(m, m)),
        "random_effects_frame()": (lambda m: m.has_random_effects, lambda m: m.random_effects_frame()),
    }


def seconds(question: Question, fit: FittedGLMM, repeats: int = 2) -> float:
    """Least processor seconds of a question, the fit having answered none."""
    question(unasked(fit))
    times = []
    for _ in range(repeats):
        asked = unasked(fit)
        start = time.process_time()
        question(asked)
        times.append(time.process_time() - start)
    return min(times)


def unasked(fit: FittedGLMM) -> FittedGLMM:
    """Copy a fit without what it has computed since."""
    out = copy.copy(fit)
    for name in [n for n in vars(out) if isinstance(getattr(type(out), n, None), _CACHED)]:
        del out.__dict__[name]
    return out


_CACHED = type(FittedGLMM.__dict__["verdict"])


def main(words: list[str]) -> None:
    """Print a table of seconds by question and family, the largest over structures of random effects."""
    warnings.simplefilter("ignore")
    by_name = models()
    chosen = [w for w in words if any(w in name for name in by_name)]
    asked = [w for w in words if w not in chosen]
    found: dict[str, dict[str, float]] = {}
    for name, make in by_name.items():
        if chosen and not any(w in name for w in chosen):
            continue
        fit = make()
        for label, (applies, question) in questions().items():
            if applies(fit) and (not asked or any(w in label for w in asked)):
                found.setdefault(label, {})[name] = seconds(question, fit)
                if found[label][name] > WORTH_A_LINE:
                    print(f"{found[label][name]:6.3f} {name:24} {label}", flush=True)
    families = dict.fromkeys(model.split()[0] for seconds_of in found.values() for model in seconds_of)
    print(f"| question | {' | '.join(families)} |\n|---|{'---|' * len(families)}")
    for label, by_model in found.items():
        largest = [[v for model, v in by_model.items() if model.split()[0] == family] for family in families]
        print(f"| `{label}` | {' | '.join(f'{max(v):.3f}' if v else '' for v in largest)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
