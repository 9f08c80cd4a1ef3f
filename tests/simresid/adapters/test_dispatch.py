"""Which adapter an object gets, what is imported for it, and what an unknown object is told."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.duration.hazard_regression import PHReg

from simresid.adapters import as_fitted_model, register_adapter


class Coin:
    """Fulfils the protocol with nothing but its attributes."""

    observed = np.array([0.0, 1.0, 1.0])
    fitted = np.full(3, 0.5)
    nobs = 3

    def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
        return np.random.default_rng(rng).integers(0, 2, (n_sims, 3))


def test_a_fitted_model_is_returned_as_it_is():
    coin = Coin()
    assert as_fitted_model(coin) is coin


def test_glmmcore_needs_no_adapter():
    glmmcore = pytest.importorskip("glmmcore")
    if not hasattr(glmmcore, "glmm"):
        pytest.skip("glmmcore.glmm does not exist yet")
    import pandas as pd

    rng = np.random.default_rng(71)
    frame = pd.DataFrame({"x": rng.normal(size=60), "g": np.repeat(np.arange(10), 6)})
    frame["y"] = rng.poisson(np.exp(0.5 + 0.3 * frame["x"]))
    fit = glmmcore.glmm("y ~ x + (1|g)", frame, family="poisson")
    assert as_fitted_model(fit) is fit


@pytest.mark.parametrize("thing", [3.0, "model", [1, 2], Coin, object()])
def test_an_unknown_object_is_told_what_to_do(thing):
    with pytest.raises(TypeError, match="not a fitted model that simresid knows") as caught:
        as_fitted_model(thing)
    message = str(caught.value)
    assert type(thing).__qualname__ in message
    assert "simresid.from_simulations(" in message and "class MyModel" in message


def test_the_class_in_the_message_works():
    """The ten lines that the message shows must run as they stand."""
    with pytest.raises(TypeError) as caught:
        as_fitted_model(None)
    lines = str(caught.value).split("class MyModel:")[1].split("res = ")[0]
    source = "class MyModel:\n" + lines.replace("\n    ", "\n")
    names = {"np": np}
    exec(source, names)

    class Fit:
        def predict_mean(self):
            return np.array([1.0, 5.0])

    from simresid.protocol.conformance import check_fitted_model

    check_fitted_model(names["MyModel"](Fit(), [1, 4]))


def test_an_attribute_that_is_a_method_is_no_fitted_model():
    class Other(Coin):
        def fitted(self):
            return np.zeros(3)

    with pytest.raises(TypeError, match="Other is not a fitted model"):
        as_fitted_model(Other())


def test_statsmodels_without_an_adapter():
    rng = np.random.default_rng(72)
    results = PHReg(rng.exponential(size=30), rng.normal(size=(30, 1))).fit()
    with pytest.raises(TypeError, match=r"hazard_regression\.PHReg model(.|\n)*from_simulations"):
        as_fitted_model(results)


def test_a_model_class_derived_from_statsmodels_may_have_another_law():
    class Mine(sm.OLS):
        pass

    results = Mine(np.arange(5.0), np.ones((5, 1))).fit()
    with pytest.raises(TypeError, match="No adapter knows the law"):
        as_fitted_model(results)


def test_statsmodels_model_instead_of_results():
    with pytest.raises(TypeError, match="pass the results"):
        as_fitted_model(sm.OLS(np.arange(5.0), np.ones((5, 1))))


def test_register_adapter():
    class Theirs:
        __module__ = "theirlib.glm"

    class Derived(Theirs):
        __module__ = "elsewhere"

    with pytest.raises(TypeError):
        as_fitted_model(Theirs())
    coin = Coin()
    register_adapter("theirlib", lambda obj: coin)
    try:
        assert as_fitted_model(Theirs()) is coin
        assert as_fitted_model(Derived()) is coin
        other = Coin()
        register_adapter("theirlib.glm", lambda obj: other)
        assert as_fitted_model(Theirs()) is other
    finally:
        from simresid import adapters

        for name in ("theirlib", "theirlib.glm"):
            adapters._ADAPTERS.pop(name, None)
    with pytest.raises(ValueError, match="module name and a function"):
        register_adapter("", print)


def test_a_protocol_class_may_derive_from_a_known_library():
    class Mine(Coin, sm.OLS):
        def __init__(self):
            """Nothing of OLS is used."""

    mine = Mine()
    assert as_fitted_model(mine) is mine


def test_nothing_is_imported_before_it_is_needed():
    code = (
        "import sys, simresid; from simresid.adapters import as_fitted_model\n"
        "class A: pass\n"
        "try: as_fitted_model(A())\n"
        "except TypeError: pass\n"
        "heavy = {'statsmodels', 'sklearn', 'gpboost', 'mixedlm', 'glum', 'arviz', 'xarray', 'scipy.stats'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", ["glm", "counts", "mixed", "ordered"])
def test_adapted_models_travel_to_other_processes(kind):
    """Results of a formula read the formula again when unpickled, and fail; adapted models do not."""
    import pandas as pd
    import statsmodels.formula.api as smf
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    rng = np.random.default_rng(73)
    frame = pd.DataFrame({"x": rng.normal(size=80), "g": np.repeat(np.arange(8), 10)})
    frame["y"] = rng.poisson(np.exp(0.5 + 0.3 * frame["x"] + 0.5 * rng.normal(size=8)[frame["g"]]))
    results = {
        "glm": lambda: smf.glm("y ~ np.abs(x)", frame, family=sm.families.Poisson()).fit(),
        "counts": lambda: smf.poisson("y ~ x", frame).fit(disp=0),
        "mixed": lambda: smf.mixedlm("y ~ x", frame, groups="g").fit(),
        "ordered": lambda: OrderedModel(np.minimum(frame["y"], 3), frame[["x"]]).fit(disp=0),
    }[kind]()
    model = as_fitted_model(results)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.simulate(3, rng=1), model.simulate(3, rng=1))
    np.testing.assert_allclose(copy.refit(model.observed).fitted, model.fitted, rtol=1e-3)
