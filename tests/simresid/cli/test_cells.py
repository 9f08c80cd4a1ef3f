"""How cells are read; the table of ``docs/csv_files.md`` is made here and compared with the page."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simresid.cli.cells import SPACES, disguise_of, is_date, number_reader
from simresid.cli.formula_names import names_in_formulas
from simresid.cli.tables import Columns, InputError, cell_format, read_columns, read_table

PAGE = Path(__file__).resolve().parents[3] / "docs" / "csv_files.md"
BEGIN, END = "<!-- made by tests/simresid/cli/test_cells.py -->\n", "<!-- end -->"

KINDS = [
    ("whole numbers", ["12", "-3", "+7"]),
    ("leading zeros", ["007", "010", "7"]),
    ("decimals", ["1.5", ".25", "-2."]),
    ("exponents", ["1e3", "2.5E-2", "1e+05"]),
    ("blanks around", [" 12 ", "3 ", " 4"]),
    ("quoted numbers", ['"1.5"', '"2"', '"3.5"']),
    ("empty", ["", " ", '""']),
    ("words for missing", ["NA", "NaN", "null"]),
    ("infinity", ["inf", "-Inf", "Infinity"]),
    ("beyond double precision", ["1e400", "-1e999", "9" * 400]),
    ("true or false", ["TRUE", "false", "True"]),
    ("decimal commas", ['"1,5"', '"2,25"', '",5"']),
    ("commas before three digits", ['"1,250"', '"2,500"', '"3,750"']),
    ("commas between thousands", ['"1,234,567"', '"2,000,000"', '"1,000.5"']),
    ("points between thousands", ['"5.100,0"', '"1.234.567"', '"2.500,25"']),
    ("blanks between thousands", ["5 100", "12 000", "1\u202f234"]),
    ("underscores between thousands", ["1_000", "2_500", "12_345"]),
    ("apostrophes between thousands", ["1'000", "2'500", "12’345"]),
    ("percent", ["12%", "3.5 %", "40%"]),
    ("money", ["$3", "€ 4.50", "5 USD"]),
    ("units", ["5 kg", "7.5 kg", "9 kg"]),
    ("dates, year first", ["2020-01-03", "2020-02-04", "2020-03-05T12:30"]),
    ("other dates", ["3.1.2020", "1/4/2020", "5 Jan 2020"]),
    ("dates without signs", ["20200131", "20200201", "20210101"]),
    ("quarters and weeks", ["2020Q1", "2020-W05", "2020-W06-1"]),
    ("times", ["12:30", "9:05", "23:59:59"]),
    ("other minus signs and digits", ["−5", "１２", "٣"]),
    ("minus apart or behind", ["- 5", "6-", "(7)"]),
    ("signs around numbers", ["~5", "1.5*", "<0.1"]),
    ("spreadsheet formulas", ['"=""5"""', '"=""6"""', "'7"]),
    ("other exponents and bases", ["1D3", "2.5x10^3", "0x1F"]),
    ("several numbers in a cell", ["5±1", "5 (0.2)", "3 [1; 6]"]),
    ("fractions", ["1/2", "3/4", "5/8"]),
    ("numbers among text, mostly numbers", ["1", "2", "oops"]),
    ("text", ["low", "high", "Größe"]),
    ("bands and versions", ["10-19", "20-29", "1.2.3"]),
    ("numbers with letters", ["1a", "1b", "2a"]),
    ("numbers that differ in their text", ["1", "01", "1.0"]),
]


def written(text: str) -> str:
    """Text of a cell as the page shows it."""
    text = text if len(text) < 30 else text[:3] + "..."
    return f"`{text}`" if text else "(nothing)"


def advice_in_code(text: str) -> str:
    """The text with options as code, so that no typography changes their dashes."""
    return re.sub(r"--(?:decimal|thousands) \S+", r"`\g<0>`", text)


def outcome(cells: list[str], formula: str, folder: Path) -> str:
    """What becomes of a column of these cells, in words for the table."""
    path = folder / "t.csv"
    rows = "".join(f"{i},{cells[i % len(cells)]}\n" for i in range(12))
    path.write_text("y,x\n" + rows, encoding="utf-8")
    try:
        reading = read_columns(str(path), [formula], Columns(), cell_format(None, None, [], False))
    except InputError as error:
        message = str(error)
        if "rows): " in message:
            return "refused: " + advice_in_code(message.split("rows): ")[1].split("; --na")[0].split("; C(")[0])
        if "decimals or thousands" in message or "infinite" in message or "also the text" in message:
            return "refused: " + ("infinite" if "infinite" in message else "text among numbers")
        return "refused"
    values = reading.table["x"][: len(cells)]
    if values.isna().all():
        return "missing"
    column = next(column for column in reading.columns if column.name == "x")
    kind = column.read_as.partition(",")[0]
    shown = ", ".join(f"`{value}`" for value in values)
    return f"{kind}: {shown}"


def cell_table(folder: Path) -> str:
    lines = [
        "| cells | for example | as predictor or response | as group `(1\\|x)` or factor `C(x)` |",
        "|---|---|---|---|",
    ]
    for name, cells in KINDS:
        examples = ", ".join(written(cell.replace("|", "\\|")) for cell in cells)
        number, group = outcome(cells, "y ~ x", folder), outcome(cells, "y ~ (1|x)", folder)
        if name == "beyond double precision":
            group = "labels: their texts"
        lines.append(f"| {name} | {examples} | {number} | {group} |")
    return "\n".join(lines) + "\n"


def test_the_page_says_how_every_kind_of_cell_is_read(tmp_path):
    table = cell_table(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    shown, after = rest.split(END)
    if os.environ.get("SIMRESID_WRITE_DOCS"):
        PAGE.write_text(before + BEGIN + "\n" + table + "\n" + END + after, encoding="utf-8")
        return
    assert shown.strip() == table.strip(), "SIMRESID_WRITE_DOCS=1 writes it anew"


# ---- numbers, and what only looks like them --------------------------------------------------------
@pytest.mark.parametrize(
    ("decimal", "thousands", "text", "value"),
    [
        (".", None, "1.5", 1.5),
        (".", None, "1,5", None),
        (".", None, "1_000", None),  # Python's float would take these three
        (".", None, "１２", None),
        (".", None, "nan", None),
        (".", None, "1e5", 1e5),
        (".", None, "1e", None),
        (".", None, ".", None),
        (".", ",", "1,234,567.5", 1234567.5),
        (".", ",", "1,5", None),
        (".", ",", "0,123", None),
        (".", ",", "1,2345", None),
        (".", ",", "12,34,567", None),
        (",", ".", "1.234,5", 1234.5),
        (",", None, "1,5e3", 1500.0),
        (".", SPACES, "1 234\u00a0567", None),  # one sign in one number
        (".", SPACES, "1\u202f234", 1234.0),
        (".", "'’", "1'234'567", 1234567.0),
    ],
)
def test_numbers(decimal, thousands, text, value):
    assert number_reader(decimal, thousands)(text) == value


@pytest.mark.parametrize(
    "text",
    ["a", "10-19", "65+", "1.2.3", "192.168.0.1", "P7", "", "-", "a5", "x²", "10‑19", "Plot 5", "E11.9", "1a2", "no. 3",
     "十二"],
)  # fmt: skip
def test_labels_are_no_numbers_in_disguise(text):
    assert disguise_of(text) is None


@pytest.mark.parametrize(
    "text",
    ["1,5", "1,234,567", "5.100,0", "5 100", "12%", "$3", "2020-01-02", "1_000", "€3", "3 kr", "1'000", "12:30 pm", "½",
     "Mar 5, 2020", "−5", "1.5e3 kg", "#5", "5d3", "1·5", "+ 5", "2020/1/2 12:00", "1 2", "3,000 USD", "-$3", "1e5,5",
     "1\u200a000", "1\u3000000", "5\u200b", "\ufeff5", "5\u2060", "1\u200b000", "5\x01", "1\u2018000",
     "1\u00b4000", "\u2460", "\u2085", "5\u2014", "5,\u2013", "CHF 5.-", "５０％", "\uffe55", "US$5", "A$ 5.50", "₺5",
     "($5)", "R$ 1.234,50", "++5", "1 1/2", "1.5×10³", "2^10", "5±1", "5 (0.2)", "5 [4; 6]", "45°30'15\"",
     "1.5 m^2", "5 m2", "1.5 kg m-2", "“5”", "«5»", "=1+1", "1.5.", "2020Q1", "2020-W05", "2020年1月3日",
     "1:02:03:04", "5 of 10", ".5."],
)  # fmt: skip
def test_numbers_in_disguise(text):
    assert disguise_of(text) is not None


@pytest.mark.parametrize(
    "cell",
    ["1" * 10**5, "1," * 50_000, "1.234." * 20_000, " " * 10**5 + "x", "-" * 10**5, "1 " * 50_000, "9e" * 50_000,
     "$" * 10**5, "1:" * 50_000, "12/" * 30_000, "janjan" * 20_000, "1" * 10**5 + "," + "1" * 10**5, "((" * 50_000],
)  # fmt: skip
def test_long_cells_take_no_time(cell, tmp_path):
    """Six cells of 10^5 digits took more than a minute."""
    start = time.process_time()
    disguise_of(cell)
    is_date(cell)
    number_reader(",", ".")(cell)
    path = tmp_path / "t.csv"
    path.write_text("y;x\n" + f"1;{cell}\n" * 6)
    if cell[0].isdigit():
        with pytest.raises(InputError, match=r"numbers of more than 1000 characters|text of more than 131072"):
            read_table(str(path), ["y ~ x"], [])
    else:
        read_table(str(path), ["y ~ x"], [])
    assert time.process_time() - start < 1


# ---- columns ---------------------------------------------------------------------------------------
def column(cells, tmp_path, formula="y ~ x", delimiter=",", **options):
    path = tmp_path / "t.csv"
    path.write_text(f"y{delimiter}x\n" + "".join(f"{i}{delimiter}{cell}\n" for i, cell in enumerate(cells)))
    return read_table(str(path), [formula], [], **options)["x"]


def test_refusals_name_column_row_and_option(tmp_path):
    with pytest.raises(InputError, match=r"column 'x' .*'1,5' in data row 3 \(8 of 10 rows\): --decimal , reads them"):
        column(["1", "2", *['"1,5"', '"2,5"'] * 4], tmp_path)
    with pytest.raises(InputError, match=r"'1,234,567' in data row 1 .*--thousands , reads them"):
        column(['"1,234,567"', '"2,345,678"'], tmp_path)
    with pytest.raises(InputError, match=r"'12%' in data row 2 .*; --na '12%' if that means missing; C\(x\)"):
        column(["12", "12%"] * 5, tmp_path)
    with pytest.raises(InputError, match=r"300 different texts in 400 rows.*\(1\|x\)"):
        column([f"id{i % 300}" for i in range(400)], tmp_path)


@pytest.mark.parametrize(
    ("cells", "options", "values"),
    [
        (['"1,5"', '"2,25"', "3"], {"decimal": ","}, [1.5, 2.25, 3.0]),
        (['"1,234,567"', '"12"', '"1,000.5"'], {"thousands": ","}, [1234567, 12, 1000.5]),
        (['"5.100,0"', '"1.234.567,25"'], {"decimal": ",", "thousands": "."}, [5100.0, 1234567.25]),
        (["5.100", "1.234.567"], {"thousands": "."}, [5100, 1234567]),
        (["5 100", "12"], {"thousands": "space"}, [5100, 12]),
        (["1_000", "12"], {"thousands": "_"}, [1000, 12]),
        (["1'000", "12"], {"thousands": "apostrophe"}, [1000, 12]),
        (["1\u00b4000", "1\u02bc000\u02bc000"], {"thousands": "apostrophe"}, [1000, 1_000_000]),
        (["1\u200a000", '"1\u3000000,5"'], {"thousands": "space", "decimal": ","}, [1000, 1000.5]),
        (["12%", "3"], {"na": ["12%"]}, [np.nan, 3]),
        (["-999", "3", "-999.0"], {"na": ["-999"]}, [np.nan, 3, np.nan]),
        (["", "NA", "3"], {}, [np.nan, np.nan, 3]),
        (["1.5", "2"], {"decimal": ","}, [1.5, 2]),  # a column with points beside others with commas
    ],
)
def test_options_read_them(cells, options, values, tmp_path):
    np.testing.assert_array_equal(column(cells, tmp_path, **options), values)


@pytest.mark.parametrize("role", ["y ~ x", "x ~ y", "y ~ x + (1|x)"])
def test_dates_without_signs_are_no_numbers(role, tmp_path):
    """From the last of a month to the first of the next would be seventy days and more."""
    days = [f"{day:%Y%m%d}" for day in pd.date_range("2020-01-25", periods=12)]
    with pytest.raises(
        InputError, match=r"column 'x' .*dates without signs, such as 20200125 \(12 of 12 rows\): write 2020-01-25"
    ):
        column(days, tmp_path, role)
    with pytest.raises(InputError, match="dates without signs"):
        column([*days, ""], tmp_path, role)
    assert column(days, tmp_path, "y ~ (1|x)").tolist() == [int(day) for day in days]
    with pytest.raises(InputError, match=r"\(12 of 24 rows\)"):  # not in all rows
        column([*days, *["20201325", "20200100", "20200125.5", "1"] * 3], tmp_path, role)
    assert len(column([*days, *map(str, range(13))], tmp_path, "y ~ x")) == 25
    assert column(["20200101"] * 4, tmp_path, "y ~ x").nunique() == 1


def test_decimal_commas_of_one_column_leave_another_alone(tmp_path):
    """Plain 1.5 became a factor where another column had decimal commas."""
    path = tmp_path / "t.csv"
    path.write_text("y;x;z\n" + "".join(f"{i};{i},5;{i}.5\n" for i in range(9)))
    table = read_table(str(path), ["y ~ x + z"], [])
    np.testing.assert_array_equal(table["x"], np.arange(9) + 0.5)
    np.testing.assert_array_equal(table["z"], np.arange(9) + 0.5)
    path.write_text("y;x;z\n" + "".join(f"{i};{i},5;{i + 1}.500\n" for i in range(9)))
    with pytest.raises(InputError, match=r"column 'z' .*1\.500.*decimals or thousands.*--thousands \."):
        read_table(str(path), ["y ~ x + z"], [])


def test_labels_are_their_texts(tmp_path):
    labels = ["01", "1", "1.0", "s1", "s1 ", "1,0"]
    read = column([f'"{label}"' for label in labels], tmp_path, "y ~ (1|x)")
    assert read.tolist() == ["01", "1", "1.0", "s1", "s1", "1,0"]
    factor = column(["10.00", "2.00", "2.0"], tmp_path, "y ~ C(x)")
    assert list(factor.cat.categories) == ["2.0", "2.00", "10.00"]  # sorted by value
    whole = column(["10", "2", ""], tmp_path, "y ~ (1|x)")
    assert whole.tolist()[:2] == [10, 2]
    assert whole.isna().tolist() == [False, False, True]
    long = column(["12345678901234567890", "12345678901234567891"], tmp_path, "y ~ (1|x)")
    assert long.nunique() == 2  # one number in double precision


def test_a_column_used_as_number_and_for_groups(tmp_path):
    assert column(["1", "2", "", "1"], tmp_path, "y ~ x + (1|x)").tolist()[:2] == [1.0, 2.0]
    with pytest.raises(InputError, match=r"'01' and '1' are one number but two labels \(data row 3\)"):
        column(["01", "2", "1"], tmp_path, "y ~ x + (1|x)")


def test_words_for_missing_among_labels(tmp_path, capsys):
    cells = ["None", "low", "high", "NA"] * 3
    assert column(cells, tmp_path).isna().sum() == 6
    err = capsys.readouterr().err
    assert "column 'x': 'None' in 3 rows (and 1 other texts) is read as missing; if it is a label, use --na-only" in err
    assert column(cells, tmp_path, na_only=True).tolist() == cells
    assert column(["1", "2", ""], tmp_path, na_only=True).isna().sum() == 1
    assert capsys.readouterr().err == ""


def test_a_type_that_changes_late_in_a_large_file(tmp_path):
    """Cells are read some ten thousand at a time."""
    cells = [*map(str, range(70_000)), '"1,5"']
    with pytest.raises(InputError, match=r"also the text '1,5' in data row 70001|'1,5' in data row 70001"):
        column(cells, tmp_path)
    read = column([*["a", "b"] * 40_000, "c"], tmp_path)
    assert read.value_counts().to_dict() == {"a": 40_000, "b": 40_000, "c": 1}
    assert column([*map(str, range(70_000)), "1.5"], tmp_path).iloc[[0, -1]].tolist() == [0.0, 1.5]


def test_names_in_formulas():
    names = names_in_formulas(
        ["y ~ poly(x, degree=2)*C(`f g`, levels=['a b']) + np.log(z) + (t | site/plot) + 1.5e3 + pi"]
    )
    assert list(names.needed) == ["y", "x", "f g", "z", "t", "site", "plot"]
    assert names.labels == {"f g", "site", "plot"}
    assert {"y", "x", "z", "t"} <= names.predictors
    assert "pi" in names.possible


def test_names_of_columns_cannot_steer_a_terminal(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("y,x\x1b]0;evil\x07\n1,2\n")
    with pytest.raises(InputError, match="control characters"):
        read_table(str(path), ["y ~ `x\x1b]0;evil\x07`"], [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"y,x\n1,2\n3,\x004\n", "line 3 holds a null byte"),
        (b"y,x\n1,2\n3,\"4\n5,6\n", "never ends"),
        (b"y," + b"x" * 140_000 + b"\n1,2\n", "field|no column|of more than 131072 characters"),
        (b'y,x\n1,"' + b"2\n" * 140_000 + b'"\n', "of more than 131072 characters"),
        (b"y,x\n1,2\n" + b"z" * (1 << 24) + b"\n", "line 3 is longer than"),
        (b"y,x\n1,2\n3,4,5\n", "line 3 has 3 fields, the header has 2"),
    ],
)  # fmt: skip
def test_lines_that_cannot_be_read(content, message, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_table(str(path), ["y ~ x"], [])


def test_what_is_no_file_is_not_read(tmp_path):
    for name in ("/dev/zero", str(tmp_path / "pipe")):
        if name.startswith(str(tmp_path)):
            os.mkfifo(name)
        with pytest.raises(InputError, match="is not a file that can be read twice"):
            read_table(name, ["y ~ x"], [])


def test_text_columns_of_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "T.PARQUET"
    frame = pd.DataFrame({"y": [1, 2, 3] * 4, "x": ["1,5", "2,5", "3,5"] * 4, "g": ["01", "1", None] * 4})
    frame.to_parquet(path)
    with pytest.raises(InputError, match=r"column 'x' .*--decimal ,"):
        read_table(str(path), ["y ~ x + (1|g)"], [])
    read = read_table(str(path), ["y ~ x + (1|g)"], [], decimal=",")
    assert read["x"].tolist()[:3] == [1.5, 2.5, 3.5]
    assert read["g"].nunique() == 2
