"""Proportions of ``--trials``: models that have none but 0 and 1 are read as the others of the screen are."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from simresid.cli import main

FORMULA = "--family", "binomial", "--trials", "n", "--sims", "20", "--fail-on", "never", "--json"


@pytest.fixture(scope="module")
def data():
    """Shares of two clinics, in the second of which all or none got better."""
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"x": rng.normal(size=80).round(3), "n": rng.integers(2, 6, 80), "clinic": np.repeat([1, 2], 40)})
    d["k"] = np.where(d["clinic"] == 1, rng.binomial(d["n"], 0.6), rng.integers(0, 2, 80) * d["n"])
    return d.assign(share=d["k"] / d["n"])


def likelihoods(capsys, *arguments):
    assert main(["screen", *arguments, *FORMULA]) == 0
    return [row["llf"] for row in json.loads(capsys.readouterr().out)]


def test_groups_of_rows(data, tmp_path, capsys):
    file = tmp_path / "all.csv"
    data.to_csv(file, index=False)
    found = likelihoods(capsys, str(file), "--by", "clinic", "--formula", "share ~ x")
    assert found == pytest.approx(likelihoods(capsys, str(file), "--by", "clinic", "--formula", "k ~ x"), rel=1e-9)
    assert found == pytest.approx(likelihoods(capsys, str(file), "--by", "clinic", "--formula", "k/n ~ x"), rel=1e-9)
    second = data[data["clinic"] == 2]
    assert found[1] == pytest.approx(glmm("k ~ x", second, family="binomial", trials="n").llf, rel=1e-9)


def test_files_of_a_folder(data, tmp_path, capsys):
    for clinic, part in data.groupby("clinic"):
        part.to_csv(tmp_path / f"{clinic}.csv", index=False)
    found = likelihoods(capsys, str(tmp_path), "--formula", "`share` ~ x")
    assert found == pytest.approx(likelihoods(capsys, str(tmp_path), "--formula", "k ~ x"), rel=1e-9)


def test_several_responses(data, tmp_path, capsys):
    rng = np.random.default_rng(5)
    sure = rng.integers(0, 2, 80)
    file = tmp_path / "all.csv"
    data.assign(sure=sure, certain=sure * data["n"]).to_csv(file, index=False)
    shares = likelihoods(capsys, str(file), "--responses", "share,sure", "--formula", "~ x")
    counts = likelihoods(capsys, str(file), "--responses", "k,certain", "--formula", "~ x")
    assert shares == pytest.approx(counts, rel=1e-9)
    # counts of at most one stay counts where nothing is a share
    alone = likelihoods(capsys, str(file), "--responses", "sure", "--formula", "~ x")
    assert alone[0] == pytest.approx(
        glmm("sure ~ x", data.assign(sure=sure), family="binomial", trials="n").llf, rel=1e-9
    )
