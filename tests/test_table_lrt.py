"""The bootstrapped likelihood ratio test of tables."""

import numpy as np
import pandas as pd
import pytest

from skem import MixtureModel, bootstrap_lrt, sequential_bootstrap_lrt


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
