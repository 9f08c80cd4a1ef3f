"""Response distributions: a registry by name; a family that is not asked for is not imported.

>>> get_family("nbinom2")
nbinom2(log)
>>> get_family("binomial", link="probit")
binomial(probit)
"""

from __future__ import annotations

import difflib
from importlib import import_module

from glmmcore.errors import ModelError
from glmmcore.families.base import Family
from glmmcore.families.links import Link

__all__ = ["FAMILIES", "get_family"]

FAMILIES: dict[str, tuple[str, str]] = {
    "gaussian": ("gaussian", "Gaussian"),
    "binomial": ("binomial", "Binomial"),
    "betabinomial": ("betabinomial", "BetaBinomial"),
    "beta": ("beta", "Beta"),
    "ordbeta": ("ordbeta", "OrdBeta"),
    "gamma": ("gamma", "Gamma"),
    "lognormal": ("lognormal", "LogNormal"),
    "poisson": ("poisson", "Poisson"),
    "nbinom1": ("nbinom1", "NegativeBinomial1"),
    "nbinom2": ("nbinom2", "NegativeBinomial2"),
    "nbinom12": ("nbinom12", "NegativeBinomial12"),
    "genpois": ("genpois", "GeneralizedPoisson"),
    "compois": ("compois", "COMPoisson"),
    "bell": ("bell", "Bell"),
    "tweedie": ("tweedie", "Tweedie"),
    "t": ("t", "StudentT"),
    "skewnormal": ("skewnormal", "SkewNormal"),
    "truncated_poisson": ("truncated", "TruncatedPoisson"),
    "truncated_nbinom1": ("truncated", "TruncatedNegativeBinomial1"),
    "truncated_nbinom2": ("truncated", "TruncatedNegativeBinomial2"),
}


_NAMED_ELSEWHERE = {
    "zip": "zero-inflated counts are family='poisson' with zi='~ 1'",
    "zinb": "zero-inflated counts are family='nbinom2' with zi='~ 1'",
    "zib": "zero-inflated k of n are family='binomial' with zi='~ 1'",
    "hurdle": "a hurdle is family='truncated_poisson' or 'truncated_nbinom2' with zi='~ 1'",
    "quasipoisson": "a variance that is a multiple of the mean is family='nbinom1'",
    "quasibinomial": "more spread than binomial is family='betabinomial'",
    "quasi": "use family='nbinom1' for counts, 'betabinomial' for k of n",
    "negbin": "counts whose variance grows with the square of the mean are family='nbinom2'",
    "nb": "counts whose variance grows with the square of the mean are family='nbinom2'",
    "bernoulli": "single 0/1 outcomes are family='binomial'",
    "logistic": "logistic regression is family='binomial'",
    "normal": "that is family='gaussian'",
    "lm": "that is family='gaussian'",
    "student": "that is family='t'",
    "exponential": "family='gamma' has the exponential law as a special case",
    "inversegaussian": "there is none; family='lognormal' and 'gamma' have positive values too",
    "multinomial": "responses with more than two unordered classes cannot be fitted",
    "cumulative": "ordered classes cannot be fitted",
    "ordinal": "ordered classes cannot be fitted",
}
"""What other software calls families, and what they are here."""
_ELSEWHERE_ALSO = {
    "zipoisson": "zip", "zeroinflatedpoisson": "zip", "zeroinfl": "zip", "zinb1": "zinb", "zinb2": "zinb",
    "zinbinom": "zinb", "zeroinflatednegativebinomial": "zinb", "zeroinflatednegbinomial": "zinb", "zinegbin": "zinb",
    "zibinomial": "zib", "zeroinflatedbinomial": "zib", "hurdlepoisson": "hurdle", "hurdlenegbinomial": "hurdle",
    "negativebinomial": "negbin", "negbinomial": "negbin", "nbinom": "negbin", "nbinomial": "negbin", "nb2": "negbin",
    "logit": "logistic", "studentt": "student", "inversegauss": "inversegaussian", "categorical": "multinomial",
    "clm": "ordinal", "clmm": "ordinal", "polr": "ordinal", "quasilikelihood": "quasi",
}  # fmt: skip


def _elsewhere(name: str) -> str:
    """Advice on a family under the name that other software has for it, or nothing."""
    bare = "".join(char for char in name if char.isalnum())
    return _NAMED_ELSEWHERE.get(_ELSEWHERE_ALSO.get(bare, bare), "")


def get_family(family: str | Family, link: str | Link | None = None) -> Family:
    """Look a family up by name.

    Parameters
    ----------
    family : str or Family
        A name that `glmm` knows, in upper or lower case, or a ready family, which is returned as it is.
    link : str or Link, optional
        Link of the mean; the family's default without it.

    Returns
    -------
    Family
        The response distribution with its link.

    Raises
    ------
    ModelError
        For an unknown name (with the near ones) or a link that the family does not have.

    Examples
    --------
    >>> from glmmcore import get_family
    >>> get_family("gamma").link.name
    'log'
    """
    if isinstance(family, Family):
        if link is not None and Link.get(link).name != family.link.name:
            raise ModelError(f"family {family!r} already has a link; pass link= or a family object, not both")
        return family
    name = str(family).lower()
    if name not in FAMILIES:
        if advice := _elsewhere(name):
            raise ModelError(f"unknown family '{family}': {advice}")
        near = difflib.get_close_matches(name, FAMILIES, n=3, cutoff=0.5)
        hint = f" (did you mean {' or '.join(repr(n) for n in near)}?)" if near else ""
        raise ModelError(f"unknown family '{family}'{hint}; choose one of {', '.join(FAMILIES)}")
    module, cls = FAMILIES[name]
    found: Family = getattr(import_module(f"glmmcore.families.{module}"), cls)(link)
    return found
