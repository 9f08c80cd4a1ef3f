"""Which null distribution a test uses.

``"refits"``
    The same statistic of the model fitted anew to data simulated from it with new random effects. The only one that
    knows that a fit follows its data.
``"simulated"``
    The residuals of the simulated data sets, not refitted: right where nothing was fitted to the data.
``"analytic"``
    Theory for independent rows of a known law.
``"auto"``
    Refits where the model can refit, as many as `simresid.checks.nulls.plan` allows; otherwise ``"simulated"`` where
    simulations redraw random effects and ``"analytic"`` where they do not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from simresid.checks.inputs import is_simulated
from simresid.checks.nulls.plan import Plan, automatic_plan, fixed_plan
from simresid.checks.nulls.refit_pool import RefitPool, RefitsFailed, why_no_refits

__all__ = ["NullKind", "against_refits", "check_null", "without_refits"]

NullKind: TypeAlias = Literal["auto", "refits", "simulated", "analytic"]

T = TypeVar("T")


def check_null(null: str, n_refits: int | None, words: str = "'auto', 'refits', 'simulated' or 'analytic'") -> None:
    """Raise ValueError for an unknown word, or for a number of refits where there are to be none."""
    if not isinstance(null, str) or null not in get_args(NullKind):
        raise ValueError(f"null={null!r}; choose {words}")
    if n_refits is not None and null not in ("auto", "refits"):
        raise ValueError(f"n_refits={n_refits} goes with null='refits', not with null={null!r}")


def against_refits(
    res: Any, null: str, n_refits: int | None, test: Callable[[RefitPool, Plan], T], *, with_simulations: bool = False
) -> tuple[T | None, tuple[str, ...]]:
    """Result of a test against refits, or None and the reason why there are none.

    Parameters
    ----------
    res : SimulatedResiduals or array_like
    null : {"auto", "refits", "simulated", "analytic"}
    n_refits : int or None
    test : callable
        Takes the pool of refits and a plan.
    with_simulations : bool
        Whether the test needs simulations of every refit.

    Raises
    ------
    ValueError
        If refits were asked for and the residuals do not allow them.
    """
    check_null(null, n_refits)
    if null not in ("auto", "refits"):
        return None, ()
    reason = why_no_refits(res) if is_simulated(res) else "a plain array of residuals has no model"
    if reason:
        if null == "refits" or n_refits is not None:
            raise ValueError(f"null='refits' is not possible: {reason}")
        return None, ()
    plan = automatic_plan(res) if n_refits is None else fixed_plan(n_refits)
    try:
        return test(res.pool_with_simulations if with_simulations else res.refit_pool, plan), ()
    except RefitsFailed as failure:
        return None, (f"No null distribution from refits: {failure}.",)


def without_refits(null: str) -> Any:
    """Null distribution to fall back on."""
    return "auto" if null == "refits" else null
