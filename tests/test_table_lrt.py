"""The bootstrapped likelihood ratio test of tables."""

import numpy as np
import pandas as pd
import pytest

from skem import MixtureModel, bootstrap_lrt


@pytest.mark.slow
def test_two_classes_are_told_from_one_and_not_from_three():
    rng = np.random.default_rng(0)
    z = rng.integers(2, size=120)
    table = pd.DataFrame(
        {
            f"q{j}": np.where(rng.random(120) < 0.15 + 0.7 * z, "yes", "no")
            for j in range(5)
        }
    )
    table["n"] = rng.poisson(2 + 4 * z).astype(float)
    table = table.mask(rng.random(table.shape) < 0.1)
    model = MixtureModel(families={"n": "poisson"}, tol=0.1)
    test = bootstrap_lrt(model, table, 1, 2, n_boot=9, random_state=0)
    assert test.p_value == pytest.approx(0.1)
    assert test.statistic > 2 * test.bootstrap_statistics.max()
    weight = np.full(120, 2.0)
    more = bootstrap_lrt(
        model, table, 1, 2, n_boot=1, random_state=0, sample_weight=weight
    )
    assert more.statistic == pytest.approx(2 * test.statistic, rel=0.05)
    test = bootstrap_lrt(model, table, 2, 3, n_boot=9, random_state=0)
    assert test.p_value > 0.1
