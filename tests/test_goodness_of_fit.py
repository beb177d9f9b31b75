"""Counts that a mixture of a table expects beside those of the data."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from skem import GaussianMixture, MixtureIC, MixtureModel, goodness_of_fit


@pytest.mark.parametrize(
    ("n_components", "ratio", "pearson"),
    [(2, 62.36543, 92.64814), (3, 15.26171, 20.50336)],
)
def test_patterns_of_carcinoma_are_those_of_polca(
    carcinoma, n_components, ratio, pearson
):
    """Linzer & Lewis 2011, Journal of Statistical Software 42(10)."""
    model = MixtureModel(
        n_components,
        families="bernoulli",
        pseudo_observations=0,
        random_state=0,
        tol=1e-9,
    ).fit(carcinoma)
    found = goodness_of_fit(model, carcinoma)
    assert found.likelihood_ratio == pytest.approx(ratio, abs=1e-3)
    assert found.pearson == pytest.approx(pearson, abs=0.02)
    assert found.pattern_degrees_of_freedom == {2: 103, 3: 95}[n_components]


def answers(n, rng, alike=0):
    """Six answers of two groups; the first two the same in the first rows."""
    group = rng.integers(2, size=(n, 1))
    values = np.where(rng.random((n, 6)) < np.where(group, 0.8, 0.2), "yes", "no")
    values[:alike, 1] = values[:alike, 0]
    return pd.DataFrame(values, columns=[f"q{j}" for j in range(6)])


def test_residuals_of_pairs_are_those_of_cross_tables(rng):
    table = answers(400, rng)
    model = MixtureModel(2, random_state=0).fit(table)
    found = goodness_of_fit(model, table)
    p = np.stack([model.parameters_[name]["proportions"] for name in table], axis=0)
    # Responsibilities, whose mean is not quite the weight under the prior.
    r = model.predict_proba(table).sum(axis=0)
    for i, j in [(0, 1), (2, 5)]:
        expected = np.einsum("k,ka,kb->ab", r, p[i], p[j])
        counts = pd.crosstab(table.iloc[:, i], table.iloc[:, j]).to_numpy()
        statistic = ((counts - expected) ** 2 / expected).sum()
        assert found.statistics[i, j] == pytest.approx(statistic)
        assert found.statistics[j, i] == found.statistics[i, j]
        assert found.residuals[i, j] == found.statistics[i, j]
    assert np.isnan(np.diagonal(found.statistics)).all()


def test_answers_that_depend_on_each_other_are_found(rng):
    table = answers(500, rng, alike=200)
    model = MixtureModel(2, random_state=0).fit(table)
    found = goodness_of_fit(model, table, n_boot=19, random_state=0)
    pairs = np.triu_indices(6, 1)
    assert np.argmax(found.residuals[pairs]) == 0
    assert found.residuals[0, 1] > 5
    assert found.p_values[0, 1] == pytest.approx(0.05)
    assert found.likelihood_ratio_p_value <= 0.1
    first = str(found).split("Pairs of columns")[1].splitlines()[3]
    assert first.split()[:2] == ["q0,", "q1"]
    frame = found.to_frame()
    assert len(frame) == 15
    first = frame.sort_values("residual").iloc[-1]
    assert (first["first"], first["second"], first["df"]) == ("q0", "q1", 1)
    assert first["p_value"] == found.p_values[0, 1]
    again = goodness_of_fit(model, table, n_boot=19, random_state=0, n_jobs=2)
    np.testing.assert_array_equal(again.p_values, found.p_values)


@pytest.mark.slow
def test_p_values_are_even_where_the_mixture_is_right():
    rng = np.random.default_rng(0)
    group = rng.integers(2, size=(400, 1))
    some = rng.random((400, 3)) < np.where(group, 0.8, 0.3)
    table = pd.DataFrame(np.where(some, "yes", "no"), columns=["a", "b", "c"])
    table["visits"] = rng.poisson(2 + 6 * group[:, 0])
    table["cost"] = (rng.random(400) < 0.7) * rng.gamma(2, 1 + group[:, 0])
    families = {"visits": "poisson", "cost": "hurdle_gamma"}
    truth = MixtureModel(2, families=families, random_state=0).fit(table)
    p = []
    for seed in range(25):
        drawn, _ = truth.sample(300, random_state=seed)
        drawn["cost"] = drawn["cost"].round(1)
        drawn = drawn.mask(np.random.default_rng(seed).random(drawn.shape) < 0.05)
        model = MixtureModel(2, families=families, random_state=0).fit(drawn)
        found = goodness_of_fit(model, drawn, n_boot=19, random_state=seed)
        p.append(found.p_values[np.triu_indices(5)])
    p = np.concatenate(p)
    p = p[~np.isnan(p)]
    # 1/20, 2/20, …, as often each.
    assert abs(np.mean(p <= 0.1) - 0.1) < 0.05
    assert abs(np.mean(p <= 0.5) - 0.5) < 0.08


def test_a_family_that_does_not_fit_is_found(rng):
    """Durations that are log-normal, taken for exponential."""
    table = pd.DataFrame(
        {"time": rng.lognormal(1, 0.3, 400), "sex": rng.choice(["f", "m"], 400)}
    )
    off = MixtureModel(families={"time": "exponential"}).fit(table)
    right = MixtureModel(families={"time": "lognormal"}).fit(table)
    found = goodness_of_fit(off, table)
    # Five parts of a fifth each: what a χ² test of these counts has.
    edges = off.marginal("time").quantile([0, 0.2, 0.4, 0.6, 0.8, 1])
    counts = np.histogram(table["time"], edges)[0]
    assert found.statistics[0, 0] == pytest.approx(
        stats.chisquare(counts).statistic, rel=0.02
    )
    assert found.residuals[0, 0] > 50
    assert found.likelihood_ratio is None
    assert goodness_of_fit(right, table).residuals[0, 0] < 3
    assert goodness_of_fit(right, table).degrees_of_freedom[0, 1] == 4


def test_rounded_values_are_counted_on_their_side(rng):
    """An edge between two values would tear the rounded ones apart."""
    table = rng.normal(0, 2, size=(2000, 1)).round()
    model = MixtureModel(covariance_type="diag").fit(table)
    found = goodness_of_fit(model, table)
    assert found.residuals[0, 0] < 3


def test_gaussians_that_are_modelled_together_have_no_residual(rng):
    X = rng.normal(size=(200, 3))
    X[:, 1] += X[:, 0]
    together = goodness_of_fit(MixtureModel().fit(X), X)
    assert np.isnan(together.statistics[np.triu_indices(3, 1)]).all()
    apart = goodness_of_fit(MixtureModel(covariance_type="diag").fit(X), X)
    assert apart.residuals[0, 1] > 5
    assert apart.residuals[0, 2] < 3


def test_weights_are_repeated_rows(rng):
    table = answers(200, rng)
    table["visits"] = rng.poisson(3, 200).astype(float)
    table["age"] = rng.normal(size=200)
    table.loc[::9, "visits"] = np.nan
    weight = rng.integers(0, 3, size=200)
    # Rows of weight zero had moved the edges of parts.
    table.loc[weight == 0, "age"] -= 0.7
    model = MixtureModel(2, families={"visits": "poisson"}, random_state=0)
    model.fit(table, sample_weight=weight)
    weighted = goodness_of_fit(model, table, weight)
    repeated = goodness_of_fit(model, table.loc[np.repeat(table.index, weight)])
    np.testing.assert_allclose(weighted.statistics, repeated.statistics)


def test_a_single_row_in_a_rare_cell_is_no_misfit(rng):
    """Groups far apart: a cell of which a hundredth of a row is expected had X² 77."""
    group = np.repeat([0, 1], 150)
    table = pd.DataFrame({"a": rng.poisson(2 + 18 * group), "b": 0.0})
    table["b"] = rng.normal(8 * group, 1)
    table.loc[0, "b"] = 8.0
    model = MixtureModel(2, families={"a": "poisson"}, random_state=0).fit(table)
    found = goodness_of_fit(model, table)
    assert found.residuals[0, 1] < 3
    assert found.degrees_of_freedom[0, 1] < 16


def test_values_that_are_always_the_same_have_nothing_to_tell():
    table = pd.DataFrame({"a": ["u"] * 30, "b": [1.5] * 30, "c": np.arange(30) % 7})
    model = MixtureModel(families={"c": "poisson"}).fit(table)
    found = goodness_of_fit(model, table, n_boot=1, random_state=0)
    assert np.isfinite(found.statistics[2, 2])
    assert np.isnan(found.statistics).sum() == 8


def test_a_column_without_a_value_has_no_statistic(rng):
    table = pd.DataFrame({"a": rng.poisson(3, 60), "b": rng.normal(size=60)})
    model = MixtureModel(families={"a": "poisson"}).fit(table)
    table["b"] = np.nan
    found = goodness_of_fit(model, table)
    assert np.isfinite(found.statistics).tolist() == [[True, False], [False, False]]
    with pytest.raises(ValueError, match="Column 'b' has no value in these rows"):
        goodness_of_fit(model, table, n_boot=1)


def test_a_search_is_asked_for_its_choice_and_others_are_refused(rng):
    table = answers(100, rng)
    search = MixtureIC([1, 2], random_state=0).fit(table)
    found = goodness_of_fit(search, table)
    chosen = goodness_of_fit(search.best_estimator_, table)
    np.testing.assert_array_equal(found.statistics, chosen.statistics)
    X = rng.normal(size=(20, 2))
    with pytest.raises(
        TypeError, match="Expected a fitted MixtureModel, but got Gauss"
    ):
        goodness_of_fit(GaussianMixture().fit(X), X)
