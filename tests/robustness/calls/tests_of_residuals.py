"""What is called with the residuals, and independent arithmetic for what is known of the answer."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import simresid

from .generate import Trial, dressed, fits, fitted, junk, labels, moments_in_time, numbers, pick, simulated, square

NULLS = ("auto", "auto", "auto", "analytic", "simulated", "refits")


def generate(rng: np.random.Generator) -> Trial:
    """One trial of a kind chosen at random."""
    kind = rng.random()
    if kind < 0.15:
        return _making(rng)
    if kind < 0.35:
        return _plain_numbers(rng)
    if kind < 0.45:
        return _grouping(rng)
    if kind < 0.85:
        return _test(rng)
    if kind < 0.95:
        return _figure(rng)
    return _whole(rng)


def _residuals(rng: np.random.Generator) -> tuple[Any, str]:
    """Residuals, drawn until the input is accepted: what is refused is tried by `_making`."""
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return (simulated if rng.random() < 0.6 else fitted)(rng)
        except Exception:
            continue


def _making(rng: np.random.Generator) -> Trial:
    make = simulated if rng.random() < 0.6 else fitted

    def ranked(res: Any) -> str | None:
        u = res[0].residuals
        if not (np.isfinite(u).all() and (u >= 0).all() and (u <= 1).all()):
            return f"residuals outside [0, 1]: {u}"
        res = res[0]
        if res.method != "rank" or res.whiten is not None or res.refits is not None or res.simulated is None:
            return None
        below = (res.simulated < res.observed).sum(axis=0)
        equal = (res.simulated == res.observed).sum(axis=0)
        inside = (below / (res.n_sims + 1) <= u) & (u <= (below + 1 + equal) / (res.n_sims + 1))
        return None if inside.all() else f"ranks beside the counted ones at {np.flatnonzero(~inside)}"

    state = rng.bit_generator.state
    again = np.random.Generator(type(rng.bit_generator)())

    def run() -> Any:
        again.bit_generator.state = state
        return make(again)

    return Trial(f"{make.__name__}, seed of the trial", run, ranked)


def _plain_numbers(rng: np.random.Generator) -> Trial:
    """Tests of plain numbers between 0 and 1, whose statistics can be written down."""
    n = int(pick(rng, (2, 3, 5, 12, 30, 60)))
    u = rng.random(n) ** pick(rng, (1, 0.3, 3))
    kind = rng.integers(5)
    if rng.random() < 0.15:
        u = np.round(u, 1)
    if rng.random() < 0.05:
        u[rng.integers(n)] = pick(rng, (0.0, 1.0, np.nan, 1.0000001, -1e-12, np.inf))
    alternative = pick(rng, ("two-sided", "two-sided", "greater", "less", "other"))
    given = dressed(rng, u)
    if kind == 0:
        return _uniformity(rng, u, given, alternative)
    if kind == 1:
        return _in_time(rng, u, given, alternative)
    if kind == 2:
        return _in_space(rng, u, given, alternative)
    if kind == 3:
        g = labels(rng, n)
        return Trial(f"categories {u.tolist()} {g!r:.300}", lambda: simresid.categorical_test(given, g))
    return _against_a_predictor(rng, u, given)


def _uniformity(rng: np.random.Generator, u: np.ndarray, given: Any, alternative: Any) -> Trial:
    method = pick(rng, ("ks", "ks", "ad", "band", "other"))

    def kolmogorov_smirnov(r: Any) -> str | None:
        if method != "ks":
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ties: the statistic is what is compared
            sides = stats.kstest(u, "uniform", alternative=alternative)
        return _differs(r.statistic, sides.statistic)

    return Trial(
        f"uniformity {method} {alternative} {u.tolist()}",
        lambda: simresid.uniformity_test(given, alternative, method),
        kolmogorov_smirnov,
    )


def _in_time(rng: np.random.Generator, u: np.ndarray, given: Any, alternative: Any) -> Trial:
    n = u.size
    time = numbers(rng, n) if rng.random() < 0.7 else np.arange(n) * 1.0
    when = dressed(rng, time)

    def durbin_watson(r: Any) -> str | None:
        if np.unique(time).size < n:
            return None
        e = u[np.argsort(time)] - u.mean()
        return _differs(r.statistic, np.sum(np.diff(e) ** 2) / np.sum(e**2))

    return Trial(
        f"time {u.tolist()} {time.tolist()}",
        lambda: simresid.temporal_autocorrelation_test(given, when, None, alternative),
        durbin_watson,
    )


def _in_space(rng: np.random.Generator, u: np.ndarray, given: Any, alternative: Any) -> Trial:
    n = u.size
    x, y = numbers(rng, n), numbers(rng, n)

    def moran(r: Any) -> str | None:
        points = np.column_stack([x, y])
        if len(np.unique(points, axis=0)) < n or n > 500:
            return None
        span = np.ptp(points, axis=0).max()
        d = np.hypot(*((c[:, None] - c) / span for c in points.T))
        if (d + np.eye(n)).min() <= 0:  # places that cannot be told apart at this span
            return None
        d += np.diag(np.full(n, np.inf))
        w = d.min(axis=1, keepdims=True) / d  # 1 / d would overflow where places are 1e-323 apart
        w /= w.sum(axis=1, keepdims=True)
        z = u - u.mean()
        return _differs(r.statistic, z @ w @ z / (z @ z) * n / w.sum(), 1e-6)

    return Trial(
        f"space {u.tolist()} {x.tolist()} {y.tolist()}",
        lambda: simresid.spatial_autocorrelation_test(given, x, y, alternative=alternative),
        moran,
    )


def _against_a_predictor(rng: np.random.Generator, u: np.ndarray, given: Any) -> Trial:
    x = numbers(rng, u.size)
    name = pick(rng, ("quantile_test", "heteroscedasticity_test"))

    def same_in_other_units(r: Any) -> str | None:
        if not np.isfinite(x).all() or np.abs(x).max() > 1e100 or 0 < np.abs(x[x != 0]).min(initial=1) < 1e-100:
            return None
        other = getattr(simresid, name)(u, 4.0 * x)
        return _differs(r.statistic, other.statistic) or _differs(r.pvalue, other.pvalue)

    return Trial(f"{name} {u.tolist()} {x.tolist()}", lambda: getattr(simresid, name)(given, x), same_in_other_units)


def _differs(value: float, expected: float, rtol: float = 1e-8) -> str | None:
    return None if np.isclose(value, expected, rtol=rtol, atol=1e-12) else f"{value!r} where {expected!r} is right"


def _grouping(rng: np.random.Generator) -> Trial:
    res, text = _residuals(rng)
    n = res.n_obs
    options: dict[str, Any] = {}
    group = labels(rng, n) if rng.random() < 0.7 else pick(rng, ("g", "x", "t", ["g", "t"], ["t", "x"], "g:t", "a:b"))
    if rng.random() < 0.9:
        options["group"] = group
    if rng.random() < 0.3:
        options["select"] = pick(
            rng, (rng.random(n) < 0.6, np.arange(n)[::2], rng.permutation(n)[: n // 2 + 1], [0, 0], [n], -1, junk(rng))
        )
    if rng.random() < 0.4:
        options["aggregate"] = pick(rng, ("mean", "sum", np.median, np.max, np.ptp, lambda v: v.sum(), junk(rng)))
    if rng.random() < 0.05:
        options["rotation"] = pick(rng, (square(rng, n), np.eye(2), junk(rng)))
    if rng.random() < 0.05:
        options["group"] = junk(rng)

    def sums(grouped: Any) -> str | None:
        if (
            set(options) != {"group"}
            or options["group"] is not group
            or isinstance(group, str | list)
            or np.abs(res.observed).max() > 1e15
        ):
            return None
        keys = pd.Series(list(group), dtype=object)
        expected: dict[Any, float] = {}
        for key, value in zip(keys, res.observed, strict=True):
            expected[key] = expected.get(key, 0.0) + value
        if len(expected) != grouped.n_obs:
            return f"{grouped.n_obs} groups where there are {len(expected)} labels: {list(expected)[:9]}"
        scale = np.abs(res.observed).sum()
        ok = np.allclose(np.sort(grouped.observed), np.sort(list(expected.values())), rtol=1e-9, atol=1e-12 * scale)
        return None if ok else "other sums than those added up by hand"

    return Trial(f"{text}.recalculate({options!r:.300})", lambda: res.recalculate(**options), sums)


def _test(rng: np.random.Generator) -> Trial:
    res, text = _residuals(rng)
    if rng.random() < 0.15:
        with contextlib.suppress(Exception):
            res, text = res.recalculate(group=labels(rng, res.n_obs)), text + ", grouped"
    name = pick(rng, ("dispersion", "zero_inflation", "statistic", "uniformity", "outlier", "quantile", "categorical",
                      "heteroscedasticity", "temporal_autocorrelation", "spatial_autocorrelation",
                      "phylogenetic_autocorrelation"))  # fmt: skip
    options = _own_options(rng, name, res.n_obs)
    if rng.random() < 0.3:
        options["null"] = pick(rng, NULLS)
    if rng.random() < 0.7:
        options |= {"n_refits": int(pick(rng, (10, 20, 39)))} if res.model is not None else {}
    if rng.random() < 0.3:
        options["alternative"] = pick(rng, ("greater", "less", "two-sided"))
    if rng.random() < 0.08:
        options[pick(rng, ("alternative", "null", "n_refits", "method", "margin", "time", "by", "n_jobs"))] = junk(rng)
    options = _known(getattr(simresid, f"{name}_test"), options)
    _bound(options)

    def count(r: Any) -> str | None:
        if isinstance(r, dict) or (r.null == "simulated" and res.method != "rank"):
            return None  # such residuals are ranked anew among the simulations
        if name == "zero_inflation":
            return _differs(r.observed, np.count_nonzero(res.observed == 0))
        if name == "outlier" and "margin" not in options:
            return _differs(r.observed, np.count_nonzero(res.outlier_sides))
        return None

    own = name == "statistic"
    return Trial(f"{text}.{name}_test({options!r:.400})", lambda: getattr(res, f"{name}_test")(**options), count, own)


def _own_options(rng: np.random.Generator, name: str, n: int) -> dict[str, Any]:
    """Options that one test alone takes."""
    match name:
        case "statistic":
            return _statistic_options(rng)
        case "quantile" | "heteroscedasticity":
            return _curve_options(rng, name, n)
        case "categorical":
            return {"categories": pick(rng, ("g", "f", ["g", "t"], labels(rng, n), labels(rng, n)))}
        case "temporal_autocorrelation":
            return _time_options(rng, n)
        case "spatial_autocorrelation":
            return _space_options(rng, n)
        case "phylogenetic_autocorrelation":
            options: dict[str, Any] = {"distances": square(rng, n)}
            if rng.random() < 0.5:
                options["labels"] = pick(rng, (np.arange(n), labels(rng, n), "g"))
            return options
    return {}


def _statistic_options(rng: np.random.Generator) -> dict[str, Any]:
    mine = (lambda v: v[0], lambda v: v.max(axis=-1), junk(rng))
    options = {"statistic": pick(rng, (*mine, np.max, np.mean, np.median, {"a": np.max, "b": np.ptp}))}
    if rng.random() < 0.3:
        options["vectorized"] = True
    return options


def _curve_options(rng: np.random.Generator, name: str, n: int) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if rng.random() < 0.7:
        options["predictor"] = pick(
            rng, ("x", "t", numbers(rng, n), dressed(rng, numbers(rng, n)), labels(rng, n), moments_in_time(rng, n))
        )
    if name == "quantile" and rng.random() < 0.1:
        options["quantiles"] = pick(rng, ([0.5], [0.1, 0.9], [0.5, 0.5], [0.9, 0.1], [0], [1], [], [np.nan], junk(rng)))
    return options


def _time_options(rng: np.random.Generator, n: int) -> dict[str, Any]:
    options: dict[str, Any] = {"time": pick(rng, ("t", numbers(rng, n), np.arange(n), moments_in_time(rng, n)))}
    if rng.random() < 0.5:
        options["by"] = pick(rng, ("g", ["g", "h"], labels(rng, n)))
    if rng.random() < 0.3:
        options["method"] = pick(rng, ("ljung-box", "durbin-watson", "other"))
    if rng.random() < 0.2:
        options[pick(rng, ("lags", "exact"))] = pick(rng, (1, 2, n, True, junk(rng)))
    return options


def _space_options(rng: np.random.Generator, n: int) -> dict[str, Any]:
    if rng.random() < 0.2:
        options: dict[str, Any] = {"distances": square(rng, n)}
    else:
        options = {"x": numbers(rng, n), "y": dressed(rng, numbers(rng, n))}
    if rng.random() < 0.5:
        options["weights"] = pick(rng, ("inverse", "knn", "band", "auto", "other"))
        options[pick(rng, ("k", "radius", "great_circle"))] = pick(rng, (1, 3, 0.5, 1e300, 1e-300, True, junk(rng)))
    return options


def _known(function: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Options that a function takes: others are refused by Python itself."""
    return {key: value for key, value in options.items() if key in inspect.signature(function).parameters}


def _bound(options: dict[str, Any]) -> None:
    """A million refits are asked for and made: such numbers are no attack."""
    asked = options.get("n_refits")
    if isinstance(asked, int | float | np.number) and not isinstance(asked, bool) and 1000 < asked < 2**62:
        options["n_refits"] = 20


def _figure(rng: np.random.Generator) -> Trial:
    res, text = _residuals(rng)
    n = res.n_obs
    name = pick(rng, ("overview", "qq", "residuals", "histogram", "outliers", "rootogram", "dispersion",
                      "zero_inflation", "statistic", "temporal", "spatial", "simulated_data"))  # fmt: skip
    options: dict[str, Any] = {}
    if name in ("overview", "residuals") and rng.random() < 0.7:
        options["against"] = pick(
            rng, ("x", "g", "t", ["x", "t"], numbers(rng, n), labels(rng, n), moments_in_time(rng, n), junk(rng))
        )
    if name == "temporal":
        options["time"] = pick(rng, ("t", numbers(rng, n), moments_in_time(rng, n)))
        if rng.random() < 0.5:
            options["by"] = labels(rng, n)
    if name == "spatial":
        options |= {"x": numbers(rng, n), "y": numbers(rng, n)}
    if name == "statistic":
        options["statistic"] = pick(rng, (np.max, np.mean, lambda v: np.nan, junk(rng)))
    if rng.random() < 0.1:
        options[pick(rng, ("title", "ax", "n_bins", "most", "max_count", "group", "quantiles", "figsize"))] = junk(rng)

    options = _known(getattr(simresid, f"plot_{name}"), options)

    def run() -> Any:
        import matplotlib.pyplot as plt

        try:
            drawn = getattr(simresid, f"plot_{name}")(res, **options)
            figure = np.ravel(np.asarray(drawn, dtype=object))[0]
            figure = figure if hasattr(figure, "savefig") else figure.figure
            figure.canvas.draw()
            return None
        finally:
            plt.close("all")

    return Trial(f"plot_{name}({text}, {options!r:.300})", run, own_functions=name == "statistic")


def _whole(rng: np.random.Generator) -> Trial:
    """All tests at once, a page, influence, a screen, a likelihood-ratio test."""
    kind = rng.integers(6)
    if kind == 0:
        fit = pick(rng, fits())
        group = pick(rng, ("g", "h", "f", "x", labels(rng, fit.nobs), junk(rng)))
        return Trial(f"influence({fit!r}, {group!r:.200})", lambda: simresid.influence(fit, group))
    if kind == 1:
        one, two = pick(rng, fits()), pick(rng, fits())
        n_sims = pick(rng, (20, 39, -1, 0, None, "x", 2.5))
        return Trial(f"simulated_lrt({one!r}, {two!r}, {n_sims})", lambda: simresid.simulated_lrt(one, two, n_sims))
    if kind == 2:
        models = pick(rng, ({"a": fits()[0], 1: fits()[1]}, {"a": None}, [fits()[2]], [], {}, fits()[0], junk(rng)))
        options = {pick(rng, ("alpha", "tests", "n_sims", "rng", "timeout", "random_effects", "time")): junk(rng)}
        if rng.random() < 0.5:
            options = {"n_sims": 20}
        if isinstance(options.get("n_sims"), int) and options["n_sims"] > 10**4:
            options = {}
        _bound(options)
        return Trial(
            f"screen({models!r:.200}, {options})",
            lambda: simresid.screen(models, **({"n_refits": 10} | options), progress=False),
            own_functions="tests" in options,
        )
    res, text = _residuals(rng)
    n = res.n_obs
    wholes: dict[str, Any] = {"n_refits": 10} if res.model is not None and rng.random() < 0.8 else {}
    for argument in ("predictors", "categories", "time", "by", "x", "y", "alpha", "null", "n_monte_carlo"):
        if rng.random() < 0.2:
            wholes[argument] = pick(rng, ("x", "g", "t", "a:b", numbers(rng, n), labels(rng, n), junk(rng)))
    if isinstance(wholes.get("n_monte_carlo"), int) and wholes["n_monte_carlo"] > 10**4:
        del wholes["n_monte_carlo"]
    if kind == 5:
        return Trial(f"{text}._repr_html_()", res._repr_html_)
    return Trial(f"{text}.diagnose({wholes!r:.400})", lambda: res.diagnose(**wholes))
