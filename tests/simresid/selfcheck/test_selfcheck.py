"""The checks shipped for users agree here, and notice a number that is off."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from simresid import selfcheck
from simresid.selfcheck import fits as selfcheck_fits


def run(capsys, *arguments: str) -> tuple[int, list[str]]:
    status = selfcheck.main(arguments)
    return status, capsys.readouterr().out.splitlines()


def test_everything_agrees(capsys):
    status, lines = run(capsys)
    assert [line for line in lines[1:-1] if not line.startswith("ok ")] == []
    assert status == 0
    assert len(lines) - 2 == len(selfcheck_fits.FITS) + len(selfcheck.CLOSED_FORMS) > 20
    assert lines[-1].startswith(f"All {len(lines) - 2} checks agree")


@pytest.mark.parametrize(
    "change",
    [
        {"llf": -37.09},  # too high for an optimum
        {"llf": -37.20},  # too low for stopping early
        {"estimates": (-1.1996, 0.7460)},
        {"errors": (0.5597, 0.3180)},
        {"estimates": (-1.1996,), "errors": (0.5597,)},
    ],
)
def test_a_fit_that_is_off_is_refused(change):
    case = selfcheck_fits.FITS[0]._replace(**change)
    with pytest.raises(selfcheck_fits.Difference):
        selfcheck_fits.check_fit(case)


def test_a_sigma_that_is_off_is_refused():
    case = next(case for case in selfcheck_fits.FITS if case.sigma is not None and case.data == "clinics")
    with pytest.raises(selfcheck_fits.Difference, match="sigma"):
        selfcheck_fits.check_fit(case._replace(sigma=1.01 * case.sigma))


def test_failures_and_errors_show_in_lines_verdict_and_status(capsys, monkeypatch):
    def error() -> str:
        return str(1 / 0)

    def difference() -> str:
        raise selfcheck_fits.Difference("1, should be 2")

    monkeypatch.setattr(selfcheck, "FITS", [])
    monkeypatch.setattr(selfcheck, "CLOSED_FORMS", [("a", error), ("b", difference), ("c", lambda: "fine")])
    status, lines = run(capsys)
    assert status == 1
    assert lines[1:-1] == [
        "FAILED a: ZeroDivisionError: division by zero",
        "FAILED b: 1, should be 2",
        "ok     c: fine",
    ]
    assert lines[-1].startswith("2 of 3 checks FAILED")


def test_runs_as_a_module_outside_the_repository(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "simresid.selfcheck", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "glmmTMB" in done.stdout


def test_the_numbers_are_those_of_the_reference_folder(shared):
    reference = [json.loads(path.read_text()) for path in (shared / "reference" / "fits").glob("*.json")]
    estimates = []
    for fit in reference:
        values = fit["cond"]["estimate"]
        estimates.append(values if isinstance(values, list) else [values])
    for case in selfcheck_fits.FITS:
        close = [
            fit
            for fit, values in zip(reference, estimates, strict=True)
            if values == pytest.approx(case.estimates, abs=1e-7)
            and (case.llf is None or fit["loglik"] == pytest.approx(case.llf, abs=1e-8))
        ]
        assert close, case.data
