"""Residuals drawn on a dask cluster are those drawn at home."""

from __future__ import annotations

import joblib
import numpy as np
import pytest

import simresid as sr


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the cluster's own libraries warn as they please
def test_cluster_changes_nothing(poisson_fit):
    distributed = pytest.importorskip("distributed", reason="dask's cluster is optional")
    model = poisson_fit(20_000)
    reference = sr.simulate_residuals(model, 50)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        other = sr.simulate_residuals(model, 50, block_size=12, keep_simulations=False)
    np.testing.assert_array_equal(other.residuals, reference.residuals)
