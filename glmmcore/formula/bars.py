"""Split a mixed-model formula into response, fixed part, bars and offsets (lme4's grammar)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from glmmcore.errors import ModelError
from glmmcore.formula.algebra import check_algebra
from glmmcore.formula.expressions import CONSTANTS, Expression, call_arguments, parse_expression, translate
from glmmcore.formula.intercept import hoist_intercept
from glmmcore.formula.parsed import Bar, ParsedFormula, Part
from glmmcore.formula.tokens import Token, fail_at, has_bar, is_bracketed, tokenise, top_level

__all__ = ["parse_formula"]

_CALL = re.compile(r"\s*([^\W\d][\w.]*)\s*\(")


def parse_formula(text: str, one_sided: bool = False) -> ParsedFormula:
    """Take a formula apart.

    Parameters
    ----------
    text : str
    one_sided : bool
        Whether it is ``~ terms`` (zero inflation, dispersion) rather than ``response ~ terms``.

    Raises
    ------
    ModelError
        With the place marked.

    Examples
    --------
    >>> parsed = parse_formula("y ~ x + offset(log(n)) + (x || a/b)")
    >>> parsed.fixed.text, [bar.group for bar in parsed.bars], parsed.offsets[0].code
    ('1 + x', [('a',), ('a', 'b')], 'log(n)')
    """
    if not isinstance(text, str):
        raise ModelError(f"formula must be text such as 'y ~ x + (1 | g)', not {type(text).__name__}")
    if not text.strip():
        raise ModelError("formula is empty, write for example 'y ~ x + (1 | g)'")
    return _parse(text, one_sided)


@lru_cache(maxsize=256)
def _parse(text: str, one_sided: bool) -> ParsedFormula:
    return _Splitter(text).split(one_sided)


class _Splitter:
    """Collects the pieces of one formula."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.fixed: list[tuple[str, tuple[Token, ...]]] = []
        self.bars: list[Bar] = []
        self.offsets: list[Expression] = []

    def split(self, one_sided: bool) -> ParsedFormula:
        tokens = tokenise(self.text)
        tildes = [i for i, token in enumerate(tokens) if token.text == "~" and token.kind == "operator"]
        if not tildes:
            example = "'~ x'" if one_sided else "'y ~ x + (1 | g)'"
            fail_at(self.text, 0, f"there is no '~', write for example {example}")
        if len(tildes) > 1:
            fail_at(self.text, tokens[tildes[1]].start, "a second '~'")
        left, right = tokens[: tildes[0]], tokens[tildes[0] + 1 :]
        place = tokens[tildes[0]].start
        if one_sided and left:
            fail_at(self.text, left[0].start, "only '~ terms' is allowed here, nothing to the left of '~'")
        if not one_sided and not left:
            fail_at(self.text, place, "there is no response to the left of '~'")
        if not right:
            fail_at(self.text, place + 1, "nothing to the right of '~', write '~ 1' for an intercept only")
        response = self._response(left, self.text[:place]) if left else ()
        self._collect(right)
        name = self.text[:place].strip()
        if len(left) == 1 and left[0].kind == "name":
            name = left[0].text
        return ParsedFormula(self.text, response, name, self._part(self.fixed), tuple(self.bars), tuple(self.offsets))

    def _response(self, tokens: list[Token], source: str) -> tuple[Expression, ...]:
        for token in tokens:
            if token.kind == "operator" and token.text in ("|", "||"):
                fail_at(self.text, token.start, "a bar in the response")
            if token.kind == "python" and self._barred_call(token):
                fail_at(self.text, token.start, "random effects in the response")
        code = translate(f"`{tokens[0].text}`" if len(tokens) == 1 and tokens[0].kind == "name" else source.strip())
        place = tokens[0].start
        expression = self._expression(code, place)
        if not any(name not in CONSTANTS for name in expression.names):
            fail_at(self.text, place, "there is no column in the response")
        if "cbind" not in expression.functions:
            return (expression,)
        arguments = call_arguments(code)
        if arguments is None or len(arguments) != 2 or not _CALL.match(code) or len(tokens) != 1:
            fail_at(self.text, place, "the response must be exactly cbind(successes, failures)")
        return tuple(self._expression(argument, place) for argument in arguments)

    def _expression(self, code: str, place: int) -> Expression:
        try:
            return parse_expression(code)
        except SyntaxError as error:
            shown = code if len(code) <= 80 else f"{code[:77]}..."
            fail_at(self.text, place, f"'{shown}' is not a valid expression ({error.msg})")

    def _collect(self, tokens: list[Token]) -> None:
        """Sort the summands into fixed terms, bars and offsets."""
        for sign, summand in self._summands(tokens):
            first = summand[0]
            word = _CALL.match(first.text) if first.kind == "python" else None
            barred = has_bar(summand) or any(self._barred_call(token) for token in summand)
            if barred and len(summand) == 1 and word is not None:
                self._need_plus(sign, first, "a random-effects term")
                self._structured_bar(first, word)
            elif barred and is_bracketed(summand):
                self._need_plus(sign, first, "a random-effects term")
                inner = list(summand[1:-1])
                if top_level(inner, ("|", "||")):
                    self._bar(inner, "us", summand[-1].start)
                else:
                    self._collect(inner)
            elif barred:
                place = next((t.start for t in summand if t.text in ("|", "||")), first.start)
                fail_at(self.text, place, "a bar must stand alone in brackets and be added: ... + (x | g)")
            elif word is not None and word.group(1) == "offset":
                self._need_plus(sign, first, "an offset")
                if len(summand) > 1:
                    fail_at(self.text, first.start, "offset(...) must stand alone and be added")
                arguments = call_arguments(self._expression(translate(first.text), first.start).code)
                if arguments is None or len(arguments) != 1:
                    fail_at(self.text, first.start, "offset takes exactly one argument")
                self.offsets.append(self._expression(arguments[0], first.start))
            else:
                self.fixed.append((sign, tuple(summand)))

    def _summands(self, tokens: list[Token]) -> Iterator[tuple[str, list[Token]]]:
        """Pieces between the top-level signs, each with its sign."""
        depth = 0
        sign = "+"
        start = 0
        current: list[Token] = []
        pending = False  # a sign that waits for its term
        for token in tokens:
            if token.kind == "context":
                depth += 1 if token.text in "([" else -1
            if depth == 0 and token.kind == "operator" and token.text in "+-":
                if current:
                    yield sign, current
                    sign, current = token.text, []
                elif token.text == "-":
                    sign = "-" if sign == "+" else "+"
                pending, start = True, token.start
                continue
            current.append(token)
            pending = False
        if pending:
            fail_at(self.text, start, "nothing follows this sign")
        if current:
            yield sign, current

    def _need_plus(self, sign: str, token: Token, what: str) -> None:
        if sign == "-":
            fail_at(self.text, token.start, f"{what} cannot be subtracted")

    def _barred_call(self, token: Token) -> bool:
        word = _CALL.match(token.text) if token.kind == "python" else None
        return word is not None and self._inner_bar(token, word) is not None

    def _inner_bar(self, token: Token, word: re.Match[str]) -> list[Token] | None:
        """Tokens inside ``word(left | group)``, None when there is no bar at the top level of the call."""
        if "|" not in token.text or not token.text.rstrip().endswith(")"):
            return None
        if word.group(1) in ("I", "offset", "cbind"):  # there it is Python's "or"
            return None
        shift = token.start + word.end()
        inner = [
            Token(t.kind, t.text, t.start + shift, t.end + shift)
            for t in tokenise(token.text[word.end() : token.text.rindex(")")])
        ]
        return inner if top_level(inner, ("|", "||")) else None

    def _structured_bar(self, token: Token, word: re.Match[str]) -> None:
        from glmmcore.covariance import STRUCTURES

        structure = word.group(1)
        if structure not in STRUCTURES:
            fail_at(
                self.text,
                token.start,
                f"covariance structure '{structure}' is not known, use {', '.join(STRUCTURES)}",
            )
        inner = self._inner_bar(token, word)
        assert inner is not None
        self._bar(inner, structure, token.end)

    def _bar(self, tokens: list[Token], structure: str, close: int) -> None:
        bars = top_level(tokens, ("|", "||"))
        if len(bars) > 1:
            fail_at(self.text, tokens[bars[1]].start, "a second bar in one random-effects term")
        bar = tokens[bars[0]]
        left, right = tokens[: bars[0]], tokens[bars[0] + 1 :]
        if not left:
            fail_at(self.text, bar.start, "nothing to the left of the bar, write (1 | g) for an intercept")
        if not right:
            fail_at(self.text, close, "nothing to the right of the bar, name the grouping factor")
        if bar.text == "||" and structure != "us":
            fail_at(self.text, bar.start, f"'||' and {structure}(...) contradict each other, use one bar")
        for token in left:
            if token.kind == "python" and token.text.startswith("offset("):
                fail_at(self.text, token.start, "an offset cannot stand inside a random-effects term")
        part = self._part([(sign, tuple(summand)) for sign, summand in self._summands(left)])
        for group in self._groups(right):
            self.bars.append(Bar(part, group, structure, bar.text == "||"))

    def _groups(self, tokens: list[Token]) -> list[tuple[str, ...]]:
        """``a/b`` to ``a`` and ``a:b``."""
        while is_bracketed(tokens):
            tokens = tokens[1:-1]
        names: list[str] = []
        groups: list[tuple[str, ...]] = []
        for i, token in enumerate(tokens):
            if i % 2 == 0:
                names.append(self._group_name(token))
                last = i == len(tokens) - 1
                if last or tokens[i + 1].text == "/":
                    groups.append(tuple(names))
            elif token.kind != "operator" or token.text not in (":", "/"):
                advice = "write one bar for each: (1 | a) + (1 | b)" if token.text == "+" else "use names, ':' and '/'"
                fail_at(self.text, token.start, f"'{token.text}' is not allowed in a grouping factor, {advice}")
        if len(tokens) % 2 == 0:
            end = tokens[-1].start if tokens else 0
            fail_at(self.text, end, "the grouping factor is not complete")
        if len(set(names)) < len(names):
            fail_at(self.text, tokens[0].start, "a column appears twice in one grouping factor")
        return groups

    def _group_name(self, token: Token) -> str:
        if token.kind == "name":
            return token.text
        code = translate(token.text)
        if token.kind == "python" and code.startswith("C("):
            self._expression(code, token.start)
            arguments = call_arguments(code)
            if arguments is not None and len(arguments) == 1:
                names = self._expression(arguments[0], token.start).names
                if names and arguments[0].strip("`") == names[0]:
                    return names[0]
        fail_at(self.text, token.start, f"the grouping factor must be a column (or a:b, a/b), not '{token.text}'")

    def _part(self, summands: list[tuple[str, tuple[Token, ...]]]) -> Part:
        expressions = {}
        translated = []
        for sign, tokens in summands:
            check_algebra(self.text, tokens)
            changed = []
            for token in tokens:
                if token.kind == "python":
                    token = token._replace(text=translate(token.text))
                    expressions[token.start] = self._expression(token.text, token.start)
                changed.append(token)
            translated.append((sign, tuple(changed)))
        return Part(tuple(hoist_intercept(self.text, translated)), expressions)
