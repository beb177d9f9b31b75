"""The bootstrapped likelihood ratio test of tables."""

import numpy as np
import pandas as pd
import pytest

from skem import MixtureModel, bootstrap_lrt, sequential_bootstrap_lrt
from skem._bootstrap.simulated_tables import RecordedColumns, TableSimulation


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


def test_tests_of_tables_one_after_the_other():
    rng = np.random.default_rng(0)
    X = rng.poisson(np.repeat([2.0, 40.0], 30))[:, None]
    model = MixtureModel(families="poisson", n_init=1, tol=0.1)
    result = sequential_bootstrap_lrt(model, X, 3, alpha=0.4, n_boot=4, random_state=0)
    first = bootstrap_lrt(model, X, 1, 2, n_boot=4, random_state=0)
    assert result.tests[0].statistic == first.statistic
    assert result.tests[0].p_value == 0.2
    null, two = (
        MixtureModel(K, families="poisson", random_state=0).fit(X) for K in (1, 2)
    )
    ratio = 2 * len(X) * (two.lower_bound_ - null.lower_bound_)
    assert first.statistic == pytest.approx(ratio, abs=0.2)
    assert result.n_components == 2
    assert str(result).splitlines()[-1] == "2 components at level 0.4"
    with pytest.raises(ValueError, match="n_components = 9, n_samples = 4"):
        sequential_bootstrap_lrt(model, X[:4], 9)


def test_continuous_columns_of_simulated_tables_are_rounded_as_the_data_are(rng):
    size = np.maximum(np.round(rng.lognormal(0.5, 0.7, 200)), 1)
    values = np.stack([rng.poisson(3, 200), np.round(rng.normal(size=200), 1), size])
    values[1, :20] = np.nan
    model = MixtureModel(1, families={0: "poisson", 2: "lognormal"}).fit(values.T)
    weight = np.ones(200)
    recording = RecordedColumns.of(values, weight, model._columns.groups)
    drawn = np.stack([rng.poisson(3, 60), rng.normal(size=60), rng.lognormal(0, 1, 60)])
    drawn[1, 0] = np.nan
    found = recording.recorded(drawn, np.random.RandomState(0))
    np.testing.assert_array_equal(found[0], drawn[0])
    np.testing.assert_allclose(found[1], np.round(drawn[1], 1), atol=1e-9)
    # No zeros: a column of that family has none.
    np.testing.assert_allclose(found[2], np.maximum(np.round(drawn[2]), 1))
    assert RecordedColumns.of(values[:1], weight, model._columns.groups[:1]) is None


def test_no_more_rows_are_simulated_than_there_is_room_for():
    model = MixtureModel(families="poisson")
    with pytest.raises(ValueError, match=r"add up to 4e\+08.*such as the 4 rows"):
        bootstrap_lrt(model, [[0], [1], [2], [3]], 1, sample_weight=np.full(4, 1e8))


def test_a_category_of_rows_without_weight_is_none(rng):
    table = pd.DataFrame({"c": [*rng.permutation(["u", "v"] * 30), "rare"]})
    weight = np.r_[np.ones(60), 0]
    model = MixtureModel(n_init=1, tol=0.1)
    weighted = bootstrap_lrt(
        model, table, 1, 2, n_boot=1, random_state=0, sample_weight=weight
    )
    plain = bootstrap_lrt(model, table[:60], 1, 2, n_boot=1, random_state=0)
    assert weighted.statistic == pytest.approx(plain.statistic, abs=1e-6)


def test_a_start_of_a_table_is_dropped():
    X = np.random.default_rng(0).poisson(np.repeat([2.0, 40.0], 30))[:, None]
    options = {"families": "poisson", "tol": 0.1}
    start = {"weights_init": [0.5, 0.5], "parameters_init": {0: {"rate": [2.0, 9.0]}}}
    mixture = MixtureModel(2, **options, **start, warm_start=True).fit(X)
    test = bootstrap_lrt(mixture, X, 1, 2, n_boot=2, random_state=0)
    other = bootstrap_lrt(MixtureModel(**options), X, 1, n_boot=2, random_state=0)
    assert test.statistic == other.statistic > 0
    assert np.array_equal(test.bootstrap_statistics, other.bootstrap_statistics)
    assert mixture.warm_start and mixture.weights_init == [0.5, 0.5]


@pytest.mark.parametrize("test", [bootstrap_lrt, sequential_bootstrap_lrt])
def test_parts_of_a_table_that_are_fixed_are_refused(test):
    X = np.arange(20)[:, None] % 3
    mixture = MixtureModel(families="poisson", warm_start=True).fit(X)
    mixture.set_params(fixed=["weights"])
    with pytest.raises(ValueError, match="without fixed, got fixed=\\['weights'\\]"):
        test(mixture, X, 2)


def test_zeros_of_a_hurdle_are_simulated_as_often_as_it_says(rng):
    """Amounts within the width of zero had become zeros: 40 % in place of 30 %."""
    amounts = (rng.random(2000) < 0.7) * rng.gamma(2, 1, 2000)
    model = MixtureModel(families="hurdle_gamma").fit(amounts[:, None])
    simulation = TableSimulation.of(model, amounts[:, None], None, 1)
    drawn = np.concatenate([simulation.drawn(seed)[:, 0] for seed in range(5)])
    assert np.mean(drawn == 0) == pytest.approx(np.mean(amounts == 0), abs=0.02)
    # Rounded amounts are drawn as rounded, and none of these becomes zero.
    cents = np.round(amounts, 1)
    model = MixtureModel(families="hurdle_gamma").fit(cents[:, None])
    drawn = TableSimulation.of(model, cents[:, None], None, 1).drawn(0)
    np.testing.assert_allclose(drawn, np.round(drawn, 1), atol=1e-9)
    assert np.mean(drawn == 0) == pytest.approx(np.mean(cents == 0), abs=0.02)


def test_a_hurdle_of_zeros_alone_has_no_recording_to_look_at(rng):
    """Its rest is without a value, of which NumPy had warned."""
    X = np.column_stack([np.zeros(20), rng.gamma(2, 1, 20)])
    model = MixtureModel(families="hurdle_gamma").fit(X)
    simulation = TableSimulation.of(model, X, None, 1)
    assert simulation.recording.columns == [1]
    assert TableSimulation.of(model.marginal(0), X[:, :1], None, 1).recording is None
    assert not simulation.drawn(0)[:, 0].any()
