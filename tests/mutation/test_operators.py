"""The mutations themselves: what is changed and what is left alone."""

import ast
from collections import Counter

from .operators import mutant, mutations

SOURCE = '''
"""A module."""
__all__ = ["f"]

def f(x: int, n: int = 3, side: str = "greater") -> float:
    """Message 1 + 1 stays."""
    if x > 0 and not n:
        raise ValueError(f"{x} < {n + 1}")
    return -x + 1
'''


def test_every_kind_of_change_once():
    kinds = Counter(m.kind for m in mutations(ast.parse(SOURCE)))
    assert kinds == {
        "constant": 3,  # 3, 0 and 1, neither those of messages nor of docstrings
        "word": 1,
        "comparison": 2,
        "operator": 2,  # and, +
        "negation": 1,
        "sign": 2,  # not, -
        "dropped term": 1,
    }


def test_each_mutant_differs_in_one_statement():
    original = ast.unparse(ast.parse(SOURCE)).splitlines()
    count = sum(1 for _ in mutations(ast.parse(SOURCE)))
    texts = set()
    for number in range(count):
        tree, _, before, after = mutant(SOURCE, number)
        changed = ast.unparse(tree).splitlines()
        assert sum(a != b for a, b in zip(original, changed, strict=True)) == 1
        assert before != after
        texts.add("\n".join(changed))
    assert len(texts) == count
