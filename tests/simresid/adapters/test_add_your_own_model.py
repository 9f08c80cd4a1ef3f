"""The page "add your own model" runs from top to bottom as a reader would run it."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "add_your_own_model.md"


def test_the_page_runs(capsys):
    from simresid import adapters

    blocks = re.findall(r"```\{run\}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 7
    names = {"__name__": "page"}
    try:
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
    finally:
        adapters._ADAPTERS.pop("mylib", None)
    assert "checks passed" in capsys.readouterr().out
    assert names["res"].n_obs == 200
    assert names["exact"].residuals.min() >= 0


def test_ten_lines_are_ten_lines():
    text = PAGE.read_text(encoding="utf-8")
    block = re.search(r"```\{run\}\n(class OriginPoisson.*?)```", text, flags=re.DOTALL).group(1)
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
