"""Data sets from a folder, and a clear error when they are nowhere."""

from __future__ import annotations

import socket

import pandas as pd
import pytest

from simresid import rdatasets


@pytest.fixture
def unreachable(monkeypatch, tmp_path):
    """No network and an empty cache of statsmodels."""

    def refuse(*args, **kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("STATSMODELS_DATA", str(tmp_path / "cache"))
    monkeypatch.delenv(rdatasets.FOLDER_VARIABLE, raising=False)


@pytest.mark.parametrize("file", ["agridat/beall.webworms.csv", "beall.webworms.csv", "webworms.csv"])
def test_folder_by_argument_and_by_variable(tmp_path, monkeypatch, unreachable, file):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("y,trt\n3,T1\n", encoding="utf-8")
    expected = pd.DataFrame({"y": [3], "trt": ["T1"]})
    by_argument = rdatasets.load("beall.webworms", "agridat", folder=tmp_path)
    pd.testing.assert_frame_equal(by_argument, expected)
    monkeypatch.setenv(rdatasets.FOLDER_VARIABLE, str(tmp_path))
    pd.testing.assert_frame_equal(rdatasets.load("beall.webworms", "agridat"), expected)


def test_the_package_folder_comes_first(tmp_path, unreachable):
    (tmp_path / "agridat").mkdir()
    (tmp_path / "agridat" / "a.b.csv").write_text("y\n1\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("y\n2\n", encoding="utf-8")
    assert rdatasets.load("a.b", "agridat", folder=tmp_path)["y"].tolist() == [1]


def test_unavailable_says_where_it_was_looked_for(tmp_path, unreachable):
    with pytest.raises(rdatasets.DataUnavailable, match=r"SIMRESID_DATA is unset.*no network in this test"):
        rdatasets.load("beall.webworms", "agridat")
    with pytest.raises(rdatasets.DataUnavailable, match=r"'nothing' not found: folder"):
        rdatasets.load("nothing", folder=tmp_path)


def test_timeout_is_put_back(unreachable):
    before = socket.getdefaulttimeout()
    with pytest.raises(rdatasets.DataUnavailable):
        rdatasets.load("beall.webworms", "agridat")
    assert socket.getdefaulttimeout() == before
