import os
import subprocess
import sys

import pytest

import simresid
from glmmcore.families import FAMILIES

COMPILED_AFTER_WARMUP = """
import numpy as np, pandas as pd
from numba.core import event
import glmmcore, simresid

simresid.warmup("poisson")
compiled = []


class Listener(event.Listener):
    def on_start(self, e):
        compiled.append(e.data["dispatcher"].py_func.__qualname__)

    def on_end(self, e):
        pass


event.register("numba:compile", Listener())
rng = np.random.default_rng(2)
d = pd.DataFrame({"y": rng.poisson(2, 90), "x": rng.normal(size=90), "f": list("abc") * 30, "g": np.arange(90) // 9})
d["h"] = d["g"] // 2
for formula in ("y ~ x", "y ~ x * f + (1|g)", "y ~ f + (f|g)", "y ~ x + (1|h/g)", "y ~ x + (1|g) + (0 + x|g) + (1|f)"):
    fit = glmmcore.glmm(formula, d, "poisson")
    fit.summary()
    res = simresid.simulate_residuals(fit, 50)
    res.diagnose()
    res.recalculate(d["g"]).diagnose()
simresid.simulate_residuals(fit, method="exact").residuals
many = pd.DataFrame({"y": rng.poisson(2, 9000), "f": list("abc") * 3000, "g": np.arange(9000) // 100})
many["h"] = np.arange(9000) % 20
for formula in ("y ~ f + (1|g)", "y ~ f + (1|g) + (1|h)", "y ~ f + (f|g)"):
    glmmcore.glmm(formula, many, "poisson")
print(sorted(set(compiled)))
"""


@pytest.mark.slow
def test_nothing_is_compiled_after_warmup(tmp_path):
    # in an empty cache, where whatever is forgotten shows
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMPILED_AFTER_WARMUP],
        capture_output=True,
        text=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
    )
    assert run.stdout.strip() == "[]", run.stdout + run.stderr


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_has_a_response_to_warm_up_with(family):
    assert simresid.warmup([family]) > 0


def test_unknown_family():
    with pytest.raises(ValueError, match="unknown family 'poison'"):
        simresid.warmup("poison")
