"""Data drawn from a mixture for tests: recorded and weighed as the data are."""

import numpy as np
import pandas as pd
import pytest

from skem import GaussianMixture, MixtureModel, bootstrap_lrt, goodness_of_fit
from skem._bootstrap.arrays import Likeness
from skem._bootstrap.simulated_tables import TableSimulation


def heaped(rng, n, share):
    """Ages, of which some were rounded to fives."""
    ages = rng.normal(45, 12, n)
    return np.where(rng.random(n) < share, 5 * np.round(ages / 5), np.round(ages))


def test_as_many_are_rounded_to_fives_as_in_the_data(rng):
    """All of those near a multiple of five had been: 96 % of them."""
    ages = heaped(rng, 1500, 0.5)
    table = pd.DataFrame({"age": ages, "sex": rng.choice(["f", "m"], 1500)})
    model = MixtureModel().fit(table)
    simulation = TableSimulation.of(model, table, None, 1)
    drawn = pd.concat([simulation.drawn(seed) for seed in range(3)])["age"]
    on = np.abs(drawn / 5 - np.round(drawn / 5)) < 1e-9
    assert on.mean() == pytest.approx((ages % 5 == 0).mean(), abs=0.1)
    np.testing.assert_allclose(drawn, np.round(drawn), atol=1e-9)
    found = goodness_of_fit(model, table, n_boot=19, random_state=0)
    assert found.p_values[0, 0] < 0.95


def test_shared_values_have_their_share_of_rows_nearby(rng):
    x = np.where(rng.random(1000) < 0.2, 0.0, rng.normal(0, 1, 1000))
    table = pd.DataFrame({"x": x})
    model = MixtureModel().fit(table)
    simulation = TableSimulation.of(model, table, None, 1)
    drawn = np.concatenate([simulation.drawn(seed)["x"] for seed in range(5)])
    # The Gaussian has fewer rows near zero than the data have.
    assert 0.05 < np.mean(drawn == 0) < 0.22


def test_counts_are_rows_and_other_weights_stay():
    counts = Likeness.of(np.array([2.0, 0.0, 1.0]), 3, 1)
    assert counts.rows.tolist() == [0, 0, 2]
    assert counts.weight is None
    few = Likeness.of(np.array([0.0, 1.0, 0.0]), 3, 4)
    assert few.rows.tolist() == [1, 1, 1, 1]
    weights = Likeness.of(np.array([0.5, 0.0, 2.5]), 3, 1)
    assert weights.rows.tolist() == [0, 2]
    assert weights.weight.tolist() == [0.5, 2.5]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["table", "array"])
def test_sampling_weights_do_not_make_more_components_significant(kind):
    """Rows drawn without them had p = 0.05 in more than half of the samples."""
    p = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        weight = rng.gamma(1, size=300)
        weight /= weight.mean()
        if kind == "table":
            X = rng.integers(2, size=(300, 6)).astype(float)
            model = MixtureModel(families="bernoulli", tol=0.1, n_init=3)
        else:
            X, model = rng.normal(size=(300, 2)), GaussianMixture(tol=0.1)
        test = bootstrap_lrt(
            model, X, 1, 2, n_boot=19, random_state=seed, sample_weight=weight
        )
        p.append(test.p_value)
    assert np.mean(np.array(p) <= 0.051) <= 0.2
