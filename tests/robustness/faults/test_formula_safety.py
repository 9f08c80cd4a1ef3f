"""What a formula may execute: anything but arithmetic and known functions is refused before it is evaluated."""

from __future__ import annotations

import ast
import builtins
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import glmmcore.formula
from glmmcore import ModelError, glmm
from glmmcore.formula import build_design
from glmmcore.formula.allowed import CONTRASTS, ELEMENTWISE, ROWWISE, TRANSFORMS
from glmmcore.formula.expressions import checked, evaluate
from glmmcore.formula.grammar import ExpressionError
from glmmcore.formula.syntax import Call, Name
from tests.robustness import attacks


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "y": np.arange(12.0),
            "x": np.linspace(0.5, 3.0, 12),
            "z": np.linspace(2.0, 1.0, 12) ** 2,
            "count": pd.array(np.arange(1, 13), dtype="Int64"),
            "f": ["a", "b", "c"] * 4,
            "g": list("aabbccddeeff"),
        }
    )


CODE = [
    "x.__class__",
    "I(x.__class__.__mro__)",
    "I((1).__class__)",
    "np.__class__",
    "I(np.__builtins__)",
    "np.lib.format",
    "I(f'{x.__class__}')",
    "__import__('os').system('touch FLAG')",
    "I(__import__('os'))",
    "eval('1')",
    "open('FLAG', 'w')",
    "exec('import os')",
    "np.load('/etc/passwd')",
    "np.save('FLAG', x)",
    "I(np.save('FLAG', x))",
    "np.fromfile('FLAG')",
    "np.memmap('FLAG')",
    "I([c for c in ().__class__.__base__.__subclasses__()])",
    "(lambda: x)()",
    "I((q := x))",
    "bs(x, df=np.save('FLAG', x))",
    "bs(x, **{'df': 5})",
    "poly(x, *[2])",
    "scale(x, _state={})",
    "globals()",
    "hashed(f, 3, hash_func=eval)",
    "C(f, levels=x.tolist())",
    "C(f, contr.mro())",
    "C(f, contr.__class__)",
    "I(x if True else z)",
    "I(b'x')",
    "I(1j * x)",
    "I(...)",
    "I(x and z)",
    "I(not x)",
    "I(0 < x < 1)",
    "I(await x)",
    "I(x[0])",
    "x.to_csv('FLAG')",
    "I(x.to_csv('FLAG'))",
    "getattr(x, 'to_csv')('FLAG')",
    "np.vectorize(eval)(f)",
    "np.apply_along_axis(eval, 0, x)",
    "np.frompyfunc(eval, 1, 1)(f)",
    "np.matmul(x, z)",
    "np.modf(x)",
    "{x.__class__}",
]


@pytest.mark.parametrize("side", ["fixed", "response", "offset", "bar", "group", "zi"])
def test_code_is_refused_and_not_run(side, tmp_path):
    flag = tmp_path / "flag"
    shape = {
        "fixed": "y ~ {}", "response": "{} ~ x", "offset": "y ~ x + offset({})", "bar": "y ~ x + ({} | g)",
        "group": "y ~ x + (1 | {})", "zi": "y ~ x",
    }[side]  # fmt: skip
    for code in CODE:
        code = code.replace("FLAG", str(flag))
        with pytest.raises(ModelError):
            build_design(shape.format(code), table(), zi=f"~ {code}" if side == "zi" else None)
        assert not flag.exists(), code


TWO_READINGS = [
    r"""C(f, levels=['a','b','\'`', __import__('os').system('touch FLAG'), '`\''])""",
    """C(`a'`, '` if __import__("os").system("touch FLAG") else np.arange(12)) #`')""",
    r"""C(f, '\\', __import__('os').system('touch FLAG'), '\\')""",
    r"""I(x + `q"`) + C(f, "`", __import__('os').system('touch FLAG'), "`")""",
    """{x}`} + {__import__('os').system('touch FLAG')} + {`""",
    """`{__import__('os').system("touch FLAG")}`""",
    r"""C(f, levels=['a\\', 'b', __import__('os').system('touch FLAG')])""",
]


@pytest.mark.parametrize("code", TWO_READINGS)
def test_quotes_and_escapes_are_read_once(code, tmp_path):
    flag = tmp_path / "flag"
    data = table().assign(**{"a'": ["u", "v"] * 6, 'q"': np.arange(12.0), "x}": 1.0})
    with pytest.raises(ModelError):
        build_design("y ~ " + code.replace("FLAG", str(flag)), data)
    assert not flag.exists()


def test_texts_mean_what_they_say():
    levels = ["it's", 'a "b"', "back`tick", "back\\slash", "new\nline"]
    data = pd.DataFrame({"y": np.arange(10.0), "f": levels * 2})
    written = r"""['it\'s', 'a "b"', "back`tick", 'back\\slash', 'new\nline']"""
    columns = build_design(f"y ~ 0 + C(f, levels={written})", data).predictors["cond"].X
    np.testing.assert_array_equal(columns, np.vstack([np.eye(5)] * 2))


@pytest.mark.parametrize(
    "term",
    [
        "log(x, z)",
        "log(x, count)",
        "np.add(x, 1, count)",
        "np.add(x, 1, out=count)",
        "np.multiply(x, 2, count)",
        "np.nan_to_num(x, False)",
        "np.nan_to_num(x, copy=False)",
        "np.clip(x, 0, 1, count)",
        "np.round(x, 0, count)",
        "np.exp(x, where=x > 1)",
    ],
)
def test_nothing_is_written_into_a_column(term):
    """The third argument of np.add is where the sum goes: `count` would silently have become another column."""
    data = table()
    with pytest.raises(ModelError, match="argument"):
        build_design(f"y ~ {term} + count", data)
    pd.testing.assert_frame_equal(data, table())


@pytest.mark.parametrize(
    "term",
    [
        "I(9**9**9 + x)",
        "bs(x, df=9**9**9)",
        "bs(x, 10**9)",
        "hashed(f, levels=10**12)",
        "poly(x, 99999999)",
        "I('a' * 10**10)",
        "C(f, levels=['a'] * 10**10)",
        "(x + z + f)**99999",
        "(x + z)**(9**9)",
        "I(" + "-" * 50_000 + "x)",
        "I(" + "(" * 3000 + "x" + ")" * 3000 + ")",
        "I(" + "x+" * 5000 + "x)",
        "*".join(f"x{i}" for i in range(26)),
        "I(x + " + "9" * 5000 + ")",
        "cr(x, df=2**40)",
        "x" * 100_000,
        "I(" + "[" * 500 + "]" * 500 + ")",
    ],
)
def test_what_would_take_forever_is_refused_at_once(term):
    data = table().assign(**{f"x{i}": np.arange(12.0) ** (i % 5) for i in range(26)})
    start = time.process_time()
    with pytest.raises(ModelError) as caught:
        build_design(f"y ~ {term}", data)
    assert time.process_time() - start < 3.0
    assert str(caught.value)


@pytest.mark.parametrize(
    "term",
    [
        "np.where(x > 1, x, z)",
        "np.clip(x, 0, 1)",
        "np.clip(x, a_min=0, a_max=1)",
        "np.isin(f, ['a', 'b'])",
        "I((x > 1) & (z < 3))",
        "I(~(x > 1))",
        "np.maximum(x, z)",
        "I(x**2 / 2 + np.pi)",
        "C(f, contr.sum)",
        "np.round(x, 1)",
        "C(f, contr.treatment(base='b'))",
        "C(f, Treatment('b'))",
        "C(f, levels=['c', 'b', 'a'])",
        "bs(x, df=5, degree=2)",
        "bs(x, knots=[1.0, 2.0])",
        "C(f, contr.custom({'low': [1, 0, 0]}))",
        "(x + z + f)**2",
        "x*z*f",
        "poly(x, 2, raw=True)",
        "scale(x)",
        "center(x)",
        "I(x)",
        "np.nan_to_num(x)",
    ],
)
def test_what_formulas_need_still_works(term):
    design = build_design(f"y ~ {term}", table())
    assert np.isfinite(design.predictors["cond"].X).all()


def test_a_column_may_have_the_name_of_a_stand_in():
    """Once, back-ticked names were replaced by stand-ins while an expression was parsed."""
    data = {"y": [1.0, 2, 3, 5], "my x": [1.0, 2, 3, 4], "_quoted_0_": [5.0, 5, 6, 7]}
    design = build_design("y ~ I(`my x` * _quoted_0_)", data)
    np.testing.assert_array_equal(design.predictors["cond"].X[:, 1], [5.0, 10.0, 18.0, 28.0])


SOURCES = sorted(Path(glmmcore.formula.__file__).parent.glob("*.py"))


def test_no_way_from_text_to_code():
    """No call in the package that reads formulas turns text into code, a module or an attribute."""
    forbidden = {"eval", "exec", "compile", "__import__", "import_module", "literal_eval", "setattr", "globals", "vars"}
    found = []
    for file in SOURCES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                text = ast.unparse(node)
                if name in forbidden and text != "vars(np)" and not text.startswith("re.compile("):
                    found.append(f"{file.name}: {text}")
            if isinstance(node, ast.Import | ast.ImportFrom) and "ast" in ast.unparse(node).replace(",", " ").split():
                found.append(f"{file.name}: {ast.unparse(node)}")
    assert len(SOURCES) > 15
    assert found == []


def test_what_can_be_called():
    """The whole list, so that whoever adds to it has to say so here and in SECURITY.md."""
    plain = {name for name in ELEMENTWISE if not name.startswith("np.")}
    assert plain == {
        "abs",
        "log",
        "log10",
        "log2",
        "log1p",
        "exp",
        "expm1",
        "exp2",
        "sqrt",
        "floor",
        "ceil",
        "sign",
        "minimum",
        "maximum",
        "sin",
        "cos",
        "tan",
        "arcsin",
        "arccos",
        "arctan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "tanh",
        "arctanh",
    }
    assert all(isinstance(function, np.ufunc) for function in ELEMENTWISE.values())
    assert {name.removeprefix("np.") for name in ROWWISE} == {
        "where",
        "clip",
        "round",
        "around",
        "isin",
        "digitize",
        "interp",
        "select",
        "nan_to_num",
    }
    assert set(TRANSFORMS) == {"I", "C", "center", "scale", "standardize", "poly", "bs", "cr", "cs", "cc", "hashed"}
    assert set(CONTRASTS) == {
        "contr.treatment",
        "contr.SAS",
        "contr.sum",
        "contr.helmert",
        "contr.diff",
        "contr.poly",
        "contr.custom",
        "Treatment",
        "Sum",
        "Helmert",
        "Diff",
        "Poly",
    }


def test_generated_attacks():
    """Some thousands of those that the campaign of `tests/robustness/attacks.py` tries by the hundred thousand."""
    tally = attacks.campaign(3000, seed=19)
    assert tally.violations == []
    assert tally.counts["built"] > 500 and tally.counts["refused"] > 1500
    assert tally.slowest < 5.0


def test_the_generator_of_attacks_would_notice():
    """What a formula must not do is seen when something else does it."""
    with attacks.watched() as events:
        eval("1 + 1")
    assert any(event.startswith("compile") for event in events) and any(event.startswith("exec") for event in events)
    tally = attacks.Tally()
    wrong = attacks.Trial("y ~ 0 + x", lambda: attacks.BEFORE["z"].to_numpy()[:, None])
    attacks.judge(wrong, tally)
    attacks.judge(attacks.Trial("y ~ 0 + x", refused=True), tally)
    assert ["other numbers" in tally.violations[0], "nobody said so" in tally.violations[1]] == [True, True]


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ C(f, levels=['a', 'b'])", "does not list the level 'c' of the data"),
        ("y ~ C(count, levels=[1, 2])", "does not list the level 3 of the data"),
        ("y ~ C(count, levels=['1', '2'])", "does not list the level 1 of the data"),
        ("y ~ C(f, levels=['a', 'b', 'c', 'a'])", "a level is given twice"),
        ("y ~ C(count % 4, contr.sum, levels=[0, 1])", r"does not list the level 2"),
        ("y ~ C(f, Treatment('d'))", "'d' in .* is none of the levels 'a', 'b', 'c'"),
        ("y ~ 1 + (0 + C(f, levels=['a', 'b']) | g)", "does not list the level 'c' of the data"),
    ],
)
def test_levels_that_are_left_out_are_no_reference(formula, message):
    with pytest.raises(ModelError, match=message):
        build_design(formula, table())


def test_new_levels_of_an_expression_are_no_reference():
    design = build_design("y ~ C(count % 3, contr.sum)", table())
    with pytest.raises(ModelError, match=r"C\(count % 3, contr.sum\) has the level 0.5 that the fit has not seen"):
        design.encode(table().assign(count=0.5))


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ bs(x, df=200)", "makes 200 columns, there are only 12 rows"),
        ("y ~ poly(x, 12)", "degree of .* must be below 12"),
        ("y ~ hashed(f, 100)", "makes 100 columns, there are only 12 rows"),
        ("y ~ C(x):C(z):C(count):scale(x)", "12 complete rows are too few for at least 1332 coefficients"),
        ("y ~ bs(x, knots=[9])", "knot 9 of .* is outside of 0.5 to 3"),
        ("y ~ " + ":".join(f"C(x, levels={list(range(i))})" for i in range(1, 15)), "interaction of more than 12"),
        ("y ~ offset(big)", "the offset has a largest absolute value of 1e.200"),
    ],
)
def test_matrices_beyond_reason_are_refused_early(formula, message):
    start = time.process_time()
    with pytest.raises(ModelError, match=message):
        build_design(formula, table().assign(big=1e200))
    assert time.process_time() - start < 2.0


def test_power_of_a_sum_is_cheap():
    start = time.process_time()
    design = build_design("y ~ (x + f)^20", table())
    assert time.process_time() - start < 1.0
    assert len(design.predictors["cond"].columns) == 6


def test_spline_beyond_the_data_says_how_to_go_on():
    for term in ("bs(x, df=4)", "0 + cr(x, df=3)"):
        design = build_design(f"y ~ {term}", table())
        with pytest.raises(ModelError, match=r"is fitted from 0.5 to 3, row 0 .* has 9; .* extrapolation='extend'"):
            design.encode(table().assign(x=9.0))
        longer = build_design(f"y ~ {term[:-1]}, extrapolation='extend')", table())
        assert np.isfinite(longer.encode(table().assign(x=9.0))[0]["cond"].X).all()


def test_more_variance_parameters_than_rows_are_refused():
    data = pd.DataFrame(
        {"y": np.arange(40.0) % 7, "t": [f"t{i}" for i in range(40)], "g": np.repeat(list("abcdefgh"), 5)}
    )
    with pytest.raises(ModelError, match="40 columns and 820 variance parameters, there are only 40 rows"):
        glmm("y ~ (t | g)", data)


def test_no_other_function_can_be_called():
    """Every builtin, every name of numpy and formulaic's own transforms, in a tree and in a formula."""
    from formulaic.transforms import TRANSFORMS as library

    allowed = {*ELEMENTWISE, *ROWWISE, *TRANSFORMS}
    numpy = (f"np.{name}" for name in dir(np))
    names = {*dir(builtins), *library, *numpy, *(f"contr.{name}" for name in dir(list)), "os.system"}
    others = sorted(names - allowed - {"Q"})  # Q('x') is read as the column x
    assert len(others) > 500

    def transform(call):
        raise AssertionError(f"{call.function} was taken for a transform")

    for name in others:
        call = Call(name, (Name("x"),))
        with pytest.raises(ExpressionError):
            checked(call)
        with pytest.raises(TypeError, match="more than arithmetic"):
            evaluate(call, {"x": np.ones(3)}.__getitem__, transform)
