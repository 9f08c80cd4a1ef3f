"""The one error for what cannot be adapted: it names the type and shows the two ways out."""

from __future__ import annotations

__all__ = ["unsupported"]

_WAYS_OUT = """\
Either simulate responses yourself, one row per replicate:

    simulated = np.stack([draw_response(rng) for _ in range(250)])      # (n_sims, n)
    res = simresid.from_simulations(simulated, observed, fitted=mean)

or give the model four attributes, which makes it a FittedModel:

    class MyModel:
        def __init__(self, fit, y):
            self.observed = np.asarray(y, float)         # (n,)
            self.fitted = fit.predict_mean()             # (n,), the mean of the simulations
            self.nobs = len(y)

        def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
            rng = np.random.default_rng(rng)
            return rng.poisson(self.fitted, size=(n_sims, self.nobs))

    res = simresid.simulate_residuals(MyModel(fit, y))

simresid.protocol.conformance.check_fitted_model(MyModel(fit, y)) tests such a class."""


def unsupported(reason: str) -> TypeError:
    """Return the error for an object no adapter can take; `reason` is a sentence that names its type."""
    return TypeError(f"{reason}\n\n{_WAYS_OUT}")
