"""Fitted models of other libraries seen through the `FittedModel` protocol.

`as_fitted_model` picks the adapter by the name of the module that defines the object's class, so nothing is
imported that the user has not imported already. One file per library; `register_adapter` adds a library from
outside.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simresid.adapters._unsupported import unsupported

if TYPE_CHECKING:
    from simresid.adapters.regressors import RegressorFit
    from simresid.protocol import FittedModel

__all__ = ["RegressorFit", "as_fitted_model", "register_adapter"]

Adapter = Callable[[Any], "FittedModel"]

# First part of a module name -> "module:function" here, or a function registered from outside.
_ADAPTERS: dict[str, str | Adapter] = {
    "statsmodels": "simresid.adapters.statsmodels_table:adapt",
    "mixedlm": "simresid.adapters.mixedlm:adapt",
    "gpboost": "simresid.adapters.gpboost:adapt",
    "sklearn": "simresid.adapters.regressors:adapt",
    "glum": "simresid.adapters.regressors:adapt",
    "arviz": "simresid.adapters.inference_data:adapt",
    "xarray": "simresid.adapters.inference_data:adapt",
    "datatree": "simresid.adapters.inference_data:adapt",
    "bambi": "simresid.adapters.inference_data:adapt",
    "pymc": "simresid.adapters.inference_data:adapt",
}


def as_fitted_model(obj: Any) -> FittedModel:
    """Return `obj` as a `simresid.protocol.FittedModel`.

    Parameters
    ----------
    obj : object
        Something that already fulfils the protocol (returned as it is), or fitted results of statsmodels,
        mixedlm, GPBoost, posterior predictive draws in an ArviZ ``InferenceData`` or ``DataTree``, or an
        object of a library added by `register_adapter`. scikit-learn and glum regressors do not keep their
        data: wrap them in `RegressorFit`.

    Returns
    -------
    FittedModel
        An object with `observed`, `fitted`, `nobs` and `simulate`.

    Raises
    ------
    TypeError
        The object is unknown, or the model states no law that could be simulated; the message says what to
        do.

    Examples
    --------
    >>> import numpy as np, statsmodels.api as sm
    >>> from simresid import as_fitted_model
    >>> x = np.linspace(0, 1, 40)
    >>> y = np.random.default_rng(1).poisson(np.exp(1 + x))
    >>> results = sm.GLM(y, sm.add_constant(x), family=sm.families.Poisson()).fit()
    >>> model = as_fitted_model(results)
    >>> model
    <RefittableGLMFit: GLM Poisson(log): y ~ const + x1, 40 rows>
    >>> model.simulate(3, rng=1).shape
    (3, 40)
    """
    from simresid.protocol import FittedModel

    cls = type(obj)
    adapter = _adapter_of(cls)
    if adapter is None:
        # A class has the attributes of its instances, and a library may call a method `fitted`.
        if isinstance(obj, FittedModel) and not isinstance(obj, type) and not callable(obj.fitted):
            return obj
        adapter = next(filter(None, map(_adapter_of, cls.__mro__[1:])), None)
    if adapter is None:
        raise unsupported(f"{cls.__module__}.{cls.__qualname__} is not a fitted model that simresid knows.")
    return adapter(obj)


def register_adapter(module_prefix: str, function: Adapter) -> None:
    """Let `as_fitted_model` use `function` for objects whose class lives in `module_prefix`.

    Parameters
    ----------
    module_prefix : str
        A module name such as ``"mylib"`` or ``"mylib.glm"``; the longest registered prefix wins, and classes
        derived from one of that module count as well.
    function : callable
        Takes the object, returns a `simresid.protocol.FittedModel`; raises TypeError for what it cannot
        adapt.

    Examples
    --------
    >>> from simresid import register_adapter
    >>> register_adapter("mylib", lambda fit: fit.as_model())  # doctest: +SKIP
    """
    if not module_prefix or not callable(function):
        raise ValueError("register_adapter needs a module name and a function of one object")
    _ADAPTERS[module_prefix] = function


def _adapter_of(cls: type) -> Adapter | None:
    """Return the adapter registered for the module of `cls` or the nearest package around it."""
    parts = cls.__module__.split(".")
    for length in range(len(parts), 0, -1):
        found = _ADAPTERS.get(".".join(parts[:length]))
        if found is not None:
            return _load(found)
    return None


def _load(found: str | Adapter) -> Adapter:
    if not isinstance(found, str):
        return found
    module, _, function = found.partition(":")
    adapter: Adapter = getattr(importlib.import_module(module), function)
    return adapter


def __getattr__(name: str) -> Any:
    if name == "RegressorFit":
        from simresid.adapters.regressors import RegressorFit

        return RegressorFit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
