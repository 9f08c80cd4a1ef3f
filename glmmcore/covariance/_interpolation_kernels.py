"""Loops over points at which piecewise polynomials are evaluated."""

from __future__ import annotations

from glmmcore._jit import kernel

__all__ = ["chebyshev_sums"]


@kernel
def chebyshev_sums(x, first, width, coefficients, out):
    """Sums of Chebyshev polynomials, (3, pieces, nodes), at points x (n,) into `out` (3, n)."""
    n_pieces, n_nodes = coefficients.shape[1], coefficients.shape[2]
    for i in range(x.size):
        piece = min(int((x[i] - first) / width), n_pieces - 1)
        t = 2.0 * ((x[i] - first) / width - piece) - 1.0
        for f in range(3):
            one, two = 0.0, 0.0
            for j in range(n_nodes - 1, 0, -1):
                one, two = 2.0 * t * one - two + coefficients[f, piece, j], one
            out[f, i] = t * one - two + coefficients[f, piece, 0]
