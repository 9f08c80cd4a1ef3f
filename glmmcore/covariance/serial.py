"""Structures whose correlations depend on how far apart two coefficients stand in their order."""

from __future__ import annotations

import numpy as np

from glmmcore.covariance.correlation import CommonScale, Correlated, OwnScales

__all__ = ["AutoRegressive", "CommonToeplitz", "OwnScalesAutoRegressive", "Toeplitz"]

# Correlation of neighbours, on the scale t, at which searches start: times near each other are seldom unrelated.
_START = 0.2


class _GeometricDecay(Correlated):
    """Correlation rho^|i - j| between the coefficients in their order, rho = t / sqrt(1 + t^2).

    The factor of the correlation matrix has a closed form: rho^i in the first column, rho^(i - j) sqrt(1 - rho^2) in
    the others.
    """

    ordered = True
    one_correlation = True

    def triangle(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Correlated.triangle`."""
        root = np.hypot(1.0, t[0])
        rho, spread = t[0] / root, 1.0 / root
        lag = np.subtract.outer(np.arange(self.k), np.arange(self.k))
        power = np.where(lag >= 0, rho ** np.maximum(lag, 0), 0.0)
        slope = np.where(lag >= 1, lag * rho ** np.maximum(lag - 1, 0), 0.0)
        c, dc = power.copy(), slope
        c[:, 1:] *= spread
        # d spread / d rho = -rho / spread
        dc[:, 1:] = slope[:, 1:] * spread - power[:, 1:] * rho * root
        return c, (dc / root**3)[None]

    @property
    def independent(self) -> np.ndarray:
        """A small positive correlation."""
        return np.array([_START])


class AutoRegressive(CommonScale, _GeometricDecay):
    """``ar1``: one standard deviation, correlation of neighbours rho."""

    name = "ar1"
    chained = True

    @property
    def reported(self) -> list[tuple[str, int, int]]:
        """One standard deviation, and rho."""
        return [("sd", 0, 0), ("rho", 1, 0)]


class OwnScalesAutoRegressive(OwnScales, _GeometricDecay):
    """``hetar1``: own standard deviations (as logarithms), correlation of neighbours rho."""

    name = "hetar1"

    @property
    def reported(self) -> list[tuple[str, int, int]]:
        """The standard deviations, and rho."""
        return [("sd", i, i) for i in range(self.k)] + [("rho", 1, 0)]


class _ByLag(Correlated):
    """A correlation for each lag, through the partial autocorrelations t / sqrt(1 + t^2), which are free in (-1, 1).

    Every positive definite Toeplitz matrix is reached and nothing else (Barndorff-Nielsen and Schou 1973). With a_ij
    the coefficients of predicting coefficient i from the ones before (Durbin 1960) and v_i = prod_(j <= i) (1 - p_j^2),

        C_i = sum_(j < i) a_ij C_j + sqrt(v_i) e_i,

    which stays exact as a partial autocorrelation goes to one.
    """

    ordered = True

    @property
    def n_correlations(self) -> int:
        """One for each lag."""
        return self.k - 1

    def triangle(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Correlated.triangle`."""
        k, m = self.k, self.k - 1
        root = np.hypot(1.0, t)
        partial, spread = t / root, 1.0 / root
        c, dc = np.zeros((k, k)), np.zeros((m, k, k))
        c[0, 0] = 1.0
        a, da = np.zeros(0), np.zeros((m, 0))  # nearest coefficient first
        scale, d_scale = 1.0, np.zeros(m)
        for i in range(1, k):
            p, dp = partial[i - 1], np.zeros(m)
            dp[i - 1] = spread[i - 1] ** 3
            da = np.column_stack([da - p * da[:, ::-1] - np.outer(dp, a[::-1]), dp])
            a = np.append(a - p * a[::-1], p)
            d_scale = d_scale * spread[i - 1]
            # d spread / dt = -t / (1 + t^2)^(3/2)
            d_scale[i - 1] -= scale * partial[i - 1] * spread[i - 1] ** 2
            scale *= spread[i - 1]
            before = c[i - 1 :: -1] if i > 1 else c[:1]
            c[i] = a @ before
            c[i, i] = scale
            d_before = dc[:, i - 1 :: -1] if i > 1 else dc[:, :1]
            dc[:, i] = da @ before + np.einsum("j,mjk->mk", a, d_before)
            dc[:, i, i] = d_scale
        return c, dc

    @property
    def independent(self) -> np.ndarray:
        """A small positive correlation of neighbours, no partial ones beyond."""
        return np.append(_START, np.zeros(self.k - 2))


class Toeplitz(OwnScales, _ByLag):
    """``toep``: own standard deviations (as logarithms), a correlation for each lag."""

    name = "toep"


class CommonToeplitz(CommonScale, _ByLag):
    """``homtoep``: one standard deviation, a correlation for each lag."""

    name = "homtoep"
    absorbs_noise = True
