"""Generalised linear mixed models by maximum likelihood: exact gradients, compiled loops, no R."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glmmcore.errors import DataWarning, ModelError
    from glmmcore.families import get_family
    from glmmcore.fit import glmm
    from glmmcore.fitted import FittedGLMM
    from glmmcore.inference.collinearity import collinearity
    from glmmcore.inference.comparison import compare, drop_terms
    from glmmcore.inference.degrees_of_freedom import satterthwaite
    from glmmcore.inference.inverse_prediction import InversePrediction, inverse_prediction
    from glmmcore.inference.letters import compact_letters
    from glmmcore.inference.marginal_effects import for_marginaleffects
    from glmmcore.inference.margins import marginal_means
    from glmmcore.inference.side_by_side import side_by_side
    from glmmcore.inference.slopes import slopes
    from glmmcore.inference.standardised import avg_comparisons, avg_predictions
    from glmmcore.inference.wald import wald_tests
    from glmmcore.many.batch import ManyFits
    from glmmcore.many.power import power
    from glmmcore.many_responses import fit_many

__all__ = [
    "DataWarning",
    "FittedGLMM",
    "InversePrediction",
    "ManyFits",
    "ModelError",
    "avg_comparisons",
    "avg_predictions",
    "collinearity",
    "compact_letters",
    "compare",
    "drop_terms",
    "fit_many",
    "for_marginaleffects",
    "get_family",
    "glmm",
    "inverse_prediction",
    "marginal_means",
    "power",
    "satterthwaite",
    "side_by_side",
    "slopes",
    "wald_tests",
]

# Loaded on first use: importing the package must not cost what fitting does.
_HOME = {
    "DataWarning": "glmmcore.errors",
    "FittedGLMM": "glmmcore.fitted",
    "InversePrediction": "glmmcore.inference.inverse_prediction",
    "ManyFits": "glmmcore.many.batch",
    "ModelError": "glmmcore.errors",
    "avg_comparisons": "glmmcore.inference.standardised",
    "avg_predictions": "glmmcore.inference.standardised",
    "collinearity": "glmmcore.inference.collinearity",
    "compact_letters": "glmmcore.inference.letters",
    "compare": "glmmcore.inference.comparison",
    "drop_terms": "glmmcore.inference.comparison",
    "fit_many": "glmmcore.many_responses",
    "for_marginaleffects": "glmmcore.inference.marginal_effects",
    "get_family": "glmmcore.families",
    "glmm": "glmmcore.fit",
    "inverse_prediction": "glmmcore.inference.inverse_prediction",
    "marginal_means": "glmmcore.inference.margins",
    "power": "glmmcore.many.power",
    "satterthwaite": "glmmcore.inference.degrees_of_freedom",
    "side_by_side": "glmmcore.inference.side_by_side",
    "slopes": "glmmcore.inference.slopes",
    "wald_tests": "glmmcore.inference.wald",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'glmmcore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
