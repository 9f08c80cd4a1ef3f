"""Passes over the rows of many responses with one random intercept a level; rows stand by level.

`ends` (L + 1,) holds the first row of each level and, last, their number. Arrays of rows are (b, n), of levels (b, L).
"""

from glmmcore._jit import kernel

__all__ = ["add_effects", "gradient_of_rows", "newton_steps", "sums_by_level"]


@kernel
def add_effects(fixed, z, ends, effects, out):
    """`out` = fixed + z b, with the effect b of the level of each row."""
    for r in range(out.shape[0]):
        for level in range(ends.size - 1):
            b = effects[r, level]
            for i in range(ends[level], ends[level + 1]):
                out[r, i] = fixed[r, i] + z[i] * b


@kernel
def sums_by_level(weights, ends, values, out):
    """`out` = sums of weights (n,) times values over the rows of each level."""
    for r in range(out.shape[0]):
        for level in range(ends.size - 1):
            total = 0.0
            for i in range(ends[level], ends[level + 1]):
                total += weights[i] * values[r, i]
            out[r, level] = total


@kernel
def newton_steps(t, information, residual, step, positive):
    """Steps H^-1 residual with H = t^2 information + 1, which replaces `information`; whether all H are positive."""
    for r in range(step.shape[0]):
        square = t[r] * t[r]
        positive[r] = True
        for level in range(step.shape[1]):
            h = square * information[r, level] + 1.0
            information[r, level] = h
            if not h > 0.0:
                positive[r] = False
            step[r, level] = residual[r, level] / h


@kernel
def gradient_of_rows(z, ends, d1, d2, d3, variance, moved, out):
    """Gradient of F by every predictor (P, b, n): -d1 - d3 z^2 variance / 2 + d2 z moved.

    `variance` is that of the level's effect given the response, `moved` what the log determinant adds to the effect.
    """
    for p in range(out.shape[0]):
        for r in range(out.shape[1]):
            for level in range(ends.size - 1):
                half, shift = 0.5 * variance[r, level], moved[r, level]
                for i in range(ends[level], ends[level + 1]):
                    out[p, r, i] = d2[p, r, i] * (z[i] * shift) - d1[p, r, i] - d3[p, r, i] * (z[i] * z[i] * half)
