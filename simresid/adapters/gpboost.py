"""GPBoost: mixed models with grouped random effects and Gaussian processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import sparse, special

from simresid.adapters._count_laws import Binomial, NegativeBinomial, Poisson
from simresid.adapters._laws import Beta, Gamma, Law, LogNormal, Normal
from simresid.adapters._mixed_rows import MixedRows
from simresid.adapters._rows import ConditionalRows, redraws_random_effects, response_for_refit
from simresid.adapters._unsupported import unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from simresid.alignment import FloatArray
    from simresid.protocol import RandomEffects


__all__ = ["GaussianProcessFit", "GroupedFit", "adapt"]


class _Component(NamedTuple):
    """One independent random effect: its column of groups, and its covariate unless it is an intercept."""

    groups: int
    covariate: int | None


class GroupedFit(MixedRows):
    """A fitted ``gpboost.GPModel`` with grouped random effects only: as predicted, drawn anew, or fitted again.

    Laws and log-likelihood constants are those of GPBoost's likelihoods (log-normal: ``E[y] = exp(eta)``). Of the
    GPModel it keeps class, arrays and options: the model itself holds a pointer and cannot be pickled.
    """

    refit_effort = 10.0

    def __init__(self, model: Any) -> None:
        observed, law_at, trials = _likelihood(model)
        designs = _designs(model, observed.size)
        super().__init__(
            law_at,
            _fixed_part(model, observed.size),
            _random_part(model, designs),
            _root(model, designs),
            observed,
            **_known(model, trials),
        )
        self._class = type(model)
        self._constructor = {
            "likelihood": model._get_likelihood_name(),
            "group_data": model.group_data,
            "group_rand_coef_data": model.group_rand_coef_data,
            "ind_effect_group_rand_coef": model.ind_effect_group_rand_coef,
            "drop_intercept_group_rand_effect": model.drop_intercept_group_rand_effect,
            "cluster_ids": model.cluster_ids,
            "matrix_inversion_method": model.matrix_inversion_method,
            "weights": model.weights,
        }
        self._given = {
            "X": model._get_covariate_data() if model.has_covariates else None,
            "offset": model._get_offset_data() if model.has_offset else None,
        }

    def refit(self, y: ArrayLike) -> GroupedFit:
        """Fit the same random effects, covariates and offset to `y` (successes, for k-of-n responses)."""
        response = response_for_refit(y, self.nobs)
        if self.trials is not None:
            response = response / self.trials
        return type(self)(self._class(**self._constructor).fit(y=response, **self._given))


class GaussianProcessFit(ConditionalRows):
    """A fit with a Gaussian process as predicted: no mean over new processes, whose covariance is not read."""

    has_random_effects = True

    def __init__(self, model: Any) -> None:
        observed, law_at, trials = _likelihood(model)
        predictor = _fixed_part(model, observed.size) + _random_part(model, _designs(model, observed.size))
        super().__init__(law_at(predictor), observed, **_known(model, trials))

    def simulate(self, n_sims: int, *, rng: Any = None, random_effects: RandomEffects = "conditional") -> NDArray[Any]:
        """Draw `n_sims` responses ``(n_sims, n)`` given the predicted process."""
        if redraws_random_effects(random_effects, True):
            raise ValueError(
                "a Gaussian process of GPBoost is simulated as predicted, not drawn anew: "
                "use random_effects='conditional'"
            )
        return self.law.draw(n_sims, np.random.default_rng(rng))


def adapt(model: Any) -> GroupedFit | GaussianProcessFit:
    """Adapt a fitted ``gpboost.GPModel``."""
    name = type(model).__name__
    if name != "GPModel":
        raise unsupported(f"gpboost.{name} has no adapter: trees hold its fixed part, which a GPModel lacks.")
    if not getattr(model, "model_fitted", False):
        raise TypeError("fit the GPModel before its residuals are simulated")
    if getattr(model, "used_in_gpboost_algorithm", False):
        raise unsupported("This gpboost.GPModel was trained together with trees, which hold its fixed part.")
    if model.num_gp == 0:
        return GroupedFit(model)
    if model.num_gp > 1 or model.num_gp_rand_coef:
        raise unsupported("A gpboost.GPModel with several Gaussian processes has no adapter.")
    return GaussianProcessFit(model)


def _components(model: Any) -> list[_Component]:
    """Return the grouped random effects in GPBoost's order: all intercepts, then all random coefficients."""
    dropped = model.drop_intercept_group_rand_effect
    keeps = np.ones(model.num_group_re, bool) if dropped is None else ~np.ravel(dropped).astype(bool)
    components = [_Component(int(group), None) for group in np.flatnonzero(keeps)]
    if model.num_group_rand_coef:
        owners = np.ravel(model.ind_effect_group_rand_coef)
        components += [_Component(int(owner) - 1, k) for k, owner in enumerate(owners)]
    if len(components) + model.num_gp != len(model.re_comp_names):
        raise RuntimeError(f"GPBoost names the random effects {model.re_comp_names}, not one per component")
    return components


def _known(model: Any, trials: FloatArray | None) -> dict[str, Any]:
    """Return what a GPModel tells of itself, whatever its random effects."""
    return {
        "description": f"gpboost.GPModel {model._get_likelihood_name()}: {' + '.join(model.re_comp_names)}",
        "data": _data(model),
        "trials": trials,
        "llf": -float(model.get_current_neg_log_likelihood()),
    }


def _random_part(model: Any, designs: FloatArray) -> FloatArray:
    """Return the predicted random part of the linear predictor ``(n,)``."""
    effects = np.asarray(model.predict_training_data_random_effects(), float)
    return np.asarray(np.sum(designs * effects, axis=1))


def _designs(model: Any, n_rows: int) -> FloatArray:
    """Return what each random effect is multiplied by, one column per effect ``(n, effects)``."""
    columns = [
        np.ones(n_rows) if part.covariate is None else np.asarray(model.group_rand_coef_data)[:, part.covariate]
        for part in _components(model)
    ]
    return np.column_stack(columns + [np.ones(n_rows)] * model.num_gp).astype(float)


def _root(model: Any, designs: FloatArray) -> sparse.csr_array:
    """Root of the covariance of the grouped random part, one block of columns per random effect."""
    n_rows = designs.shape[0]
    variances = dict(zip(model.cov_par_names, np.ravel(model.get_cov_pars(format_pandas=False)), strict=True))
    clusters = (
        np.zeros(n_rows, int) if model.cluster_ids is None else np.unique(model.cluster_ids, return_inverse=True)[1]
    )
    blocks = []
    for position, part in enumerate(_components(model)):
        labels = np.unique(np.asarray(model.group_data)[:, part.groups], return_inverse=True)[1].ravel()
        # Clusters are independent data sets: the same label in two of them is two levels.
        levels = np.unique(clusters * (labels.max() + 1) + labels, return_inverse=True)[1]
        values = designs[:, position] * np.sqrt(variances[model.re_comp_names[position]])
        blocks.append(sparse.csr_array((values, (np.arange(n_rows), levels))))
    return sparse.csr_array(sparse.hstack(blocks)) if blocks else sparse.csr_array((n_rows, 0))


def _fixed_part(model: Any, n_rows: int) -> FloatArray:
    fixed = np.zeros(n_rows)
    if model.has_covariates:
        fixed = np.asarray(model._get_covariate_data()) @ np.ravel(model.get_coef(format_pandas=False))
    return fixed + np.ravel(model._get_offset_data()) if model.has_offset else fixed


def _likelihood(model: Any) -> tuple[FloatArray, Callable[[FloatArray], Law], FloatArray | None]:
    """Return the observed response, the law at a linear predictor, and the trials if there are any."""
    name = model._get_likelihood_name()
    y = np.array(model._get_response_data(), float).ravel()
    if name in ("binomial_logit", "binomial_probit"):
        trials = np.ones(y.size) if model.weights is None else np.asarray(model.weights, float)
        successes = np.rint(y * trials)
        if np.any(np.abs(y * trials - successes) > 1e-6) or np.any(trials != np.rint(trials)):
            raise TypeError("a binomial GPModel needs proportions with whole numbers of trials as weights")
        inverse = special.expit if name.endswith("logit") else special.ndtr
        return successes, lambda eta: Binomial(trials, inverse(eta)), trials
    if model.weights is not None and np.any(np.asarray(model.weights) != 1):
        raise TypeError(f"weights of a {name} GPModel are powers of its likelihood, not a law")
    auxiliary = np.ravel(model.get_aux_pars(format_pandas=False) if name not in _NO_AUXILIARY else [])
    one = np.ones(y.size)
    # Of a gaussian model the first covariance parameter is the error variance.
    noise = np.sqrt(np.ravel(model.get_cov_pars(format_pandas=False))[0])
    laws: dict[str, Callable[[FloatArray], Law]] = {
        "gaussian": lambda eta: Normal(eta, noise * one),
        "poisson": lambda eta: Poisson(np.exp(eta)),
        "bernoulli_logit": lambda eta: Binomial(one, special.expit(eta)),
        "bernoulli_probit": lambda eta: Binomial(one, special.ndtr(eta)),
        "gamma": lambda eta: Gamma(np.exp(eta), one / auxiliary[0]),
        "negative_binomial": lambda eta: NegativeBinomial(np.exp(eta), one * auxiliary[0]),
        "negative_binomial_1": lambda eta: NegativeBinomial(np.exp(eta), np.exp(eta) / auxiliary[0]),
        "lognormal": lambda eta: LogNormal(np.exp(eta), one * auxiliary[0]),
        "beta": lambda eta: Beta(special.expit(eta), one * auxiliary[0]),
    }
    if name not in laws:
        raise unsupported(f"The gpboost.GPModel likelihood {name!r} has no adapter.")
    return y, laws[name], None


_NO_AUXILIARY = ("gaussian", "poisson", "bernoulli_logit", "bernoulli_probit")


def _data(model: Any) -> pd.DataFrame | None:
    import pandas as pd

    if not model.has_covariates:
        return None
    return pd.DataFrame(np.asarray(model._get_covariate_data()), columns=list(model.coef_names))
