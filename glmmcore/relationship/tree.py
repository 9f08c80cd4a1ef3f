"""Relationships of the tips of a tree, by the sparse precision of all its nodes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from glmmcore.engines.precision import Precision
from glmmcore.errors import ModelError
from glmmcore.relationship.base import Relationship, make_labels

__all__ = ["from_tree"]

# Branches shorter than this share of the tree's height are none: the precision, one over the length, would lose as many
# digits of the rest.
_NO_LENGTH = 1e-9
# Relative differences between the heights of tips that are rounding of published trees.
_ROUNDED = 1e-3
# Behind a colon, maybe after a comment.
_LENGTH = re.compile(r"\s*(?:\[[^\]]*\]\s*)?([^\s(),:;\[\]']+)")
_TOKEN = re.compile(r"\s*(?:(\[[^\]]*\])|('(?:[^']|'')*')|([(),:;])|([^\s(),:;\[\]']+))")


def from_tree(tree: Any, *, unit_height: bool = False) -> Relationship:
    """Species on a phylogenetic tree under Brownian motion: covariances are the lengths of shared branches.

    The precision of tips and inner nodes together is sparse (Hadfield and Nakagawa 2010), so that trees of tens of
    thousands of tips are no more work than their number of branches.

    Parameters
    ----------
    tree : str, Path or scikit-bio TreeNode
        Newick text or the path of such a file, rooted, with branch lengths; that of the root is not used. Underscores
        in names stay what they are.
    unit_height : bool
        Divide by the height of the tree, so that the standard deviation is that of a tip. Tips must be equally far from
        the root to a relative 1e-3, the rounding of published trees.

    Returns
    -------
    Relationship
        Labels are the tips. Tips without a branch between them share one effect.

    Raises
    ------
    ModelError
        For text that is no tree, missing or negative branch lengths, and tips without a name or with the same one.

    Examples
    --------
    >>> from glmmcore import relationship
    >>> relationship.from_tree("((a:1,b:1):2,c:3);").matrix()
         a    b    c
    a  3.0  2.0  0.0
    b  2.0  3.0  0.0
    c  0.0  0.0  3.0
    """
    parent, length, names = _from_nodes(tree) if hasattr(tree, "children") else _parse(_text(tree))
    n = len(parent)
    is_tip = np.ones(n, dtype=bool)
    is_tip[parent[1:]] = False
    tips = np.flatnonzero(is_tip)
    if len(tips) < 2:
        raise ModelError("from_tree: the tree has fewer than two tips")
    unnamed = [i for i in tips.tolist() if not names[i]]
    if unnamed:
        raise ModelError(f"from_tree: {len(unnamed)} of {len(tips)} tips have no name")
    labels = make_labels([names[i] for i in tips], len(tips), "from_tree")
    _require_lengths(length, [names[i] or f"inner node {i}" for i in range(n)])
    depth = np.zeros(n)
    for i in range(1, n):  # parents come first
        depth[i] = depth[parent[i]] + length[i]
    height = float(depth[tips].max())
    if not height > 0.0:
        raise ModelError("from_tree: all branches have length zero")
    if unit_height:
        if depth[tips].min() < height * (1.0 - _ROUNDED):
            raise ModelError(
                f"from_tree: tips are {depth[tips].min():.4g} to {height:.4g} from the root, so that the tree has no "
                "one height; leave unit_height out"
            )
        length = length / height
        height = 1.0
    precision, node, variances = _precision(parent, length, _NO_LENGTH * height)
    return Relationship(labels, precision, node[tips], "tree", variances=variances)


def _precision(parent: np.ndarray, length: np.ndarray, shortest: float) -> tuple[Precision, np.ndarray, np.ndarray]:
    """Precision of the nodes, where each node of the tree is among them, and their variances.

    The effect of the root is zero, it and what is no branch above it are at -1.
    """
    from scipy import sparse

    n = len(parent)
    node, count = np.full(n, -1, dtype=np.int64), 0
    above, own = [], []
    variance = np.zeros(n)  # the last stays that of the root, which is at -1
    for i in range(1, n):
        if length[i] <= shortest:
            node[i] = node[parent[i]]
        else:
            node[i] = count
            above.append(node[parent[i]])
            own.append(i)
            variance[count] = variance[node[parent[i]]] + length[i]
            count += 1
    up, weight = np.array(above), 1.0 / length[own]
    inner = up >= 0
    index = np.arange(count)
    rows = np.concatenate([index, up[inner], index[inner]])
    columns = np.concatenate([index, up[inner], up[inner]])
    values = np.concatenate([weight, weight[inner], -weight[inner]])
    # parents come first: the entry of a branch is below the diagonal
    matrix = sparse.csc_array((values, (rows, columns)), (count, count))
    # the effect of a branch is that of its upper end plus an independent one: a triangle of determinant one
    return Precision.of(matrix, float(np.log(weight).sum())), node, variance[:count]


def _require_lengths(length: np.ndarray, names: list[str]) -> None:
    missing, negative = np.isnan(length[1:]), length[1:] < 0.0
    if missing.any() or np.isinf(length[1:]).any():
        bad = missing | np.isinf(length[1:])
        raise ModelError(
            f"from_tree: {int(bad.sum())} of {len(bad)} branches have no length, that of "
            f"{names[1 + int(np.argmax(bad))]!r} for one; choose lengths first (equal ones, or Grafen's)"
        )
    if negative.any():
        raise ModelError(f"from_tree: the branch of {names[1 + int(np.argmax(negative))]!r} has a negative length")


def _text(tree: Any) -> str:
    if isinstance(tree, Path):
        return tree.read_text()
    if not isinstance(tree, str):
        raise ModelError(
            f"from_tree: give Newick text, the path of a file, or a scikit-bio TreeNode, not {type(tree).__name__}"
        )
    if "(" in tree or ";" in tree:
        return tree
    try:
        return Path(tree).read_text()
    except OSError as error:
        raise ModelError(f"from_tree: {tree[:80]!r} is neither a tree in Newick's format nor a file: {error}") from None


def _parse(text: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Parents, branch lengths and names of the nodes of a Newick text, parents first, node 0 the root."""
    parent, length, names = [-1], [np.nan], [""]
    at, position, ended = 0, 0, False
    text = text.strip()

    def wrong(what: str) -> ModelError:
        around = text[max(position - 20, 0) : position + 20]
        return ModelError(f"from_tree: {what} at character {position} of the tree: {around!r}")

    def child_of(node: int) -> int:
        parent.append(node)
        length.append(np.nan)
        names.append("")
        return len(parent) - 1

    while position < len(text):
        if ended:
            raise wrong("there is something after the ';', such as a second tree,")
        found = _TOKEN.match(text, position)
        if found is None:
            raise wrong("something that does not belong there")
        comment, quoted, mark, bare = found.groups()
        if quoted is not None or bare is not None:
            names[at] = quoted[1:-1].replace("''", "'") if quoted is not None else bare
        elif mark == "(":
            at = child_of(at)
        elif mark == "," and at:
            at = child_of(parent[at])
        elif mark == ")" and at:
            at = parent[at]
        elif mark == ":":
            number = _LENGTH.match(text, found.end())
            try:
                length[at] = float(number[1]) if number is not None else np.nan
            except ValueError:
                raise wrong("a branch length that is no number") from None
            found = number or found
        elif mark == ";":
            ended = True
        elif comment is None:
            raise wrong("a bracket too many")
        position = found.end()
    if at:
        raise ModelError("from_tree: the tree ends before all brackets are closed")
    return np.array(parent), np.array(length), names


def _from_nodes(root: Any) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The same of objects with `children`, `name` and `length`, such as scikit-bio's."""
    parent: list[int] = []
    length: list[float] = []
    names: list[str] = []
    stack: list[tuple[Any, int]] = [(root, -1)]
    while stack:
        node, above = stack.pop()
        here = len(parent)
        parent.append(above)
        own = getattr(node, "length", None)
        length.append(np.nan if own is None else float(own))
        names.append("" if node.name is None else str(node.name))
        stack += [(child, here) for child in reversed(list(node.children))]
    return np.array(parent), np.array(length), names
