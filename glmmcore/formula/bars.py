"""Split a mixed-model formula into response, fixed part, bars and offsets (lme4's grammar)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from glmmcore.errors import ModelError
from glmmcore.formula.algebra import expand
from glmmcore.formula.allowed import CONSTANTS, is_function
from glmmcore.formula.expressions import Expression, checked, column
from glmmcore.formula.grammar import ExpressionError, parse_tree
from glmmcore.formula.lexer import Lexeme, fail_at, read_lexemes
from glmmcore.formula.parsed import Bar, ParsedFormula, Part
from glmmcore.formula.syntax import Call, Name, Node
from glmmcore.formula.tokens import Token, call_name, group_tokens, has_bar, strip_brackets, top_level

__all__ = ["parse_formula"]


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
    >>> parsed.fixed.text, [bar.group for bar in parsed.bars], parsed.offsets[0].label
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
        self.lexemes = tuple(read_lexemes(text))
        self.expressions: dict[int, Expression] = {}  # of calls by their place
        self.fixed: list[tuple[str, tuple[Token, ...]]] = []
        self.bars: list[Bar] = []
        self.offsets: list[Expression] = []

    def split(self, one_sided: bool) -> ParsedFormula:
        tokens = group_tokens(self.text, self.lexemes)
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
        response = self._response(left) if left else ()
        self._collect(right)
        name = self.text[:place].strip()
        if len(left) == 1 and left[0].kind == "name":
            name = left[0].text
        return ParsedFormula(self.text, response, name, self._part(self.fixed), tuple(self.bars), tuple(self.offsets))

    def _response(self, tokens: list[Token]) -> tuple[Expression, ...]:
        for token in tokens:
            if token.kind == "operator" and token.text in ("|", "||"):
                fail_at(self.text, token.start, "a bar in the response")
            if self._barred_call(token):
                fail_at(self.text, token.start, "random effects in the response")
        place = tokens[0].start
        if len(tokens) == 1 and call_name(tokens[0]) == "cbind":
            call = self._tree(tokens[0].lexemes, place, tokens[0].end)
            if not isinstance(call, Call) or len(call.arguments) != 2 or call.keywords:
                fail_at(self.text, place, "the response must be exactly cbind(successes, failures)")
            response = tuple(self._checked(argument, place) for argument in call.arguments)
        else:
            response = (self._expression(tokens),)
        for expression in response:
            if all(name in CONSTANTS for name in expression.names):
                fail_at(self.text, place, "there is no column in the response")
        return response

    def _expression(self, tokens: list[Token]) -> Expression:
        """Expression of a name, of a call, or of several tokens as arithmetic."""
        if len(tokens) == 1 and tokens[0].kind in ("name", "call"):
            return self._read(tokens[0])
        first, last = tokens[0].start, tokens[-1].end
        lexemes = tuple(lexeme for lexeme in self.lexemes if first <= lexeme.start <= last)
        return self._checked(self._tree(lexemes, first, last), first)

    def _read(self, token: Token) -> Expression:
        """Expression of a name or call."""
        if token.kind == "name":
            return column(token.text)
        if token.start not in self.expressions:
            tree = self._tree(token.lexemes, token.start, token.end)
            self.expressions[token.start] = self._checked(tree, token.start)
        return self.expressions[token.start]

    def _tree(self, lexemes: tuple[Lexeme, ...], start: int, end: int) -> Node:
        try:
            return parse_tree(lexemes)
        except ExpressionError as error:
            shown = self.text[start : end + 1]
            shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
            fail_at(self.text, start, f"'{shown}' is not a valid expression ({error})")

    def _checked(self, node: Node, place: int) -> Expression:
        try:
            return checked(node)
        except ExpressionError as error:
            fail_at(self.text, place, str(error))

    def _collect(self, tokens: list[Token]) -> None:
        """Sort the summands into fixed terms, bars and offsets."""
        for sign, summand in self._summands(tokens):
            first = summand[0]
            word = call_name(first)
            barred = has_bar(summand) or any(self._barred_call(token) for token in summand)
            inner = strip_brackets(summand) if barred else summand
            if barred and len(summand) == 1 and word is not None:
                self._need_plus(sign, first, "a random-effects term")
                self._structured_bar(first, word)
            elif barred and len(inner) < len(summand):
                self._need_plus(sign, first, "a random-effects term")
                if top_level(inner, ("|", "||")):
                    self._bar(inner, "us", summand[-1].start)
                else:
                    self._collect(inner)
            elif barred:
                place = next((t.start for t in summand if t.text in ("|", "||")), first.start)
                fail_at(self.text, place, "a bar must stand alone in brackets and be added: ... + (x | g)")
            elif word == "offset":
                self._need_plus(sign, first, "an offset")
                if len(summand) > 1:
                    fail_at(self.text, first.start, "offset(...) must stand alone and be added")
                call = self._tree(first.lexemes, first.start, first.end)
                if not isinstance(call, Call) or len(call.arguments) != 1 or call.keywords:
                    fail_at(self.text, first.start, "offset takes exactly one argument")
                self.offsets.append(self._checked(call.arguments[0], first.start))
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
        word = call_name(token)
        return word is not None and self._inner_bar(token, word) is not None

    def _inner_bar(self, token: Token, word: str) -> list[Token] | None:
        """Tokens inside ``word(left | group)``, None when there is no bar at the top level of the call."""
        from glmmcore.covariance import FIELDS, STRUCTURES

        if not any(lexeme.kind == "symbol" and lexeme.text in ("|", "||") for lexeme in token.lexemes):
            return None
        if (
            word not in STRUCTURES and word not in FIELDS and (word in ("offset", "cbind") or is_function(word))
        ):  # there it means "or"
            return None
        inner = group_tokens(self.text, token.lexemes[2:-1])
        return inner if top_level(inner, ("|", "||")) else None

    def _structured_bar(self, token: Token, structure: str) -> None:
        from glmmcore.covariance import FIELDS, STRUCTURES

        if structure not in STRUCTURES and structure not in FIELDS:
            known = ", ".join({**STRUCTURES, **FIELDS})
            fail_at(self.text, token.start, f"covariance structure '{structure}' is not known, use {known}")
        inner = self._inner_bar(token, structure)
        assert inner is not None
        self._bar(inner, structure, token.end)

    def _bar(self, tokens: list[Token], structure: str, close: int) -> None:
        from glmmcore.covariance import FIELDS, STRUCTURES

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
            if call_name(token) == "offset":
                fail_at(self.text, token.start, "an offset cannot stand inside a random-effects term")
        right, neighbours = self._neighbours(right, structure)
        groups = self._groups_of_field(right, structure)
        if structure in FIELDS and structure not in STRUCTURES:
            coordinates = self._coordinates(left, bar.start)
            self.bars += [Bar(Part("0", (), ()), group, structure, False, coordinates, neighbours) for group in groups]
            return
        part = self._part([(sign, tuple(summand)) for sign, summand in self._summands(left)])
        self.bars += [Bar(part, group, structure, bar.text == "||") for group in groups]

    def _neighbours(self, tokens: list[Token], structure: str) -> tuple[list[Token], int | None]:
        """What stands before the comma after a group, and the number in ``neighbours = ...`` behind it, if any."""
        from glmmcore.covariance import FIELDS

        commas = top_level(tokens, (",",))
        if not commas or structure == "us":
            return tokens, None
        right, option = tokens[: commas[0]], tokens[commas[0] + 1 :]
        place = tokens[commas[0]].start
        if structure not in FIELDS or FIELDS[structure].on_line:
            fail_at(self.text, place, f"{structure}(...) has no options after its grouping factor")
        words = [token.text for token in option]
        if len(words) != 3 or words[:2] != ["neighbours", "="] or not words[2].isdecimal() or int(words[2]) < 1:
            fail_at(
                self.text, place, f"{structure}(...) takes 'neighbours = 30' after its grouping factor, a whole number"
            )
        return right, int(words[2])

    def _groups_of_field(self, tokens: list[Token], structure: str) -> list[tuple[str, ...]]:
        """As `_groups`; ``1`` is one group of all rows for effects of places or times."""
        from glmmcore.covariance import FIELDS

        inner = strip_brackets(tokens)
        if structure in FIELDS and len(inner) == 1 and inner[0].kind == "value" and inner[0].text == "1":
            return [()]
        return self._groups(tokens)

    def _coordinates(self, tokens: list[Token], end: int) -> tuple[Expression, ...]:
        """Expressions between commas."""
        commas = top_level(tokens, (",",))
        out = []
        for a, b in zip([-1, *commas], [*commas, len(tokens)], strict=True):
            if b == a + 1:
                fail_at(self.text, tokens[b].start if b < len(tokens) else end, "a coordinate is missing here")
            out.append(self._expression(tokens[a + 1 : b]))
        return tuple(out)

    def _groups(self, tokens: list[Token]) -> list[tuple[str, ...]]:
        """``a/b`` to ``a`` and ``a:b``."""
        tokens = strip_brackets(tokens)
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
        if token.kind in ("name", "call"):
            match self._read(token).node:
                case Name(name=name) | Call(function="C", arguments=(Name(name=name),), keywords=()):
                    return name
        fail_at(self.text, token.start, f"the grouping factor must be a column (or a:b, a/b), not '{token.text}'")

    def _part(self, summands: list[tuple[str, tuple[Token, ...]]]) -> Part:
        atoms: dict[Expression, None] = {}

        def read(token: Token) -> Expression:
            expression = self._read(token)
            atoms[expression] = None
            return expression

        terms = expand(self.text, summands, read)
        self._check_labels(atoms, summands)
        return Part(self._print(summands), terms, tuple(atoms))

    def _check_labels(self, atoms: Iterable[Expression], summands: list[tuple[str, tuple[Token, ...]]]) -> None:
        """Refuse a column whose name is what an expression is printed as."""
        by_label: dict[str, Expression] = {}
        for atom in atoms:
            if by_label.setdefault(atom.label, atom) != atom:
                place = summands[0][1][0].start
                fail_at(self.text, place, f"the column '{atom.label}' and an expression have the same name, rename it")

    def _print(self, summands: list[tuple[str, tuple[Token, ...]]]) -> str:
        """Formula text of a sum, with the intercept that is there unless it is taken away."""
        pieces = ["1"]
        for sign, tokens in summands:
            pieces.append(sign)
            pieces += [self._read(t).text if t.kind in ("name", "call") else t.text for t in tokens]
        return " ".join(pieces)
