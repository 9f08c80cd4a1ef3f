"""Generated formulas: attacks that must reach no code, and honest ones whose columns are computed a second time.

A campaign from the root of a checkout, one process, ten minutes of processor time for a hundred thousand formulas::

    nice -n 10 python -m tests.robustness.attacks 100000 --seed 190427

It prints how many formulas were built and refused, the slowest, and every violation with its formula:

- an event of the interpreter that compiles, executes, imports, opens or starts anything while a formula is read,
- an exception other than `ModelError`, or one without a sentence,
- more than 20 seconds,
- a table that was changed, a column that is not finite, or an honest formula with other numbers than Python's.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from glmmcore import glmm
from glmmcore.errors import DataWarning, ModelError
from glmmcore.formula import build_design

LONGEST = 20.0
WATCHED = (
    "compile", "exec", "import", "open", "os.", "subprocess.", "socket.", "ctypes.", "pickle.", "marshal.",
    "shutil.", "code.", "function.", "builtins.", "cpython.", "urllib.", "tempfile.", "pty.", "webbrowser.",
)  # fmt: skip

_events: list[str] | None = None


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if _events is not None and event.startswith(WATCHED):
        _events.append(f"{event}{arguments!r:.200}")


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collect what the interpreter is asked to do; the hook stays, as hooks do, and is silent outside."""
    global _events
    if not getattr(watched, "installed", False):
        sys.addaudithook(_listen)
        watched.installed = True  # type: ignore[attr-defined]
    _events = found = []
    try:
        yield found
    finally:
        _events = None


N = 24
LEVELS = ["a", "b", "it's", 'q"', "back\\slash", "tick`"]
STRANGE = ("a'", 'q"', "x}", "{x", "line\nbreak", "back\\", "#h", "__import__", "eval", "np", "C", "log", "contr.sum",
           "os.system('touch FLAG')", "I(x ** 2)", "x + z", "lambda", "my x", "α", "'", '"', "''' + open('FLAG','w')#",
           "y ~ x", "(1 | g)", "x[0]", "1", "2x", "%in%", "µ", "a:b", "\x1b[31m", " ")  # fmt: skip


def table() -> pd.DataFrame:
    rng = np.random.default_rng(427)
    frame = pd.DataFrame(
        {
            "y": rng.normal(size=N),
            "k": rng.integers(0, 4, N),
            "x": rng.uniform(0.5, 3.0, N),
            "z": rng.normal(size=N),
            "i": np.arange(N) % 4,
            "b": np.arange(N) % 3 == 0,
            "f": np.resize(LEVELS, N),
            "h": pd.Categorical(np.resize(["v", "u"], N), categories=["v", "u", "never"]),
            "g": np.repeat(list("ABCDEF"), N // 6),
        }
    )
    return pd.concat([frame, pd.DataFrame(rng.normal(size=(N, len(STRANGE))), columns=list(STRANGE))], axis=1)


TABLE = table()
BEFORE = TABLE.copy(deep=True)

CODE = (
    "__import__('os').system('touch FLAG')", "open('FLAG','w')", "eval('1')", 'exec("import os")',
    "np.save('FLAG', x)", "np.load('FLAG')", "x.tofile('FLAG')", "x.to_csv('FLAG')",
    "().__class__.__base__.__subclasses__()", "np.lib.npyio", "np.frompyfunc(eval, 1, 1)(f)",
    "getattr(np, 'save')('FLAG', x)", "(lambda: open('FLAG', 'w'))()", "f'{open(1)}'",
    "[c for c in open('FLAG','w')]", "(q := open('FLAG', 'w'))", "np.vectorize(open)(f)", "globals()",
    "breakpoint()", "np.fromfile('FLAG')", "np.memmap('FLAG')", "hashed(f, 3, hash_func=eval)", "C(f, contr.mro())",
    "contr.__class__", "pd.eval('1')", "np.__builtins__['eval']('1')", "x.__array__.__self__", "__builtins__",
    "import os", "exit()", "C.__globals__", "log.__call__(x)", "poly(x, __import__('os').getpid())",
    "bs(x, df=open('FLAG','w'))", "yield x", "np.core.records.fromfile('FLAG')", "scale(x, _state=globals())",
    "np.where(open('FLAG','w'), 1, 0)", "await x", "{**{}}", "print(x)", "vars()", "x if open('FLAG','w') else z",
    "np.add(x, 1, x)", "np.log(x, out=x)", "Q(open('FLAG'))", "ｅｖａｌ('1')", "np.ｓａｖｅ('FLAG', x)",
    "os.system('touch FLAG')", "Treatment.__init__('a')",
)  # fmt: skip
PIECES = (
    "y", "x", "z", "i", "b", "f", "h", "g", "k", "`my x`", "`a'`", "`q\"`", "`x}`", "`{x`", "`#h`", "`back\\`", "0",
    "1", "2", ".5", "1e3", "-1", "'a'", '"b"', "'it\\'s'", "'\\\\'", '"\\""', "'`'", '"`"', "`'`", '`"`', " ~ ",
    " + ", " - ", "*", "/", ":", "^", "**", "|", "||", "(", ")", "[", "]", "{", "}", ",", ".", "`", "'", '"', "\\",
    "=", "==", "#", "\n", "(1|g)", "(x||g)", "(1|f/g)", "cs(f|g)", "ar1(0+i|g)", "offset(x)", "cbind(k, 3 - k)",
    "log(", "exp(", "I(", "np.", "C(", "factor(", "scale(", "center(", "bs(", "poly(", "cr(", "hashed(", "contr.sum",
    "Treatment('a')", "levels=", "df=", "knots=[1, 2]", " > ", " & ", "~", " if ", " else ", "lambda ", "for ",
    " in ", "np.where(", "np.isin(", "pi", "True", "None", "x.y", "\x00", "\u2028", "\ud800", "%in%", "%", "!", "@",
    ";", ":=", "->", "_", "__", "Q('x')",
)  # fmt: skip
HOSTS = (
    "y ~ {}", "y ~ x + {}", "y ~ x + {{{}}}", "y ~ I({})", "y ~ log({})", "y ~ C(f, {})",
    "y ~ C(f, levels=['a', {}])", "y ~ offset({})", "y ~ ({} | g)", "y ~ (1 | {})", "y ~ cs({} | g)", "{} ~ x",
    "cbind({}, k) ~ x", "y ~ bs(x, df={})", "y ~ poly(x, {})", "y ~ np.where({}, x, z)",
    "y ~ C(f, contr.custom({{'a': {}}}))", "y ~ scale(x) * {}", "y ~ {} ~ x", "y ~ x # {}", "y ~ `{}`",
    "y ~ C(`a'`, '{}')", "y ~ C(f, levels=['a','b','\\'`', {}, '`\\''])", "y ~ I(x + `q\"`) + \"{}\"",
    "y ~ C(`a'`, '` if {} else np.arange(24)) #`')", "y ~ hashed(f, {})", "y ~ np.select([x > 1], [{}], 0)",
    "y ~ (x + {})^2", "y ~ x:{}", "y ~ f'{{{}}}'", "y ~ C({})", "y ~ Q({})", "y ~ cr(x, knots=[{}])",
)  # fmt: skip
MARKS = "'\"`\\{}()[],#~|\n"


@dataclass
class Trial:
    """A formula, and what the first columns of its matrix must be where that is known."""

    formula: str
    expected: Callable[[], np.ndarray] | None = None
    refused: bool = False


def generate(rng: np.random.Generator) -> Trial:
    """One formula of a kind chosen at random."""
    kind = rng.random()
    if kind < 0.35:
        return Trial(_attack(rng))
    if kind < 0.6:
        return Trial(
            "y ~ " * bool(rng.random() < 0.9) + "".join(_pick(rng, PIECES) for _ in range(rng.integers(1, 25)))
        )
    if kind < 0.75:
        return _arithmetic(rng)
    if kind < 0.85:
        return _levels(rng)
    if kind < 0.9:
        name = _pick(rng, STRANGE)
        return Trial(f"y ~ 0 + `{name}`", lambda: BEFORE[name].to_numpy()[:, None])
    return Trial(_honest(rng))


def _pick(rng: np.random.Generator, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _attack(rng: np.random.Generator) -> str:
    code = _pick(rng, CODE)
    for _ in range(int(rng.integers(0, 3))):
        before, after = _pick(rng, PIECES), _pick(rng, PIECES)
        code = f"{before}{code}{after}"
    text = _pick(rng, HOSTS).format(code)
    if rng.random() < 0.3:
        text = _pick(rng, HOSTS).format(text.removeprefix("y ~ "))
    for _ in range(int(rng.integers(0, 6))):
        at = int(rng.integers(len(text) + 1))
        drop = int(rng.integers(0, 2))
        text = text[:at] + _pick(rng, MARKS) + text[at + drop :]
    return text


NUMPY = {
    name: getattr(np, name) for name in ("log", "exp", "sqrt", "sin", "abs", "floor", "sign", "minimum", "maximum")
}
COLUMNS = ("x", "z", "i", "`my x`", "`a'`", "`back\\`", "`#h`")


def _expression(rng: np.random.Generator, depth: int) -> tuple[str, str]:
    """The same arithmetic for a formula and for Python."""
    if depth == 0 or rng.random() < 0.2:
        if rng.random() < 0.3:
            number = _pick(rng, ("2", "0.5", "3.", "1e-3", "10", ".25"))
            return number, f"float({number})"
        name = _pick(rng, COLUMNS)
        return name, f"column[{name.strip('`')!r}]"
    one, two = _expression(rng, depth - 1)
    kind = rng.random()
    if kind < 0.15:
        return (f"-{one}", f"-{two}") if rng.random() < 0.5 else (f"({one})", f"({two})")
    other, twin = _expression(rng, depth - 1)
    if kind < 0.3:
        name = _pick(rng, ("minimum", "maximum"))
        return f"{name}({one}, {other})", f"numpy[{name!r}]({two}, {twin})"
    if kind < 0.5:
        name = _pick(rng, ("log", "exp", "sqrt", "sin", "abs", "floor", "sign"))
        return f"{_pick(rng, ('', 'np.'))}{name}({one})", f"numpy[{name!r}]({two})"
    if kind < 0.6:
        sign = _pick(rng, (">", "<=", "=="))
        return f"np.where({one} {sign} {other}, {one}, {other})", f"where(({two}) {sign} ({twin}), {two}, {twin})"
    operator = _pick(rng, ("+", "-", "*", "/", "%", "//"))
    return f"{one} {operator} {other}", f"{two} {operator} {twin}"


def _arithmetic(rng: np.random.Generator) -> Trial:
    text, python = _expression(rng, int(rng.integers(1, 5)))
    scope = {"numpy": NUMPY, "where": np.where, "float": float}
    column = {name: BEFORE[name].to_numpy(dtype=float) for name in BEFORE.columns if BEFORE[name].dtype.kind in "if"}

    def expected() -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.broadcast_to(eval(python, {"__builtins__": {}}, scope | {"column": column}), N)[:, None]

    return Trial(f"y ~ 0 + {_pick(rng, ('I({})', '{{{}}}')).format(text)}", expected)


def _levels(rng: np.random.Generator) -> Trial:
    """``C(f, levels=...)`` with levels left out, in any order, with any quotes."""
    chosen = list(rng.permutation(LEVELS)[: int(rng.choice([len(LEVELS), len(LEVELS) - 1, 3]))])
    written = ", ".join(_quote(rng, level) for level in chosen)
    missing = set(BEFORE["f"]) - set(chosen)

    def expected() -> np.ndarray:
        return np.column_stack([BEFORE["f"] == level for level in chosen]).astype(float)

    return Trial(f"y ~ 0 + C(f, levels=[{written}])", None if missing else expected, refused=bool(missing))


def _quote(rng: np.random.Generator, text: str) -> str:
    quote = _pick(rng, "'\"")
    return quote + text.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote


TERMS = (
    "x", "z", "i", "b", "f", "h", "f:h", "x:f", "b*x", "f*h*b", "scale(x)", "center(z)", "poly(x, 3)", "bs(x, df=5)",
    "cr(x, df=4)", "cc(x, df=4)", "C(i)", "C(i, contr.sum)", "C(f, Treatment('b'))", "C(f, contr.helmert)",
    "hashed(f, 4)", "C(x > 1)", "I(x > 1)", "log(x)", "I(scale(x)**2)", "(x + f + h)^3", "f/h", "np.round(x, 1)",
    "np.isin(f, ['a'])", "0", "-1", "(0 + f)", "(1 | g)", "(x | g)", "(x || g)", "(1 | g/h)", "(f | g)", "cs(f | g)",
    "ar1(0 + C(i) | g)", "1", "offset(x)", "offset(scale(x))", "bs(x, df=30)", "poly(x, 30)", "(x + f)^20",
    "bs(x, knots=[1, 2], degree=2)", "f:i:g:h:k", "C(k):C(i):f:g:h:C(x):C(z)", "(C(x) | g)", "(x | f:g)",
    "np.clip(x, 1, 2)", "standardize(x)",
)  # fmt: skip


def _honest(rng: np.random.Generator) -> str:
    response = _pick(rng, ("y", "y", "k", "log(x)", "cbind(k, 4 - k)", "b", "h", "`my x`"))
    return f"{response} ~ {' + '.join(_pick(rng, TERMS) for _ in range(int(rng.integers(1, 5))))}"


@dataclass
class Tally:
    """What a campaign found."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_formula: str = ""


class TooLong(BaseException):
    """More than `LONGEST` seconds."""


def _ring(*_: object) -> None:
    raise TooLong


def warm_up() -> None:
    """Import and compile what is imported and compiled at first use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for term in TERMS:
            try:
                build_design(f"y ~ {term}", TABLE)
            except ModelError:
                continue


def judge(trial: Trial, tally: Tally, fits: bool = False) -> None:
    """Try one formula."""
    began = time.perf_counter()
    outcome, problem = "built", ""
    with warnings.catch_warnings(), watched() as events:
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DataWarning)
        try:
            design = build_design(trial.formula, TABLE)
        except ModelError as error:
            outcome = "refused"
            problem = "" if str(error).strip() else "a refusal without a sentence"
        except Exception:
            outcome, problem = "failed", traceback.format_exc(limit=-3)
    if events:
        problem = f"events {events[:3]}"
    if outcome == "built":
        problem = problem or _problem_of(design, trial)
    elif trial.expected is not None and outcome == "refused":
        size = np.abs(trial.expected()).max()
        if 1e-100 < size < 1e100 and np.ptp(trial.expected()) > 0:
            problem = problem or "an honest formula was refused"
    if fits and outcome == "built" and not problem:
        problem = _fit(trial.formula)
    seconds = time.perf_counter() - began
    tally.counts[outcome] += 1
    if seconds > tally.slowest:
        tally.slowest, tally.slowest_formula = seconds, trial.formula
    if problem:
        tally.violations.append(f"{trial.formula!r}: {problem}")


def _problem_of(design: Any, trial: Trial) -> str:
    if trial.refused:
        return "levels of the data are not listed, and nobody said so"
    for part in design.predictors.values():
        if not (np.isfinite(part.X).all() and np.isfinite(part.offset).all()):
            return "values that are not finite"
    if trial.expected is not None:
        X, expected = design.predictors["cond"].X, trial.expected()
        if X.shape == expected.shape and not np.array_equal(X, expected):
            return f"other numbers than Python's: {X[:2].tolist()} for {expected[:2].tolist()}"
    return ""


def _fit(formula: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            glmm(formula, TABLE, "binomial" if formula.startswith(("cbind", "b ", "h ")) else "gaussian")
        except (ModelError, ValueError):  # both are refusals with a sentence
            return ""
        except Exception:
            return traceback.format_exc(limit=-3)
    return ""


def campaign(n: int, seed: int, every_fit: int = 0) -> Tally:
    """Try n formulas; every so many that are built are fitted too."""
    warm_up()
    tally = Tally()
    streams = np.random.default_rng(seed).spawn(n)
    for i, rng in enumerate(streams):
        trial = generate(rng)
        signal.signal(signal.SIGALRM, _ring)
        signal.setitimer(signal.ITIMER_REAL, LONGEST)
        try:
            judge(trial, tally, fits=bool(every_fit) and i % every_fit == 0)
        except TooLong:
            tally.violations.append(f"{trial.formula!r}: more than {LONGEST:.0f} s")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    if not TABLE.equals(BEFORE):
        tally.violations.append("the table was changed")
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", type=int)
    parser.add_argument("--seed", type=int, default=190427)
    parser.add_argument("--every-fit", type=int, default=0)
    options = parser.parse_args()
    began = time.perf_counter()
    tally = campaign(options.n, options.seed, options.every_fit)
    print(f"{options.n} formulas in {time.perf_counter() - began:.0f} s: {dict(tally.counts)}")
    print(f"slowest {tally.slowest:.2f} s: {tally.slowest_formula!r}")
    print(f"{len(tally.violations)} violations")
    for violation in tally.violations[:50]:
        print(" ", violation)
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
