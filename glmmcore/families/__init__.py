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


def get_family(family: str | Family, link: str | Link | None = None) -> Family:
    """Look a family up by name.

    Parameters
    ----------
    family : str or Family
        A key of `FAMILIES` in any case, or a ready family, which is returned as it is.
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
    >>> get_family("gamma").link.name
    'log'
    """
    if isinstance(family, Family):
        if link is not None and Link.get(link).name != family.link.name:
            raise ModelError(f"family {family!r} already has a link; pass link= or a family object, not both")
        return family
    name = str(family).lower()
    if name not in FAMILIES:
        near = difflib.get_close_matches(name, FAMILIES, n=3, cutoff=0.5)
        hint = f" (did you mean {' or '.join(repr(n) for n in near)}?)" if near else ""
        raise ModelError(f"unknown family '{family}'{hint}; choose one of {', '.join(FAMILIES)}")
    module, cls = FAMILIES[name]
    found: Family = getattr(import_module(f"glmmcore.families.{module}"), cls)(link)
    return found
