"""Meta-analyses with known sampling variances against metafor's numbers."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from glmmcore import glmm, relationship


@pytest.fixture(scope="module")
def bcg():
    """Trials of BCG vaccine (Colditz and others 1994), metadat's dat.bcg: logarithms of relative risks."""
    ill, well = [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27], [
        119, 300, 228, 13536, 5036, 1361, 2537, 87886, 7470, 1699, 50448, 2493, 16886,
    ]  # fmt: skip
    ill0, well0 = [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29], [
        128, 274, 209, 12619, 5761, 1079, 619, 87892, 7232, 1600, 27197, 2338, 17825,
    ]  # fmt: skip
    latitude = [44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33]
    a, b, c, e = (np.array(v, dtype=float) for v in (ill, well, ill0, well0))
    y = np.log(a / (a + b)) - np.log(c / (c + e))
    return pd.DataFrame({"y": y, "v": 1 / a - 1 / (a + b) + 1 / c - 1 / (c + e), "trial": range(13), "lat": latitude})


def fit_trials(formula, d, **options):
    known = {"trial": relationship.covariance(np.diag(d["v"]), d["trial"])}
    return glmm(formula, d, known=known, fixed={"sd(trial)": 1.0}, **options)


# rma(yi, vi, mods=, method=, control=list(threshold=1e-12)) of metafor 3.8-1 on its dat.bcg; the first four digits are
# those that metafor's pages print. Formula, reml, estimates, standard errors that take tau2 as known, tau2, logLik.
METAFOR = [
    ("y ~ 1 + (1|trial)", True, [-0.7145323422], [0.1797815161], 0.3132432581, -12.2023714155),
    ("y ~ lat + (1|trial)", True, [0.2514682100, -0.0291017250], [0.2490953966, 0.0071953272], 0.0763479640,
     -8.0873200583),
    ("y ~ 1 + (1|trial)", False, [-0.7111991355], [0.1718968088], 0.2800281373, -12.6650763483),
    ("y ~ lat + (1|trial)", False, [0.2821071739, -0.0295093354], [0.1871845563, 0.0054877363], 0.0343514425,
     -7.6856655284),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "reml", "estimates", "errors", "tau2", "llf"), METAFOR)
def test_numbers_of_metafor(bcg, formula, reml, estimates, errors, tau2, llf):
    """Ten digits are printed, and maxima are found to some 1e-8."""
    fit = fit_trials(formula, bcg, reml=reml)
    np.testing.assert_allclose(fit.params, estimates, rtol=1e-6)
    assert fit.sigma**2 == pytest.approx(tau2, rel=1e-6)
    x = fit.design.predictors["cond"].X
    v = bcg["v"].to_numpy() + fit.sigma**2
    plain = np.sqrt(np.diag(np.linalg.inv(x.T @ (x / v[:, None]))))
    np.testing.assert_allclose(plain, errors, rtol=1e-6)
    # metafor's restricted likelihood has the factor |X'X|^(1/2), that of lme4 and glmmTMB has not
    own = 0.5 * np.linalg.slogdet(x.T @ x)[1] if reml else 0.0
    assert fit.llf + own == pytest.approx(llf, abs=1e-7)
    if reml:
        np.testing.assert_allclose(fit.bse, plain, rtol=0.05)
    assert fit.df_model == x.shape[1] + 1


@pytest.mark.parametrize("formula", ["y ~ 1 + (1|trial)", "y ~ lat + (1|trial)"])
@pytest.mark.parametrize("reml", [False, True])
def test_the_marginal_normal_likelihood(bcg, formula, reml):
    """y ~ N(X beta, v + tau2) written out and maximised over tau2; no number stands by memory."""
    fit = fit_trials(formula, bcg, reml=reml)
    x, y, v = fit.design.predictors["cond"].X, bcg["y"].to_numpy(), bcg["v"].to_numpy()
    p = x.shape[1]

    def loss(tau2, beta=None):
        w = 1.0 / (v + tau2)
        information = x.T @ (w[:, None] * x)
        at = np.linalg.solve(information, x.T @ (w * y)) if beta is None else beta
        out = 0.5 * np.sum(w * (y - x @ at) ** 2) - 0.5 * np.sum(np.log(w)) + 0.5 * len(y) * np.log(2 * np.pi)
        if reml:
            out += 0.5 * np.linalg.slogdet(information)[1] - 0.5 * p * np.log(2 * np.pi)
        return out, at

    best = optimize.minimize_scalar(
        lambda t: loss(t)[0], bounds=(1e-4, 3.0), method="bounded", options={"xatol": 1e-11}
    )
    value, beta = loss(best.x)
    assert fit.llf == pytest.approx(-value, abs=1e-6)
    assert fit.sigma**2 == pytest.approx(best.x, rel=1e-4)
    np.testing.assert_allclose(fit.params, beta, rtol=1e-4)
    if not reml:  # standard errors know that tau2 is estimated: the inverse of the whole Hessian
        centre, step = np.append(beta, np.log(best.x)), np.append(np.full(p, 1e-4), 1e-3)

        def joint(z):
            return loss(np.exp(z[-1]), z[:-1])[0]

        hessian = np.empty((p + 1, p + 1))
        for i, a in enumerate(np.diag(step)):
            for j, b in enumerate(np.diag(step)):
                mixed = joint(centre + a + b) - joint(centre + a - b) - joint(centre - a + b) + joint(centre - a - b)
                hessian[i, j] = mixed / (4 * step[i] * step[j])
        np.testing.assert_allclose(fit.bse, np.sqrt(np.diag(np.linalg.inv(hessian)))[:p], rtol=1e-3)


def test_common_effect(bcg):
    """Without variance between trials: the weighted mean, rma(method="FE") of metafor 3.8-1.

    ``disp="~ 0"`` leaves a residual variance that is a millionth of the response's.
    """
    known = {"trial": relationship.covariance(np.diag(bcg["v"]), bcg["trial"])}
    fit = glmm("y ~ 1 + (1|trial)", bcg, disp="~ 0", known=known, fixed={"sd(trial)": 1.0})
    assert fit.params["Intercept"] == pytest.approx(-0.4302851637, rel=3e-6)
    assert fit.bse["Intercept"] == pytest.approx(0.0404987517, rel=3e-6)


@pytest.mark.parametrize("case", ["rel_meta_ml", "rel_meta_reml"])
def test_three_levels(shared, case):
    folder = shared / "reference2"
    wanted = json.loads((folder / "cases" / f"{case}.json").read_text())
    d = pd.read_csv(folder / "data" / "konstantopoulos.csv").assign(
        district=lambda t: t["district"].astype(str), estimate=lambda t: t["estimate"].astype(str)
    )
    known = {"own": relationship.covariance(np.diag(d["vi"]), d["estimate"])}
    fit = glmm(
        "yi ~ 1 + (1|own) + (1|district/estimate)",
        d.assign(own=d["estimate"]),
        disp="~ 0",
        reml=wanted["reml"],
        known=known,
        fixed={"sd(own)": 1.0},
    )
    metafor = wanted["metafor"]
    assert fit.params["Intercept"] == pytest.approx(metafor["estimate"], abs=1e-6)
    sd = fit.var_corr.set_index("group")["sd"]
    assert sd["district"] ** 2 == pytest.approx(metafor["sigma2"][0], rel=1e-4)
    np.testing.assert_allclose(sorted(sd**2)[0], metafor["sigma2"][1], rtol=1e-4)
    assert fit.llf == pytest.approx(wanted["loglik"], abs=1e-6)
    assert fit.df_model == 3
