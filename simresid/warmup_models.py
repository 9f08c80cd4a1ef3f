"""`warmup`: compile, or load from the cache, what a first model needs, before somebody waits for it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from simresid.fitting import fit_formula
from simresid.simulate import simulate_residuals

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["warmup"]

RANDOM_PARTS = ("(x|g) + (1|h)", "(1|g) + (1|h)")
# Copies of the small data that make the rows of a level worth working with together.
COPIES = 50
# As few as a test takes: they compile what three hundred would.
N_REFITS = 3

_UNIT, _POSITIVE, _TRUNCATED = ("beta", "ordbeta"), ("gamma", "lognormal"), "truncated_"
# Whole numbers alone would let the likelihood of some of these grow without bound, which takes long to find out.
_CONTINUOUS = ("gaussian", "t", "skewnormal", "tweedie", *_POSITIVE)


def warmup(families: str | Iterable[str] = ("gaussian", "binomial", "poisson", "nbinom2")) -> float:
    """Compile all that models of these families and their residuals need, or load it if it was compiled before.

    Fits two small models per family, with and without random slopes, makes their residuals, runs all tests and groups
    the rows; does the same against refits with a single factor; and fits one model with many equal rows. Compiled code
    is kept in Numba's cache, so that this takes seconds once after an install and a second per process later. Worth a
    line where a first answer must be quick:

    * after ``pip install``, or when an image is built: ``python -c "import simresid; simresid.warmup()"``;
    * in the initialiser of worker processes;
    * when a service starts.

    The cache lies beside the packages' files if these can be written to, else in the user's cache folder; the
    environment variable ``NUMBA_CACHE_DIR`` names another one. Set that variable alike when an image is built and when
    it runs, and let those who run it write to the folder: Numba passes over one that cannot be written to. Code is
    compiled for the processor at hand; ``NUMBA_CPU_NAME=generic``, set alike too, makes it serve any processor of the
    kind, somewhat more slowly.

    Parameters
    ----------
    families : str or iterable of str
        Names as `glmmcore.glmm` takes them.

    Returns
    -------
    float
        Seconds taken.

    Examples
    --------
    >>> import simresid
    >>> simresid.warmup("poisson") > 0
    True
    """
    import pandas as pd

    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 60 rows of noise may be singular, which nobody asked about
        for family in [families] if isinstance(families, str) else families:
            data = _data(family)
            response = "cbind(y, 8 - y)" if family == "betabinomial" else "y"
            for random in RANDOM_PARTS:
                formula = f"{response} ~ x + {random}"
                residuals = simulate_residuals(fit_formula(formula, data, family), 20, rng=1)
                # without refits, which take long where random effects of noise are nothing
                residuals.diagnose(null="analytic", n_monte_carlo=0)
                residuals.recalculate(data["g"])
            single = fit_formula(f"{response} ~ x + (1|g)", data, family)
            simulate_residuals(single, 20, rng=1).diagnose(n_refits=N_REFITS, n_monte_carlo=0)
            many = pd.concat([data] * COPIES, ignore_index=True)
            many["g"], many["h"] = np.arange(len(many)) % 20, np.arange(len(many)) // 20 % 16
            fit_formula(f"{response} ~ 1 + (1|g) + (1|h)", many, family)
    return time.perf_counter() - began


def _data(family: str) -> pd.DataFrame:
    """Sixty rows with a response that the family allows."""
    import pandas as pd

    rng = np.random.default_rng(1)
    g = np.arange(60) % 6
    y = rng.poisson(2.0 + 0.5 * g).astype(float)
    if family == "binomial":
        y = np.minimum(y, 1.0)
    elif family in _UNIT:
        y = (y + 1.0) / (y.max() + 2.0)
    elif family in _POSITIVE or family.startswith(_TRUNCATED):
        y += 1.0
    elif family == "betabinomial":
        y = np.minimum(y, 8.0)
    if family in _CONTINUOUS:
        y *= rng.uniform(0.5, 1.5, 60)
    return pd.DataFrame({"y": y, "x": rng.normal(size=60), "g": g, "h": np.arange(60) // 12})
