"""The embedded data are those of their sources, typed as documented and fit for committing."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simresid import datasets

# Rows, and the sum of the response: as sum() gives it in R for the data sets of lme4 and glmmTMB; orobanche
# and beitler_landis from the margins of the published tables; clinics from its published treatment means,
# 7.625 and 32; lots is simulated, its total is that of the file as first committed.
KNOWN = {
    "beitler_landis": (16, "fav", 102),
    "cbpp": (56, "incidence", 99),
    "clinics": (16, "count", 317),
    "grouseticks": (403, "TICKS", 2567),
    "lots": (48, "y", 271),
    "orobanche": (21, "germ", 424),
    "owls": (599, "SiblingNegotiation", 4025),
    "pastes": (60, "strength", 3603.2),
    "penicillin": (144, "diameter", 3308),
    "salamanders": (644, "count", 852),
    "sleepstudy": (180, "Reaction", 53731.4205),
}

# Reference files that go by another name.
REFERENCE = {
    "beitler_landis": "beitler_clinics",
    "clinics": "clinic_counts",
    "lots": "lots_simulated",
    "orobanche": "crowder_seeds",
}


def test_table_of_known_values_is_complete():
    assert sorted(KNOWN) == datasets.names()


@pytest.mark.parametrize("name", datasets.names())
def test_size_and_total(name):
    n_rows, response, total = KNOWN[name]
    data = datasets.load(name)
    assert len(data) == n_rows
    assert data[response].sum() == pytest.approx(total, rel=1e-12)
    assert not data.isna().any(axis=None)


@pytest.mark.parametrize("name", datasets.names())
def test_columns_are_described_and_are_numbers_or_labels(name):
    data = datasets.load(name)
    text = datasets.describe(name)
    assert all(f"  {column} " in text for column in data)
    assert "Source: " in text
    for column in data:
        kind = data[column].dtype
        assert isinstance(kind, pd.CategoricalDtype) or kind in (np.int64, np.float64), column


@pytest.mark.shared
@pytest.mark.parametrize("name", datasets.names())
def test_values_equal_the_reference_files(name, shared):
    theirs = pd.read_csv(shared / "reference" / "data" / f"{REFERENCE.get(name, name)}.csv")
    ours = datasets.load(name)
    if name == "grouseticks":
        theirs["YEAR"] += 1900
    for column in ours:
        if isinstance(ours[column].dtype, pd.CategoricalDtype):
            assert list(ours[column]) == list(theirs[column].astype(str)), column
        else:
            np.testing.assert_array_equal(ours[column], theirs[column], err_msg=column)


def test_numeric_labels_are_in_numeric_order():
    assert list(datasets.load("cbpp")["herd"].cat.categories) == [str(i) for i in range(1, 16)]


def test_each_call_reads_anew():
    first = datasets.load("clinics")
    first["count"] = 0
    assert datasets.load("clinics")["count"].sum() == KNOWN["clinics"][2]


@pytest.mark.parametrize("function", [datasets.load, datasets.describe])
def test_unknown_name_lists_the_known_ones(function):
    with pytest.raises(ValueError, match=r"no data set 'webworm'; there are .*salamanders"):
        function("webworm")


def test_every_file_is_small_cited_and_has_a_loader():
    folder = Path(str(files("simresid"))) / "data"
    text = (folder / "README.md").read_text(encoding="utf-8")
    stems = sorted(path.stem for path in folder.glob("*.csv"))
    assert stems == datasets.names()
    for stem in stems:
        assert f"| {stem}.csv |" in text
        assert (folder / f"{stem}.csv").stat().st_size < 50_000
