"""Formulas: lme4's grammar in, dense matrices and group codes out.

What a formula may hold
    Fixed terms as in R (``+ - * : / ^ 0 1``); random terms ``(x | g)``, ``(x || g)``, ``(1 | a/b)``
    (which is ``a`` and ``a:b``), ``(1 | a:b)``, a covariance structure before the bar, ``cs(f | g)``;
    ``offset(z)``, several add up; ``cbind(successes, failures)`` as the response. ``||`` makes one term
    per numeric column; with a categorical column to its left it makes one term with a diagonal structure.
    Arithmetic belongs in ``I(...)``: ``x**2`` and ``2 * x`` among terms are errors, since R would
    silently read something else.
What names mean
    A column of the data, in back-ticks if need be; else ``np``, ``pi`` and elementary functions such as
    ``log`` and ``sqrt``; else formulaic's transforms (``scale``, ``center``, ``poly``, ``bs``, ``cr``,
    ``C``, ...). The caller's variables are never seen. R's ``factor``, ``as.factor``, ``^`` and names
    with dots are understood.
Categories
    Text and numbers are sorted, pandas categories keep their order; levels that do not occur in the
    complete rows have no column. The first level is the reference, of ordered categories too. Booleans,
    and conditions such as ``I(x > 0)``, have the levels False and True; in arithmetic they are 0 and 1.
Missing values
    A row with anything missing in a column or argument in use is left out of everything, before
    transforms are evaluated. A transform that is not finite afterwards is an error.
"""

from glmmcore.formula.build import build_design

__all__ = ["build_design"]
