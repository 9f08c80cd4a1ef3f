"""Size and power of tests by simulation: run a function many times and count small p-values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.arguments import ALPHA, known_elsewhere, require_level, require_whole, require_workers, workers_for

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BenchmarkResult", "benchmark_tests"]


@dataclass(frozen=True, eq=False)
class BenchmarkResult:
    """P-values of many replicates.

    Attributes
    ----------
    pvalues : DataFrame
        One row per replicate: ``control``, ``replicate`` and one column per test; NaN where the replicate
        failed.
    alpha : float
        Level at which rejections are counted.
    failures : dict of str to int
        Error messages and how often they came.

    Examples
    --------
    >>> from simresid import benchmark_tests
    >>> result = benchmark_tests(lambda rng: {"fair": rng.random()}, n_replicates=100)
    >>> list(result.summary().columns[:5]), result.failures
    (['control', 'test', 'n', 'rate', 'low'], {})
    """

    pvalues: pd.DataFrame
    alpha: float
    failures: dict[str, int]

    def summary(self) -> pd.DataFrame:
        """Rejection rates.

        Returns
        -------
        DataFrame
            One row per control value and test: ``n``, ``rate`` (proportion of p-values at or below `alpha`),
            ``low`` and ``high`` (exact 95 % interval), ``mean_pvalue``, ``uniformity_pvalue``
            (Kolmogorov-Smirnov, of the p-values).
        """
        import pandas as pd
        from scipy.stats import binomtest, kstest

        rows = []
        tests = [c for c in self.pvalues.columns if c not in ("control", "replicate")]
        for control, part in self.pvalues.groupby("control", dropna=False, sort=False):
            for test in tests:
                p = part[test].dropna().to_numpy()
                if p.size == 0:
                    continue
                hits = int(np.count_nonzero(p <= self.alpha))
                low, high = binomtest(hits, p.size).proportion_ci(0.95, method="exact")
                rows.append(
                    {
                        "control": control,
                        "test": test,
                        "n": p.size,
                        "rate": hits / p.size,
                        "low": low,
                        "high": high,
                        "mean_pvalue": p.mean(),
                        "uniformity_pvalue": kstest(p, "uniform").pvalue,
                    }
                )
        return pd.DataFrame(rows)

    def plot(self, ax: Any = None) -> Any:
        """Draw the rejection rates; see `simresid.plot_calibration`.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        Axes
            The axes drawn on.
        """
        from simresid.plots import plot_calibration

        return plot_calibration(self, ax)

    def __repr__(self) -> str:
        return self.summary().to_string(float_format=lambda v: f"{v:.3g}")


@known_elsewhere(seed="rng=", level=ALPHA)
def benchmark_tests(
    calculate: Callable[..., Any],
    control_values: Sequence[Any] | None = None,
    n_replicates: int = 100,
    *,
    alpha: float = 0.05,
    rng: Any = 123,
    n_jobs: int | None = None,
    progress: bool = False,
) -> BenchmarkResult:
    """Measure rejection rates of tests.

    Parameters
    ----------
    calculate : callable
        ``calculate(rng)``, or ``calculate(control, rng)`` when there are control values. Creates data, fits,
        tests, and returns a p-value, a test result, or a mapping of names to either.
    control_values : sequence, optional
        Strengths of a defect, say.
    n_replicates : int
        Runs per control value.
    alpha : float
        Level.
    rng : int, SeedSequence or Generator
        Every replicate gets its own spawned generator, the same for any number of workers.
    n_jobs : int, optional
        Workers, as in joblib.
    progress : bool
        Show a progress bar.

    Returns
    -------
    BenchmarkResult
        Replicates that raise an ordinary error are counted in `failures`, not hidden.

    Raises
    ------
    RuntimeError
        If every replicate fails.

    Examples
    --------
    >>> from simresid import benchmark_tests
    >>> def uniform_pvalue(rng):
    ...     return {"fair": rng.random(), "liberal": rng.random() ** 2}
    >>> rates = benchmark_tests(uniform_pvalue, n_replicates=500).summary().set_index("test")["rate"]
    >>> bool(rates["fair"] < 0.09), bool(rates["liberal"] > 0.15)
    (True, True)
    """
    import pandas as pd
    from joblib import Parallel, delayed

    require_level(alpha, "alpha")
    require_whole(n_replicates, "n_replicates", least=1)
    require_workers(n_jobs)
    controls = [None] if control_values is None else list(control_values)
    source = np.random.default_rng(rng).integers(2**63)
    seeds = np.random.SeedSequence(source).spawn(len(controls) * n_replicates)
    tasks = [(control, k) for control in controls for k in range(n_replicates)]
    runs = Parallel(n_jobs=workers_for(len(tasks), n_jobs), return_as="generator")(
        delayed(_run)(calculate, control, control_values is not None, seed)
        for (control, _), seed in zip(tasks, seeds, strict=True)
    )
    if progress:
        from tqdm import tqdm

        runs = tqdm(runs, total=len(tasks), desc="replicates", disable=None)
    rows: list[dict[str, Any]] = []
    failures: dict[str, int] = {}
    for (control, k), (values, error) in zip(tasks, runs, strict=True):
        rows.append({"control": control, "replicate": k, **values})
        if error:
            failures[error] = failures.get(error, 0) + 1
    if sum(failures.values()) == len(tasks):
        raise RuntimeError(f"every replicate failed; the first said: {next(iter(failures))}")
    return BenchmarkResult(pd.DataFrame(rows), alpha, failures)


def _run(
    calculate: Callable[..., Any], control: Any, has_control: bool, seed: np.random.SeedSequence
) -> tuple[dict[str, float], str]:
    rng = np.random.default_rng(seed)
    try:
        value = calculate(control, rng) if has_control else calculate(rng)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, RuntimeError) as error:
        return {}, f"{type(error).__name__}: {error}"
    named = value if isinstance(value, Mapping) else {"pvalue": value}
    return {str(name): float(getattr(v, "pvalue", v)) for name, v in named.items()}, ""
