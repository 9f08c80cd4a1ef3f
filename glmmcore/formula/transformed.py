"""Which function of what a response is, where there is a way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmcore.formula.syntax import Binary, Call, Name, Node, Number, Unary, show

__all__ = ["Transformed", "transformed"]

_BASES = {"log": 2.718281828459045, "log1p": 2.718281828459045, "log10": 10.0, "log2": 2.0}
_ROOTS = {"sqrt": 0.5, "cbrt": 1.0 / 3.0, "square": 2.0}


@dataclass(frozen=True, slots=True)
class Transformed:
    """A response that is a logarithm or a power of ``factor * inner + shift``.

    Attributes
    ----------
    inner : str
        A column or an expression, as it is printed.
    base : float
        Of the logarithm; 0 for a power.
    power : float
    factor, shift : float
    """

    inner: str
    base: float = 0.0
    power: float = 1.0
    factor: float = 1.0
    shift: float = 0.0

    def original(self, response: np.ndarray) -> np.ndarray:
        """Find `inner` from the response; that of an even power is taken for positive.

        Examples
        --------
        >>> Transformed("y", power=0.5, shift=1.0).original(np.array([2.0, 3.0]))
        array([3., 8.])
        """
        return np.asarray((self.outer(response) - self.shift) / self.factor)

    def outer(self, response: np.ndarray) -> np.ndarray:
        """Find ``factor * inner + shift`` from the response."""
        if self.base:
            return np.asarray(np.exp(np.log(self.base) * response))
        root = 1.0 / self.power
        is_odd = np.isclose(root % 2.0, 1.0) or np.isclose(self.power % 2.0, 1.0)
        with np.errstate(divide="ignore"):
            size = np.abs(response) ** root
        return np.asarray(np.sign(response) * size if is_odd else size)

    @property
    def has_mean(self) -> bool:
        """Whether `inner` has a mean where the response is normal: an exponential, a polynomial."""
        return bool(self.base) or (self.power > 0.0 and bool(np.isclose(1.0 / self.power % 1.0, 0.0)))


def transformed(node: Node) -> Transformed | None:
    """Take a response apart; None for a column as it stands and for what has no way back.

    Examples
    --------
    >>> transformed(Call("sqrt", (Binary("+", Name("y"), Number(1)),)))
    Transformed(inner='y', base=0.0, power=0.5, factor=1.0, shift=1.0)
    """
    match node:
        case Call(function="I", arguments=(inner,)):
            return transformed(inner)
        case Call(function=function, arguments=(inner,), keywords=()):
            name = function.removeprefix("np.")
            label, factor, shift = _linear(inner)
            if name in _BASES:
                return Transformed(label, _BASES[name], 1.0, factor, shift + (name == "log1p"))
            return Transformed(label, 0.0, _ROOTS[name], factor, shift) if name in _ROOTS else None
        case Binary(operator="**", left=left, right=right):
            power = _number(right)
            label, factor, shift = _linear(left)
            return Transformed(label, 0.0, power, factor, shift) if power else None
        case Binary(operator="/", left=left, right=right):
            above = _number(left)  # c / z = (z / c) ** -1
            if above and _number(right) is None:
                label, factor, shift = _linear(right)
                return Transformed(label, 0.0, -1.0, factor / above, shift / above)
    return None


def _number(node: Node) -> float | None:
    match node:
        case Number(value=value):
            return float(value)
        case Unary(operator="-", operand=operand):
            found = _number(operand)
            return None if found is None else -found
        case Binary(operator="/", left=left, right=right):
            above, below = _number(left), _number(right)
            return above / below if above is not None and below else None
    return None


def _linear(node: Node) -> tuple[str, float, float]:
    """Take apart ``factor * inner + shift``, the factor not zero."""
    match node:
        case Name(name=name):
            return name, 1.0, 0.0
        case Call(function="I", arguments=(inner,)):
            return _linear(inner)
        case Binary(operator=operator, left=left, right=right):
            before, after = _number(left), _number(right)
            first, number = before is None, after if before is None else before
            if number is not None and (first or after is None):
                label, factor, shift = _linear(left if first else right)
                match operator:
                    case "+":
                        return label, factor, shift + number
                    case "-":
                        return (label, factor, shift - number) if first else (label, -factor, number - shift)
                    case "*" if number:
                        return label, factor * number, shift * number
                    case "/" if number and first:
                        return label, factor / number, shift / number
    return show(node), 1.0, 0.0
