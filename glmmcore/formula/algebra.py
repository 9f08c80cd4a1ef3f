"""Formula algebra: a sum as it is written to the list of its terms, products of columns and expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from glmmcore.formula.expressions import Expression
from glmmcore.formula.lexer import fail_at
from glmmcore.formula.syntax import plain_name
from glmmcore.formula.tokens import Token, call_name

__all__ = ["Term", "expand"]

_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, ":": 3, "**": 4, "^": 4}
MOST_TERMS, MOST_FACTORS, LARGEST_POWER = 4096, 12, 20

Term = tuple[Expression, ...]
"""Factors of one term; none for the intercept."""
Read = Callable[[Token], Expression]


@dataclass(slots=True)
class _Sum:
    """Terms by their set of factors, as written first, and what is said of the intercept."""

    terms: dict[frozenset[Expression], Term] = field(default_factory=dict)
    intercept: bool | None = None
    bracket: int | None = None  # where its brackets open

    def add(self, other: _Sum) -> None:
        for key, term in other.terms.items():
            self.terms.setdefault(key, term)
        self.intercept = self.intercept if other.intercept is None else other.intercept

    def subtract(self, other: _Sum) -> None:
        for key in other.terms:
            self.terms.pop(key, None)
        self.intercept = self.intercept if other.intercept is None else not other.intercept


def expand(formula: str, summands: Iterable[tuple[str, tuple[Token, ...]]], read: Read) -> tuple[Term, ...]:
    """Terms of a sum that has an intercept unless it is taken away; of low degree first, then as written.

    Parameters
    ----------
    formula : str
        For messages.
    summands : iterable of (sign, tokens)
    read : callable
        Expression of a name or call.

    Raises
    ------
    ModelError
        For what is no formula, with the place marked; for ``x**2`` and ``2 * x``, which are no arithmetic among
        terms; and for more than `MOST_TERMS` terms.
    """
    total = _Sum(intercept=True)
    for sign, tokens in summands:
        found = _Expansion(formula, tokens, read).run()
        if sign == "+":
            total.add(found)
        else:
            total.subtract(found)
        if len(total.terms) > MOST_TERMS:
            fail_at(formula, tokens[0].start, f"this expands to more than {MOST_TERMS} terms")
    terms = list(total.terms.values())
    return tuple(sorted([(), *terms] if total.intercept else terms, key=len))


class _Expansion:
    """One summand, operator by operator: two stacks instead of recursion, so that any depth of brackets will do."""

    def __init__(self, formula: str, tokens: tuple[Token, ...], read: Read) -> None:
        self.formula = formula
        self.tokens = tokens
        self.read = read
        self.values: list[_Sum] = []
        self.waiting: list[Token] = []

    def run(self) -> _Sum:
        wanted = True  # a term is to come
        for i, token in enumerate(self.tokens):
            if token.kind == "operator":
                self._operator(token, i, wanted)
                wanted = True
            elif token.kind == "context":
                wanted = self._bracket(token, wanted)
            elif not wanted:
                fail_at(self.formula, token.start, f"an operator is missing before '{token.text}'")
            else:
                self.values.append(self._operand(token, i))
                wanted = False
        if wanted:
            last = self.tokens[-1]
            fail_at(self.formula, last.end + 1, f"a term is missing after '{last.text}'")
        self._reduce(1)
        return self.values.pop()

    def _bracket(self, token: Token, wanted: bool) -> bool:
        if token.text == "[" or token.text == "]":
            fail_at(self.formula, token.start, f"'{token.text}' is not allowed here")
        if token.text == "(":
            if not wanted:
                fail_at(self.formula, token.start, "an operator is missing before '('")
            self.waiting.append(token)
            return True
        if wanted:
            fail_at(self.formula, token.start, "a term is missing before ')'")
        self._reduce(1)
        self.values[-1].bracket = self.waiting.pop().start
        return False

    def _operator(self, token: Token, i: int, wanted: bool) -> None:
        if token.text in ("|", "||"):
            fail_at(self.formula, token.start, "a bar must stand alone in brackets and be added: ... + (x | g)")
        if token.text not in _BINDING:
            fail_at(self.formula, token.start, f"'{token.text}' is not an operator of formulas")
        before = self.tokens[i - 1].text if i else "("
        if wanted:
            if token.text not in ("+", "-") or before not in ("+", "-", "("):
                fail_at(self.formula, token.start, f"a term is missing before '{token.text}'")
            self._sign(token, before)
            return
        if token.text in ("**", "^") and before != ")":
            base = before if plain_name(before) or self.tokens[i - 1].kind == "call" else f"`{before}`"
            fail_at(self.formula, token.start, f"a power of '{base}' must be written I({base}**2)")
        self._reduce(_BINDING[token.text])
        self.waiting.append(token)

    def _sign(self, token: Token, before: str) -> None:
        """A sign without a term before it: of what follows, or of the sign before."""
        if before == "(":
            self.values.append(_Sum())
            self.waiting.append(token)
        elif token.text == "-":
            last = self.waiting[-1]
            self.waiting[-1] = last._replace(text="-" if last.text == "+" else "+")

    def _operand(self, token: Token, i: int) -> _Sum:
        if call_name(token) == "offset":
            fail_at(self.formula, token.start, "offset(...) must stand alone and be added")
        if token.kind == "value":
            return self._number(token, i)
        expression = self.read(token)
        return _Sum({frozenset((expression,)): (expression,)})

    def _number(self, token: Token, i: int) -> _Sum:
        before = self.tokens[i - 1].text if i else "+"
        after = self.tokens[i + 1].text if i + 1 < len(self.tokens) else "+"
        if before in ("**", "^"):
            if not token.text.isdecimal() or not 1 <= int(token.text[:6]) <= LARGEST_POWER:
                fail_at(self.formula, token.start, f"a power must be a whole number from 1 to {LARGEST_POWER}")
            return _Sum()
        if token.text not in ("0", "1") or before not in ("+", "-", "(") or after not in ("+", "-", ")"):
            fail_at(self.formula, token.start, f"{token.text} is no term, arithmetic must be written I(...)")
        return _Sum(intercept=token.text == "1")

    def _reduce(self, binding: int) -> None:
        """Carry out the waiting operators that bind at least so strongly."""
        while self.waiting and _BINDING.get(self.waiting[-1].text, 0) >= binding:
            operator = self.waiting.pop()
            right, left = self.values.pop(), self.values.pop()
            self.values.append(self._combine(operator, left, right))

    def _combine(self, operator: Token, left: _Sum, right: _Sum) -> _Sum:
        if operator.text in "+-":
            if operator.text == "+":
                left.add(right)
            else:
                left.subtract(right)
            return left
        intercept = left.intercept if right.intercept is None else right.intercept
        return _Sum(self._product(operator, left, right), intercept)

    def _product(self, operator: Token, left: _Sum, right: _Sum) -> dict[frozenset[Expression], Term]:
        """Terms of a product; as in R, 0 and 1 in brackets speak of the intercept of the whole model."""
        first = self._factors(operator, left)
        if operator.text in ("**", "^"):
            return self._collect(operator, self._power(operator, first))
        second = self._factors(operator, right)
        if operator.text == ":":
            return self._collect(operator, self._products(operator, first, second))
        if operator.text == "*":
            return self._collect(operator, [*first, *second, *self._products(operator, first, second)])
        all_of_first = tuple(factor for term in first for factor in term)
        return self._collect(operator, [*first, *self._products(operator, [all_of_first], second)])

    def _factors(self, operator: Token, operand: _Sum) -> list[Term]:
        if not operand.terms:
            place = operator.start if operand.bracket is None else operand.bracket
            fail_at(self.formula, place, "there is no term in these brackets")
        return list(operand.terms.values())

    def _power(self, operator: Token, terms: list[Term]) -> list[Term]:
        """All products of up to so many terms."""
        place = next(i for i, token in enumerate(self.tokens) if token is operator)
        found = terms
        for _ in range(int(self.tokens[place + 1].text) - 1):
            longer = list(self._collect(operator, self._products(operator, found, terms)).values())
            if longer == found:
                break
            found = longer
        return found

    def _products(self, operator: Token, first: list[Term], second: list[Term]) -> list[Term]:
        if len(first) * len(second) > 64 * MOST_TERMS:
            fail_at(self.formula, operator.start, f"this expands to more than {MOST_TERMS} terms")
        return [tuple(dict.fromkeys((*a, *b))) for a in first for b in second]

    def _collect(self, operator: Token, terms: list[Term]) -> dict[frozenset[Expression], Term]:
        """Each term once."""
        found: dict[frozenset[Expression], Term] = {}
        for term in terms:
            found.setdefault(frozenset(term), term)
        if len(found) > MOST_TERMS:
            fail_at(self.formula, operator.start, f"this expands to more than {MOST_TERMS} terms")
        if any(len(term) > MOST_FACTORS for term in found):
            fail_at(self.formula, operator.start, f"this is an interaction of more than {MOST_FACTORS} columns")
        return found
