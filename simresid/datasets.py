"""Small published data sets that come with the package, for examples, documentation and tests."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from textwrap import fill
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["describe", "load", "names"]


@dataclass(frozen=True)
class _Dataset:
    """What is known about one CSV file of `simresid/data`."""

    title: str
    columns: dict[str, str]
    """Column -> meaning with unit; the columns of the file, in order."""
    categories: tuple[str, ...]
    """Columns whose values are labels, also where they look like numbers."""
    source: str


_SALAMANDERS = _Dataset(
    title="Salamanders counted four times in each of 23 streams, some below mountaintop-removal coal mines",
    columns={
        "site": "stream",
        "mined": "whether the stream is affected by mining",
        "cover": "amount of cover objects in the stream, scaled",
        "sample": "visit, 1 to 4",
        "DOP": "days since precipitation, scaled",
        "Wtemp": "water temperature, scaled",
        "DOY": "day of the year, scaled",
        "spp": "species, in two cases with the life stage",
        "count": "number of salamanders",
    },
    categories=("site", "mined", "spp"),
    source=(
        "Price SJ, Muncy BL, Bonner SJ, Drayer AN, Barton CD (2016). Effects of mountaintop removal mining "
        "and valley filling on the occupancy and abundance of stream salamanders. Journal of Applied "
        "Ecology 53, 459-468, doi:10.1111/1365-2664.12585; data package (2015): doi:10.5061/dryad.5m8f6."
    ),
)

_OWLS = _Dataset(
    title="Calls of barn owl nestlings before a parent arrives, 27 nests",
    columns={
        "Nest": "nest",
        "FoodTreatment": "whether the nestlings were fed (satiated) or food was removed (deprived) before",
        "SexParent": "sex of the arriving parent",
        "ArrivalTime": "time of arrival, hours (after midnight counted on from 24)",
        "SiblingNegotiation": "number of calls in the 30 s before arrival",
        "BroodSize": "number of nestlings",
    },
    categories=("Nest", "FoodTreatment", "SexParent"),
    source=(
        "Roulin A, Bersier L-F (2007). Nestling barn owls beg more intensely in the presence of their "
        "mother than in the presence of their father. Animal Behaviour 74, 1099-1106, "
        "doi:10.1016/j.anbehav.2007.01.027; as used by Zuur AF et al. (2009), Mixed Effects Models and "
        "Extensions in Ecology with R, Springer."
    ),
)

_CBPP = _Dataset(
    title="New cases of contagious bovine pleuropneumonia in 15 zebu herds over four periods",
    columns={
        "herd": "herd",
        "incidence": "number of new serological cases in the period",
        "size": "number of animals at the beginning of the period",
        "period": "period, 1 to 4",
    },
    categories=("herd", "period"),
    source=(
        "Lesnoff M et al. (2004). Within-herd spread of contagious bovine pleuropneumonia in Ethiopian "
        "highlands. Preventive Veterinary Medicine 64, 27-40."
    ),
)

_SLEEPSTUDY = _Dataset(
    title="Reaction times of 18 people over ten days with three hours in bed per night",
    columns={
        "Reaction": "mean reaction time, ms",
        "Days": "day; sleep deprivation begins after day 2",
        "Subject": "person",
    },
    categories=("Subject",),
    source=(
        "Belenky G et al. (2003). Patterns of performance degradation and restoration during sleep "
        "restriction and subsequent recovery: a sleep dose-response study. Journal of Sleep Research 12, "
        "1-12."
    ),
)

_GROUSETICKS = _Dataset(
    title="Ticks on the heads of 403 red grouse chicks of 118 broods",
    columns={
        "INDEX": "chick",
        "TICKS": "number of ticks",
        "BROOD": "brood",
        "HEIGHT": "altitude, m",
        "YEAR": "year",
        "LOCATION": "location",
    },
    categories=("INDEX", "BROOD", "YEAR", "LOCATION"),
    source=(
        "Elston DA, Moss R, Boulinier T, Arrowsmith C, Lambin X (2001). Analysis of aggregation, a worked "
        "example: numbers of ticks on red grouse chicks. Parasitology 122, 563-569, "
        "doi:10.1017/S0031182001007740."
    ),
)

_PENICILLIN = _Dataset(
    title="Inhibition of bacterial growth by six samples of penicillin, each tested on 24 plates (crossed)",
    columns={
        "diameter": "diameter of the zone without growth, mm",
        "plate": "assay plate",
        "sample": "sample of penicillin",
    },
    categories=("plate", "sample"),
    source=(
        "Davies OL, Goldsmith PL, eds (1972). Statistical Methods in Research and Production, 4th ed., "
        "section 6.6. Oliver and Boyd."
    ),
)

_PASTES = _Dataset(
    title="Strength of a paste: two tests of each of three casks from each of ten deliveries (nested)",
    columns={
        "strength": "strength of the paste",
        "batch": "delivery",
        "cask": "cask within the delivery: cask a of two deliveries is not the same cask",
    },
    categories=("batch", "cask"),
    source=(
        "Davies OL, Goldsmith PL, eds (1972). Statistical Methods in Research and Production, 4th ed., "
        "section 6.5. Oliver and Boyd."
    ),
)

_OROBANCHE = _Dataset(
    title="Germination of broomrape seeds on 21 plates, two genotypes and two root extracts",
    columns={
        "plate": "plate",
        "gen": "genotype of the parasite: Orobanche aegyptiaca 75 or 73",
        "extract": "root extract that the seeds lay in",
        "germ": "number of seeds that germinated",
        "n": "number of seeds",
    },
    categories=("plate", "gen", "extract"),
    source="Crowder MJ (1978). Beta-binomial anova for proportions. Applied Statistics 27, 34-37, table 3.",
)

_BEITLER_LANDIS = _Dataset(
    title="Clinical trial of a cream against infections in eight clinics",
    columns={
        "clinic": "clinic",
        "trt": "active drug or control",
        "fav": "number of patients with a favourable outcome",
        "n": "number of patients",
    },
    categories=("clinic", "trt"),
    source=("Beitler PJ, Landis JR (1985). A mixed-effects model for categorical data. Biometrics 41, 991-1000."),
)

_CLINICS = _Dataset(
    title="One count per treatment in each of eight clinics: blocks with large differences and few numbers",
    columns={
        "clinic": "clinic",
        "treatment": "treatment, 0 or 1",
        "count": "number of events",
    },
    categories=("clinic", "treatment"),
    source="A teaching example.",
)

_LOTS = _Dataset(
    title="Simulated: counts of defects in eight lots at six amounts of a treatment",
    columns={
        "lot": "lot",
        "x": "amount of the treatment",
        "sample": "sample",
        "y": "number of defects",
    },
    categories=("lot", "sample"),
    source="Simulated for this package: a Poisson model with an intercept and a slope for each lot.",
)

_DATASETS = {
    "beitler_landis": _BEITLER_LANDIS,
    "cbpp": _CBPP,
    "clinics": _CLINICS,
    "grouseticks": _GROUSETICKS,
    "lots": _LOTS,
    "orobanche": _OROBANCHE,
    "owls": _OWLS,
    "pastes": _PASTES,
    "penicillin": _PENICILLIN,
    "salamanders": _SALAMANDERS,
    "sleepstudy": _SLEEPSTUDY,
}


def names() -> list[str]:
    """Names that `load` and `describe` take.

    Returns
    -------
    list of str
        In alphabetical order.

    Examples
    --------
    >>> from simresid import datasets
    >>> "salamanders" in datasets.names()
    True
    """
    return list(_DATASETS)


def load(name: str) -> pd.DataFrame:
    """Read data set `name`, anew at each call.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    DataFrame
        Labels (groups, treatments) are categories in sorted order, numbers by size; all else is
        numeric. `describe` says what the columns mean and whom to cite.

    Raises
    ------
    ValueError
        If there is no such data set; the message lists those there are.

    Examples
    --------
    >>> from simresid import datasets
    >>> datasets.load("cbpp").head(2)
      herd  incidence  size period
    0    1          2    14      1
    1    1          3    12      2
    """
    import pandas as pd

    dataset = _find(name)
    with (files("simresid") / "data" / f"{name}.csv").open(encoding="utf-8") as file:
        data = pd.read_csv(file, dtype=dict.fromkeys(dataset.categories, str))
    for column in dataset.categories:
        levels = sorted(data[column].unique(), key=_level_order)
        data[column] = pd.Categorical(data[column], categories=levels)
    return data


def describe(name: str) -> str:
    """Say what data set `name` is about, what its columns mean and whom to cite.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    str
        Several lines, made for printing.

    Raises
    ------
    ValueError
        If there is no such data set.

    Examples
    --------
    >>> from simresid import datasets
    >>> print(datasets.describe("cbpp"))
    New cases of contagious bovine pleuropneumonia in 15 zebu herds over four periods
    <BLANKLINE>
      herd       herd
      incidence  number of new serological cases in the period
      size       number of animals at the beginning of the period
      period     period, 1 to 4
    <BLANKLINE>
    Source: Lesnoff M et al. (2004). Within-herd spread of contagious bovine pleuropneumonia in ...
    """
    dataset = _find(name)
    width = max(map(len, dataset.columns))
    columns = [f"  {column:<{width}}  {meaning}" for column, meaning in dataset.columns.items()]
    source = fill(f"Source: {dataset.source}", width=100)
    return "\n".join([dataset.title, "", *columns, "", source])


def _find(name: str) -> _Dataset:
    if name not in _DATASETS:
        raise ValueError(f"no data set {name!r}; there are {', '.join(_DATASETS)}")
    return _DATASETS[name]


def _level_order(level: str) -> tuple[bool, int, str]:
    return (not level.isdecimal(), int(level) if level.isdecimal() else 0, level)
