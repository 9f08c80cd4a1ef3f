"""What the data do not determine: means, contrasts and predictions are emmeans' or NaN, and the NaN are named.

Numbers of R 4.2 with emmeans 1.8.4 (lm, glm, lmer), printed with ten digits. A linear model of R is ``reml=True`` here:
its residual variance is that of the degrees of freedom.
"""

from __future__ import annotations

import warnings
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glmmcore import DataWarning, ModelError, glmm, inverse_prediction, marginal_means

NAN = float("nan")
# Optima of linear models are closed forms; those of the others are found to a thousandth of a standard error or better,
# and differenced Hessians are good to 1e-4.
TOLERANCE, OPTIMUM = 1e-8, 2e-4


def table() -> pd.DataFrame:
    """72 rows by whole-number arithmetic, so that R has the same."""
    i = np.arange(72)
    return pd.DataFrame(
        {
            "A": np.take(["a1", "a2", "a3"], i % 3),
            "B": np.take(["b1", "b2"], i // 3 % 2),
            "C": np.take(["c1", "c2", "c3", "c4"], i // 6 % 4),
            "g": np.take(list("pqrstuvwxyzo"), i // 6 % 12),
            "y": (37 * i * i + 11 * i + 5) % 101 / 10.0,
            "k": (13 * i * i + 29 * i + 3) % 11,
            "x": (i * i + 7 * i) % 17 / 4.0,
            "year": 2000 + i * i % 5 * 2,
            "L": (i * i * i + i) % 7 > 2,
        }
    )


DATA = table()
NO_A3B2 = DATA[~((DATA["A"] == "a3") & (DATA["B"] == "b2"))]


def quiet(formula, data, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return glmm(formula, data, *args, **kwargs)


def linear(formula, data):
    return quiet(formula, data, reml=True)


def means(fit, variables, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        out = marginal_means(fit, variables, **options)
    said = " ".join(str(w.message) for w in caught)
    assert bool(said) == bool(out["estimate"].isna().any())
    assert (out["estimate"].isna() == out["se"].isna()).all()
    return out


def close(found, expected, tolerance=TOLERANCE):
    np.testing.assert_allclose(np.asarray(found, dtype=float), expected, rtol=tolerance, atol=tolerance)


# ---- ten designs -------------------------------------------------------------------------------------
def test_an_empty_cell():
    fit = linear("y ~ A*B", NO_A3B2)
    a = means(fit, "A", df=55)
    close(a["estimate"], [4.933333333, 5.379166667, NAN], 1e-9)
    close(a["se"], [0.5807382753, 0.5807382753, NAN])
    close(means(fit, "B")["estimate"], [4.783333333, NAN], 1e-9)
    cells = means(fit, ["B", "A"])
    close(cells["estimate"], [4.133333333, 5.683333333, 4.533333333, 5.733333333, 5.075, NAN], 1e-9)
    close(cells["se"].iloc[:5], 0.8212879452)
    # pairs(): families count what cannot be estimated
    tukey = means(fit, "A", contrasts="pairwise", df=55)
    close(tukey["pvalue"], [0.8505384572, NAN, NAN], 1e-6)
    close(tukey.loc["a1 - a2", ["lower", "upper"]], [-2.424111595, 1.532444928], 1e-6)
    bonferroni = means(fit, "A", contrasts="pairwise", adjust="bonferroni", df=55)
    close(bonferroni.iloc[0][["pvalue", "lower", "upper"]], [1.0, -2.473929303, 1.582262636])
    holm = means(fit, "A", by="B", contrasts="pairwise", adjust="holm", df=55)
    close(holm["pvalue"], [0.5626082711, 0.7318669539, 0.6529040276, 1.0, NAN, NAN])
    close(holm["estimate"], [-1.55, -0.4, 1.15, 0.6583333333, NAN, NAN], 1e-9)


def test_three_empty_cells_of_a_poisson_model():
    gone = ((DATA["A"] == "a1") & DATA["C"].isin(["c1", "c2"])) | ((DATA["A"] == "a2") & (DATA["C"] == "c4"))
    fit = quiet("k ~ A*C", DATA[~gone], "poisson")
    close(means(fit, "A")["estimate"], [NAN, NAN, 1.537828312], OPTIMUM)
    c = means(fit, "C")
    close(c["estimate"], [NAN, NAN, 1.601946961, NAN], OPTIMUM)
    close(c["se"], [NAN, NAN, 0.1062241355, NAN], OPTIMUM)
    pairs = means(fit, "C", by="A", contrasts="pairwise", adjust="holm")
    expected = [NAN] * 5 + [-0.3920420875, -0.3920420875, -0.2776317364, NAN, 0.1144103512, NAN, NAN]
    expected += [0.3184537311, 0.03077165866, 0.3184537311, -0.2876820725, 0.0, 0.2876820725]
    close(pairs["estimate"], expected, OPTIMUM)
    close(pairs["pvalue"].iloc[[5, 6, 7, 9]], [0.7797060704, 0.7797060704, 1.0, 1.0], 1e-3)


def test_a_factor_within_another():
    data = DATA.assign(W=DATA["A"] + DATA["B"])
    fit = linear("y ~ A + W", data)
    assert means(fit, "W")["estimate"].isna().all() and means(fit, "A")["estimate"].isna().all()
    pairs = means(fit, "W", contrasts="pairwise")
    known = pairs.dropna()
    assert known.index.tolist() == ["a1b1 - a1b2", "a2b1 - a2b2", "a3b1 - a3b2"]
    close(known["estimate"], [-1.6, 0.6083333333, -1.391666667], 1e-9)
    close(known["se"], 1.119503031)
    cells = means(fit, ["A", "W"]).dropna()
    assert [w[:2] for _, w in cells.index] == [a for a, _ in cells.index]
    close(cells["estimate"], [4.133333333, 5.733333333, 5.683333333, 5.075, 4.533333333, 5.925], 1e-9)
    close(cells["se"], 0.791608185)


def test_a_slope_of_one_level_without_spread():
    data = DATA.assign(x=DATA["x"].where(DATA["A"] != "a2", 1.5))
    fit = linear("y ~ A*x", data)
    close(means(fit, "A")["estimate"], [4.805823182, NAN, 5.231495003], 1e-9)
    at = means(fit, "A", at={"x": 1.5})
    close(at["estimate"], [4.672093023, 5.379166667, 5.281554235], 1e-9)
    close(at["se"], [0.5810227772, 0.5587286088, 0.564118052])
    slopes = means(fit, "x", by="A", at={"x": [1, 2]}, contrasts="pairwise")
    close(slopes["estimate"], [-0.8956810631, NAN, 0.3352804342], 1e-9)
    close(slopes["se"], [0.5465298731, NAN, 0.4978656348])


def test_a_number_made_a_factor():
    fit = quiet("k ~ factor(year)*B", DATA, "poisson")
    b = means(fit, "B")
    close(b["estimate"], [1.5439175, 1.62948922], OPTIMUM)
    close(b["se"], [0.08269934303, 0.0760057398], OPTIMUM)
    years = means(fit, "year")
    assert years.index.tolist() == [2000, 2002, 2008]
    close(years["estimate"], [1.59125409, 1.614554501, 1.554301489], OPTIMUM)
    with pytest.raises(ModelError, match="column 'year' has no level 2003"):
        marginal_means(fit, "B", at={"year": 2003})


def test_a_number_that_is_a_factor_too():
    fit = linear("y ~ year + factor(year) + A", DATA)
    a = means(fit, "A")
    close(a["estimate"], [4.931866538, 5.377699871, 5.235055698], 1e-7)
    close(a["se"], [0.5805632172, 0.5805632172, 0.5806065909], 1e-6)
    close(means(fit, "year")["estimate"], [5.193333333, 5.26391431, 5.087374464], 1e-7)
    crossed = linear("y ~ C(year) + year:x", DATA)
    close(means(crossed, "year")["estimate"], [5.202236253, 5.262635052, 5.083909154], 1e-7)
    close(means(crossed, "year")["se"], [0.7188402211, 0.5167003972, 0.5260435881], 1e-6)


def test_booleans():
    fit = quiet("I(k > 4) ~ L*x", DATA, "binomial")
    close(means(fit, "L")["estimate"], [0.13377277946, 0.09923744774], OPTIMUM)
    close(means(fit, "L")["se"], [0.3678741362, 0.3196365882], OPTIMUM)
    close(means(fit, "L", at={"x": 1}, contrasts="pairwise")["estimate"], 0.6059947873, OPTIMUM)
    slopes = linear("y ~ L:x", DATA)
    close(slopes.params, [4.98208711771, 0.20161543536, 0.04605580691])
    close(means(slopes, "L")["se"], [0.4496205919, 0.4075678889])
    plain = linear("y ~ 0 + L + x", DATA)
    close(plain.params, [5.311737680, 4.7233657277, 0.1131708042])
    close(means(plain, "L")["estimate"], [5.507428863, 4.91905691])
    condition = linear("y ~ A + I(x > 2):x", DATA)
    close(condition.params, [5.08512298964, 0.37798447799, 0.20426979605, -0.33931391653, 0.09858794985])
    close(means(condition, "A")["se"], [0.6945128481, 0.736581543, 0.7573260015])
    some = linear("y ~ L*B + x", DATA[~(DATA["L"] & (DATA["B"] == "b2"))])
    close(means(some, "L")["estimate"], [5.474898522, NAN])
    close(means(some, ["B", "L"])["estimate"], [4.952037493, 4.659882154, 5.997759552, NAN])


def test_an_empty_cell_of_a_mixed_model():
    fit = linear("y ~ A*B + x + (1|g)", NO_A3B2)
    # the variance by g is zero, which lme4 stops just before
    close(means(fit, "A")["estimate"], [4.913517394, 5.37586401, NAN], 1e-4)
    close(means(fit, "A")["se"], [0.5819508946, 0.5815440586, NAN], 1e-3)
    cells = means(fit, ["B", "A"])
    close(cells["estimate"], [4.166359899, 5.689938646, 4.579570525, 5.660674889, 5.061789374, NAN], 1e-4)
    pairs = means(fit, ["B", "A"], contrasts="pairwise", df=43)
    assert int(pairs["estimate"].isna().sum()) == 5
    close(pairs["pvalue"].iloc[[0, 5]], [0.7781959302, 0.9296906236], 1e-3)
    f = means(fit, "A", contrasts="pairwise", df="satterthwaite")
    assert f["df"].isna().tolist() == [False, True, True]


def test_three_factors():
    gone = (DATA["A"] == "a1") & (DATA["B"] == "b1") & (DATA["C"] == "c2") | (DATA["A"] == "a2") & (DATA["C"] == "c3")
    some = DATA[~gone]
    fit = linear("y ~ A*B*C", some)
    close(means(fit, ["B", "A"])["estimate"], [NAN, NAN, 4.533333333, 5.733333333, NAN, 5.925], 1e-9)
    pairs = means(fit, "A", by="C", contrasts="pairwise")
    expected = [-1.6, -2.1833333333, -0.5833333333, NAN, NAN, -1.2166666667, NAN, 1 / 3, NAN]
    close(pairs["estimate"], [*expected, 1.55, 2.4333333333, 0.8833333333])
    two = linear("y ~ (A + B + C)**2", some)
    close(means(two, "A")["estimate"], [5.113690476, NAN, 5.229166667], 1e-9)
    close(means(two, "A")["se"], [0.707584438, NAN, 0.5750086266])
    assert means(two, "B")["estimate"].isna().all()
    close(means(two, ["A", "C"]).loc[("a1", "c2"), ["estimate", "se"]], [5.521428571, 2.010769192], 1e-9)
    c = means(two, "C", contrasts="pairwise")
    close(c["estimate"], [-0.8349206349, NAN, -0.2777777778, NAN, 0.5571428571, NAN])
    close(c["se"], [1.0881120835, NAN, 0.9389851552, NAN, 1.0881120835, NAN])


def test_a_column_twice_and_a_boolean_that_never_changes():
    fit = linear("y ~ A + x + x2", DATA.assign(x2=2 * DATA["x"] + 1))
    close(means(fit, "A")["estimate"], [4.926084684, 5.377958558, 5.237623424], 1e-9)
    assert means(fit, "A", at={"x": 1})["estimate"].isna().all()
    both = means(fit, "A", at={"x": 1, "x2": 3})
    close(both["estimate"], [4.841517109, 5.293390983, 5.153055849], 1e-9)
    close(both["se"], [0.6155752793, 0.6095901004, 0.6007537992])
    pairs = means(fit, "A", at={"x": 1}, contrasts="pairwise")  # given though the means are not
    close(pairs["estimate"], [-0.4518738744, -0.3115387402, 0.1403351342])
    close(pairs["se"], [0.8017886653, 0.8026840603, 0.8020312668])
    always = linear("y ~ L + A", DATA.assign(L=True))
    close(means(always, "L")[["estimate", "se"]], [[5.180555556, 0.3252344936]], 1e-9)
    assert len(marginal_means(always, "L", contrasts="pairwise")) == 0
    false = linear("y ~ L + A", DATA.assign(L=False))
    close(means(false, "L")["estimate"], 5.180555556, 1e-9)


@pytest.mark.parametrize(
    "formula", ["y ~ f + x", "y ~ x + C(one)", "y ~ C(one):x", "y ~ bs(x, df=3) * C(one, contr.sum)"]
)
def test_factors_of_one_level_are_refused_by_name(formula):
    """As in R; a column that silently vanished would be one."""
    with pytest.raises(ModelError, match=r"column '(f|one)' has only one level"):
        glmm(formula, DATA.assign(f="only", one=2000))


def test_a_grid_of_one_level_has_a_mean_and_no_contrast():
    fit = linear("y ~ A + x", DATA)
    one = marginal_means(fit, "A", at={"A": "a2"})
    close(one["estimate"], marginal_means(fit, "A").loc[["a2"], "estimate"])
    for contrasts in ("pairwise", "dunnett", "sequential", "polynomial"):
        assert marginal_means(fit, "A", at={"A": "a2"}, contrasts=contrasts).empty


TERMS = {
    "A*B": ["", "A", "B", "AB"],
    "A*B*C": ["", "A", "B", "C", "AB", "AC", "BC", "ABC"],
    "(A + B + C)**2": ["", "A", "B", "C", "AB", "AC", "BC"],
    "A*x + B:x": ["", "A", "x", "Ax", "Bx"],
    "A/B + C*x": ["", "A", "AB", "C", "x", "Cx"],
    "0 + A:B + A:x": ["AB", "Ax"],
}


def every_column(terms: list[str], frame: pd.DataFrame, levels: dict[str, list[str]]) -> np.ndarray:
    """Design with a column for each combination of levels, none left out."""
    out = []
    for term in terms:
        block = np.ones((len(frame), 1))
        for name in term:
            column = frame[name].to_numpy()
            own = column[:, None] if name == "x" else column[:, None] == np.array(levels[name])
            block = (block[:, :, None] * own[:, None, :]).reshape(len(frame), -1)
        out.append(block.astype(float))
    return np.hstack(out)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(TERMS)))
def test_estimability_against_the_row_space(seed, formula):
    """Means and pairs with random cells lost exist if, and only if, their weights lie in the span of the rows."""
    rng = np.random.default_rng(seed)
    cells = DATA.groupby(["A", "B", "C"]).ngroup().to_numpy()
    some = DATA[~np.isin(cells, rng.choice(24, rng.integers(2, 14), replace=False))]
    some = some.assign(x=np.where(some["A"] == rng.choice(["a1", "none"]), 1.5, some["x"]))
    used = [name for name in "ABC" if name in formula]
    if any(some[name].nunique() < 2 for name in used):
        return
    levels = {name: sorted(some[name].unique()) for name in "ABC"}
    X, y = every_column(TERMS[formula], some, levels), some["y"].to_numpy()
    if np.linalg.matrix_rank(X) >= len(X) - 1:
        return
    fit = linear(f"y ~ {formula}", some)
    grid = pd.DataFrame(list(product(*(levels[name] for name in used))), columns=used).assign(x=some["x"].mean())
    rows = pd.DataFrame(every_column(TERMS[formula], grid, levels)).groupby([grid["A"], grid["B"]]).mean()
    pairs = np.array([rows.iloc[i] - rows.iloc[j] for i in range(len(rows)) for j in range(i + 1, len(rows))])
    inverse = np.linalg.pinv(X)
    for found, weights in ((means(fit, ["A", "B"]), rows), (means(fit, ["A", "B"], contrasts="pairwise"), pairs)):
        weights = np.asarray(weights)
        exists = np.abs(weights - weights @ inverse @ X).max(axis=1) < 1e-8
        assert found["estimate"].notna().tolist() == exists.tolist()
        close(found["estimate"][exists], (weights @ inverse @ y)[exists], 1e-6)


# ---- predictions -------------------------------------------------------------------------------------
CELLS = pd.DataFrame({"A": ["a1", "a3", "a3"], "B": ["b2", "b1", "b2"]}, index=["one", "two", "three"])


@pytest.mark.parametrize("kind", ["response", "link", "conditional"])
def test_predictions_of_an_empty_cell_are_nan_and_named(kind):
    fit = quiet("k ~ A*B", NO_A3B2, "poisson")
    named = r"predict: row 'three' cannot be estimated and is NaN: .* do not determine A\[T.a3\]:B\[T.b2\]"
    with pytest.warns(DataWarning, match=named):
        found = fit.predict(CELLS, kind=kind, se=True, level=0.9)
    assert found.isna().all(axis=1).tolist() == [False, False, True]
    with pytest.warns(DataWarning, match="'three'"):
        assert fit.predict(CELLS, kind=kind).isna().tolist() == [False, False, True]
    observed = NO_A3B2.groupby(["A", "B"])["k"].mean()
    expected = observed[[("a1", "b2"), ("a3", "b1")]]
    close(found["estimate"].iloc[:2], np.log(expected) if kind == "link" else expected, OPTIMUM)


def test_only_the_part_that_is_asked_for_counts():
    data = NO_A3B2.assign(k=NO_A3B2["k"] * (NO_A3B2.index % 4 > 0))
    fit = quiet("k ~ A + B", data, "poisson", zi="~ A*B")
    fit.predict(CELLS, kind="link")
    for kind in ("zprob", "response"):
        with pytest.warns(DataWarning, match="'three'"):
            assert fit.predict(CELLS, kind=kind).isna().tolist() == [False, False, True]
    spread = quiet("y ~ A + B", NO_A3B2, disp="~ A*B")
    assert spread.predict(CELLS).notna().all()  # the mean of a gaussian does not depend on its spread
    with pytest.warns(DataWarning, match="'three'"):
        assert spread.predict(CELLS, kind="disp").isna().tolist() == [False, False, True]


def test_rows_of_the_fit_are_always_estimable():
    """Whatever the units and the origin of the columns."""
    for shift, unit in ((0.0, 1.0), (1e4, 1.0), (0.0, 1e-6), (1e4, 1e6)):
        data = NO_A3B2.assign(x=(NO_A3B2["x"] + shift) * unit)
        data = data.assign(twice=2.0 * data["x"] - shift * unit, year=data["year"] + 0.5)
        fit = linear("y ~ A*B*x + twice + C(year)*A + year", data)
        assert fit.predict(data).notna().all()
        with pytest.warns(DataWarning, match=r"60 in all\) .* do not determine twice"):
            assert fit.predict(data.assign(x=data["x"] + unit)).isna().all()


def test_simulations_of_an_empty_cell_are_nan():
    fit = quiet("k ~ A*B + (1|g)", NO_A3B2, "poisson")
    with pytest.warns(DataWarning, match="simulate: row 'three'"):
        drawn = fit.simulate(5, newdata=CELLS.assign(g="p"), rng=1)
    assert np.isnan(drawn).all(axis=0).tolist() == [False, False, True]
    known = fit.simulate(5, newdata=CELLS.assign(g="p").iloc[:2], rng=1)
    assert known.shape == (5, 2) and np.isfinite(known).all()


def test_refits_to_some_rows_know_what_they_lost():
    fit = linear("y ~ A*B", DATA)
    keep = ~((DATA["A"] == "a2") & (DATA["B"] == "b1")).to_numpy()
    some = fit.refit(rows=keep)
    rows = pd.DataFrame({"A": ["a2", "a2"], "B": ["b1", "b2"]})
    with pytest.warns(DataWarning, match="row 0"):
        assert some.predict(rows).isna().tolist() == [True, False]
    close(means(some, "A")["estimate"].isna(), [0, 1, 0])


def test_inverse_prediction_refuses_what_is_not_known():
    data = DATA.assign(x=DATA["x"].where(DATA["A"] != "a2", 1.5))
    fit = linear("y ~ A*x", data)
    with pytest.raises(ModelError, match=r"do not determine A\[T.a2\]:x"):
        inverse_prediction(fit, "x", 5.0, at={"A": "a2"})
    assert np.isfinite(inverse_prediction(fit, "x", 5.0, at={"A": "a1"}, method="delta").estimate)
