"""The choice of a table's mixture by a criterion."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from skem import (
    CriterionDisplay,
    GaussianMixtureIC,
    MixtureIC,
    MixtureModel,
    load,
)
from skem._inputs.tables import read_table
from skem._selection.tables import Rows, path
from skem.exceptions import DegenerateComponentsWarning


# Of checks whose data are whole numbers.
@pytest.mark.filterwarnings("ignore:All .* columns have few different whole")
@parametrize_with_checks([MixtureIC((1,), covariance_type="diag")])
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(5)
    z = rng.integers(2, size=300)
    X = np.column_stack(
        [rng.normal(4 * z, 1), rng.normal(z, 1), rng.poisson(3 + 9 * z)]
    )
    return X


def test_a_choice_that_is_not_identified_is_told(rng):
    z = rng.integers(2, size=600)
    X = rng.random((600, 2)) < np.where(z, 0.9, 0.1)[:, None]
    with pytest.warns(UserWarning, match="there are 5 free ones, and a table of 4 cel"):
        selection = MixtureIC((1, 2), random_state=0).fit(X)
    assert selection.n_components_ == 2
    # Of independent columns one component is chosen, and nothing is told.
    X = rng.random((600, 2)) < 0.5
    assert MixtureIC((1, 2), random_state=0).fit(X).n_components_ == 1


@pytest.mark.slow
def test_the_right_one_is_chosen(X):
    selection = MixtureIC((1, 2, 3), families={2: "poisson"}, random_state=0).fit(X)
    assert (selection.n_components_, selection.covariance_type_) == (2, "diag")
    results = selection.results_
    assert len(results["bic"]) == 6
    assert results["rank"][selection.best_index_] == 1
    assert selection.criterion_ == results["criterion"].min()
    best = selection.best_estimator_
    assert selection.criterion_ == pytest.approx(best.bic(X))
    assert results["log_likelihood"][selection.best_index_] == pytest.approx(
        best.score(X) * len(X)
    )
    np.testing.assert_array_equal(selection.predict(X), best.predict(X))
    np.testing.assert_array_equal(selection.predict_proba(X), best.predict_proba(X))
    assert selection.score(X) == best.score(X)
    # Never worse than a fit of its own.
    own = MixtureModel(
        2, families={2: "poisson"}, covariance_type="diag", random_state=1
    ).fit(X)
    assert best.lower_bound_ > own.lower_bound_ - 1e-3


def with_bits(n, seed):
    """Two clusters of two columns, and two columns of bits that tell nothing."""
    rng = np.random.default_rng(seed)
    z = rng.integers(2, size=n)
    clusters = np.array([4, 3]) * z[:, None] + rng.normal(size=(n, 2))
    return np.column_stack([clusters, rng.random((n, 2)) < [0.5, 0.3]])


@pytest.mark.parametrize("seed", [0, 1])
def test_shared_values_of_a_table_speak_for_no_more_components(seed):
    X = with_bits(500, seed)
    options = dict(covariance_type="full", random_state=seed)
    selection = MixtureIC(range(1, 6), **options).fit(X)
    numbers = GaussianMixtureIC(range(1, 6), **options).fit(X)
    assert selection.n_components_ == numbers.n_components_ == 2
    # Where both find the same optimum, the same is said of it.
    for name in ("excess", "log_likelihood", "bic", "icl"):
        np.testing.assert_allclose(
            selection.results_[name][:2], numbers.results_[name][:2], atol=0.2
        )
    assert selection.results_["excess"].min() > 100


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical", "VVE"])
@pytest.mark.usefixtures("short_search")
def test_excess_is_that_of_numbers_with_weights_and_gaps(structure):
    X = with_bits(200, 0)
    rng = np.random.default_rng(1)
    X[rng.random(X.shape) < 0.1] = np.nan
    weight = rng.integers(0, 3, size=len(X)).astype(float)
    options = dict(covariance_type=structure, random_state=0)
    selection = MixtureIC((1, 2), **options).fit(X, sample_weight=weight)
    numbers = GaussianMixtureIC((1, 2), **options).fit(X, sample_weight=weight)
    assert (selection.results_["excess"] > 1).all()
    np.testing.assert_allclose(
        selection.results_["excess"], numbers.results_["excess"], atol=0.3
    )


@pytest.mark.usefixtures("short_search")
def test_excess_of_columns_of_all_kinds():
    X = with_bits(200, 0)
    rng = np.random.default_rng(1)
    table = pd.DataFrame(X, columns=list("abcd"))
    table["kind"] = rng.choice(["x", "y"], size=200)
    table["n"] = rng.poisson(3, size=200)
    families = {"n": "poisson", "d": "exponential"}
    table["d"] += 1
    labels = np.where(np.arange(200) < 20, X[:, 0] > 2, -1)
    excess = [
        MixtureIC((2,), families=families, covariance_type="full", random_state=0)
        .fit(table.drop(columns=left), labels=labels)
        .results_["excess"]
        for left in ([], ["kind"], ["c"])
    ]
    # Categories, counts and families without widths have none.
    assert excess[0] == pytest.approx(excess[1], abs=0.3)
    assert excess[0] > 1
    assert excess[2] == 0


@pytest.mark.usefixtures("short_search")
@pytest.mark.parametrize("family", ["gaussian", "lognormal", "student"])
def test_each_family_with_widths_has_its_part_of_the_excess(family):
    X = with_bits(200, 0)[:, :3]
    X[:, 2] += 1
    families = [("gaussian", [0, 1]), (family, [2])]
    selection = MixtureIC((1, 2), families=families, random_state=0).fit(X)
    best = selection.best_estimator_
    results, chosen = selection.results_, selection.best_index_
    assert (results["excess"] > 1).all()
    assert results["bic"][chosen] == pytest.approx(best.bic(X))
    corrections = 2 * (results["excess"] - results["excess"][chosen])
    np.testing.assert_allclose(results["criterion"], results["bic"] + corrections)
    assert selection.criterion_ == results["bic"][chosen] == results["criterion"].min()


def test_structures_are_tried_only_where_they_matter(X):
    selection = MixtureIC((1, 2), families="categorical", random_state=0)
    selection.fit(X[:, 2:])
    assert selection.results_["param_covariance_type"].tolist() == ["full", "full"]


def test_too_many_components_and_too_few_steps_are_told(X):
    with pytest.warns(FitFailedWarning, match="more than 3 components"):
        MixtureIC((1, 4), random_state=0).fit(X[:3])
    with pytest.raises(ValueError, match="n_components = 4, n_samples = 3"):
        MixtureIC((4,)).fit(X[:3])
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        MixtureIC((2,), covariance_type="diag", max_iter=1, random_state=0).fit(X)


@pytest.fixture(scope="module")
def chosen(X):
    families = {2: "poisson"}
    return MixtureIC((1, 2), families=families, covariance_type="diag", random_state=0)


def test_methods_and_attributes_are_those_of_the_best(chosen, X):
    with pytest.raises(NotFittedError, match="MixtureIC has no weights_"):
        _ = clone(chosen).weights_
    labels = chosen.fit_predict(X)
    best = chosen.best_estimator_
    assert len(chosen.weights_) == 2
    np.testing.assert_array_equal(labels, best.predict(X))
    np.testing.assert_array_equal(labels, chosen.labels_)
    for name in ("bic", "aic", "icl"):
        assert getattr(chosen, name)(X) == getattr(best, name)(X)
    np.testing.assert_array_equal(chosen.transform(X), best.predict_proba(X))
    assert chosen.get_feature_names_out().tolist() == ["mixtureic0", "mixtureic1"]
    drawn = [each.sample(5, random_state=0)[0] for each in (chosen, best)]
    np.testing.assert_array_equal(*drawn)
    assert str(chosen.summary()) == str(best.summary())
    gaps = np.where(np.arange(3) == 1, np.nan, X[:4])
    np.testing.assert_array_equal(chosen.impute(gaps), best.impute(gaps))
    errors = [each.standard_errors(X).weights for each in (chosen, best)]
    np.testing.assert_array_equal(*errors)
    for name in ("parameters_", "covariances_", "families_", "categories_"):
        np.testing.assert_equal(getattr(chosen, name), getattr(best, name))
    np.testing.assert_array_equal(chosen.search_bounds_, best.search_bounds_)
    assert chosen.search_bounds_[0] == pytest.approx(chosen.lower_bound_)
    for name in ("converged_", "n_iter_", "lower_bound_", "n_parameters_"):
        assert getattr(chosen, name) == getattr(best, name)


def test_a_choice_takes_the_advice_about_unknown_categories():
    frame = pd.DataFrame({"a": list("xyxyxxyy"), "b": range(8)})
    chosen = MixtureIC(1, random_state=0).fit(frame)
    new = pd.DataFrame({"a": ["z"], "b": [3]})
    with pytest.raises(ValueError, match='With handle_unknown="missing" unkn'):
        chosen.predict(new)
    chosen.set_params(handle_unknown="missing", tol=0.1)
    gap = new.assign(a=None)
    np.testing.assert_allclose(chosen.score_samples(new), chosen.score_samples(gap))
    assert chosen.best_estimator_.tol == 1e-2
    unfitted = clone(chosen).set_params(handle_unknown="error")
    assert unfitted.handle_unknown == "error"


def test_a_chosen_mixture_tells_its_degenerate_components():
    X = np.array([[0.0], [0.1], [0.2], [9.0]])
    with pytest.warns(DegenerateComponentsWarning, match=r"\[1\] of the chosen"):
        selection = MixtureIC((2,), random_state=0).fit(X)
    assert selection.degenerate_components_.tolist() == [1]


def test_it_says_what_it_has_chosen(X):
    selection = MixtureIC((2,), covariance_type="diag", random_state=0)
    assert "chosen" not in repr(selection)
    selection.fit(X)
    said = f"2 components, diag, bic {selection.bic(X):.1f}"
    assert repr(selection).endswith(f"# chosen: {said}")
    assert f"best_estimator_: {said}" in selection._repr_html_()


def test_without_covariances_none_is_named(X):
    counts = MixtureIC((2,), families="poisson", random_state=0).fit(X[:, 2:])
    said = f"# chosen: 2 components, bic {counts.criterion_:.1f}"
    assert repr(counts).endswith(said)
    # A variance for each component, or one for all.
    numbers = MixtureIC((2,), covariance_type="tied", random_state=0).fit(X[:, :1])
    assert repr(numbers).endswith(f"2 components, tied, bic {numbers.criterion_:.1f}")


def test_known_components_keep_their_numbers(X):
    rng = np.random.default_rng(5)
    z = rng.integers(2, size=300)
    labels = np.where(np.arange(300) < 40, 1 - z, -1)
    selection = MixtureIC((1, 2, 3), covariance_type="diag", random_state=0)
    found = selection.fit_predict(X, labels=labels)
    assert selection.results_["param_n_components"].tolist() == [2, 3]
    assert np.mean(found[:40] == labels[:40]) > 0.9
    assert selection.results_["bic"][0] == pytest.approx(
        MixtureModel(2, covariance_type="diag", random_state=0)
        .fit(X, labels=labels)
        .bic(X, labels=labels),
        abs=0.05,
    )
    with pytest.raises(ValueError, match="labels should be in the range"):
        selection.fit(X, labels=labels + 3)


def test_the_criterion_is_of_what_is_known():
    rng = np.random.default_rng(5)
    X = rng.standard_t(2, size=(100, 1))
    labels = np.where(rng.random(100) < 0.6, 0, -1)
    options = dict(covariance_type="full", random_state=0)
    selection = MixtureIC((1, 2), **options).fit(X, labels=labels)
    numbers = GaussianMixtureIC((1, 2), **options).fit(X, labels=labels)
    for found in (selection, numbers):
        np.testing.assert_allclose(found.results_["bic"], [562.86, 574.73], atol=0.02)
    assert selection.criterion_ == pytest.approx(selection.bic(X, labels=labels))


def test_the_excess_is_of_what_is_known():
    X = with_bits(200, 0)
    labels = np.where(np.arange(200) % 3 == 0, X[:, 0] > 2, -1)
    options = dict(covariance_type="full", random_state=0)
    selection = MixtureIC((2,), **options).fit(X, labels=labels)
    numbers = GaussianMixtureIC((2,), **options).fit(X, labels=labels)
    for name in ("excess", "bic", "icl"):
        np.testing.assert_allclose(
            selection.results_[name], numbers.results_[name], atol=0.2
        )


def test_labels_of_rows_without_weight_say_nothing(X):
    labels, weight = np.full(len(X), -1), np.ones(len(X))
    labels[0], weight[0] = 1, 0
    selection = MixtureIC((1, 2), covariance_type="diag", random_state=0)
    found = selection.fit(X, sample_weight=weight, labels=labels).results_["bic"]
    np.testing.assert_allclose(found, selection.fit(X[1:]).results_["bic"], atol=0.05)
    model = MixtureModel(2, covariance_type="diag", random_state=0)
    labels[0] = 0
    known = model.fit(X, sample_weight=weight, labels=labels).weights_
    np.testing.assert_allclose(known, model.fit(X[1:]).weights_, atol=1e-3)


def test_neighbours_lead_out_of_worse_optima(X):
    columns = dict(n_features_in_=3)
    table = read_table(MixtureModel(), X, reset=True)
    options = dict(covariance_type="diag", random_state=0)
    poor, three = (MixtureModel(K, **options) for K in (2, 3))
    rows = Rows(table, np.ones(300), None, columns)
    path([three], rows)
    path([poor], rows)
    best = poor.lower_bound_
    # A mixture that splits the rows at random, and is left there.
    halves = np.arange(300) % 2
    with pytest.warns(ConvergenceWarning):
        poor.set_params(max_iter=1).fit(X, labels=halves)
    poor.set_params(max_iter=1000)
    assert poor.lower_bound_ < best - 0.2
    poor._lower(table, np.ones(300), three)
    assert poor.lower_bound_ == pytest.approx(best, abs=1e-3)


def test_candidates_are_not_worse_than_fits_of_their_own():
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.full(3, 0.4), size=(4, 8))
    u = rng.random((250, 8))[:, :, None]
    X = (u > np.cumsum(p[rng.integers(4, size=250)], axis=2)).sum(axis=2).clip(0, 2)
    selection = MixtureIC((2, 3, 4), families="categorical", random_state=0).fit(X)
    for i, K in enumerate((2, 3, 4)):
        own = MixtureModel(K, families="categorical", random_state=7).fit(X)
        # Below by what the tolerance and the penalty, which differs little, allow.
        found = selection.results_["log_likelihood"][i]
        assert found > own.lower_bound_ * 250 - 0.1


def test_a_category_of_rows_without_weight_does_not_count(rng):
    table = pd.DataFrame({"c": [*rng.permutation(["u", "v"] * 30), "rare"]})
    weight = np.r_[np.ones(60), 0]
    search = MixtureIC((1, 2), random_state=0)
    wanted = search.fit(table[:60]).results_["bic"]
    np.testing.assert_allclose(
        search.fit(table, sample_weight=weight).results_["bic"], wanted
    )


@pytest.mark.usefixtures("short_search")
def test_a_row_that_a_component_rests_on_is_named():
    rng = np.random.default_rng(1)
    age = np.r_[rng.normal(30, 5, 200), rng.normal(60, 8, 200)].round()
    age[3] = 999
    visits = np.r_[rng.poisson(1, 200), rng.poisson(6, 200)].astype(float)
    X = np.c_[age, visits]
    told = r"Component 2 rests on row 3 alone: look there for errors\."
    with pytest.warns(DegenerateComponentsWarning, match=told):
        MixtureModel(3, random_state=0).fit(X)
    with pytest.warns(DegenerateComponentsWarning, match=told):
        MixtureIC((3,), random_state=0).fit(X)


def test_candidates_beside_the_best_are_searched_as_single_fits_are():
    """Of these seeds, two of three had ended 120 above in BIC."""
    rng = np.random.default_rng(2)
    z = rng.choice(3, 600, p=[0.5, 0.3, 0.2])
    age = rng.normal(np.array([28, 45, 66])[z], 8).round().clip(20)
    rate = np.array([1.5, 3, 9])[z] * rng.gamma(1.5, 1 / 1.5, 600)
    visits = rng.poisson(rate)
    sex = np.where(rng.random(600) < np.array([0.5, 0.4, 0.6])[z], "f", "m")
    table = pd.DataFrame({"age": age, "visits": visits, "sex": sex})
    options = dict(n_components=(4, 5), families={"visits": "poisson"})
    bics = [
        MixtureIC(random_state=seed, **options).fit(table).bic(table)
        for seed in (1, 2, 3)
    ]
    assert np.ptp(bics) < 0.5


def test_verbose_prints_fits_and_candidates(rng, capsys):
    z = rng.integers(2, size=200)
    X = np.column_stack([rng.poisson(2 + 9 * z), rng.random(200) < 0.2 + 0.6 * z])
    search = MixtureIC((1, 2), families={0: "poisson", 1: "bernoulli"}, random_state=0)
    search.fit(X)
    assert capsys.readouterr().out == ""
    search.set_params(verbose=1).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("full: 1 fitted, mean log-likelihood -")
    assert lines[1].startswith("full: 2 fitted, mean log-likelihood -")
    assert [line.split(", ")[0] for line in lines[-2:]] == [
        f"{K} full: {bic:.2f}"
        for K, bic in zip((1, 2), search.results_["bic"], strict=True)
    ]


def test_a_choice_without_a_seed_had_drawn_the_same_rows_each_time(X):
    selection = MixtureIC((1, 2), covariance_type="diag").fit(X)
    assert selection.best_estimator_.random_state is None
    one, other = (selection.sample(5)[0] for _ in range(2))
    assert (one != other).any()
    gap = np.array([[np.nan, 0.0, 5.0]])
    one, other = (selection.impute(gap, sample=True) for _ in range(2))
    assert one[0, 0] != other[0, 0]


ALTERNATIVES = {
    "amount": ["gamma", "lognormal"],
    "visits": ("poisson", "negative_binomial"),
    "member": "bernoulli",
}


def customers(amount, visits, n=500):
    rng = np.random.default_rng(0)
    z = rng.integers(2, size=n)
    places, sizes = np.array([2.0, 4.0])[z], np.array([2.0, 12.0])[z]
    return pd.DataFrame(
        {
            "amount": np.exp(rng.normal(places, 0.7))
            if amount == "lognormal"
            else rng.gamma(1.5, np.exp(places)),
            "visits": rng.poisson(sizes)
            if visits == "poisson"
            else rng.negative_binomial(2, 2 / (2 + sizes)),
            "member": rng.random(n) < 0.2 + 0.6 * z,
        }
    )


@pytest.mark.parametrize("visits", ["poisson", "negative_binomial"])
@pytest.mark.parametrize("amount", ["gamma", "lognormal"])
def test_families_are_chosen_among_alternatives(amount, visits, tmp_path):
    table = customers(amount, visits)
    search = MixtureIC((1, 2), families=ALTERNATIVES, random_state=0).fit(table)
    chosen = {"amount": amount, "visits": visits, "member": "bernoulli"}
    assert search.families_ == chosen
    assert search.n_components_ == 2
    results = search.results_
    assert len(results["rank"]) == 8
    best = results["rank"].argmin()
    assert results["param_families"][best] == f"amount: {amount}, visits: {visits}"
    # As a search of these families alone.
    alone = MixtureIC((1, 2), families=chosen, random_state=0).fit(table)
    assert "param_families" not in alone.results_
    assert search.criterion_ == pytest.approx(alone.criterion_, abs=0.1)
    path = tmp_path / "model.json"
    search.save(path)
    np.testing.assert_array_equal(load(path).predict(table), search.predict(table))


def test_structures_are_tried_where_alternatives_have_them(rng):
    z = rng.integers(2, size=300)
    both = rng.normal(size=(300, 1)) + 0.5 * rng.normal(size=(300, 2)) + 4 * z[:, None]
    table = pd.DataFrame(np.exp(both / 2), columns=["a", "b"])
    families = {"a": ["gamma", "lognormal"], "b": "lognormal"}
    search = MixtureIC((1, 2), families=families, random_state=0).fit(table)
    pairs = zip(
        search.results_["param_covariance_type"],
        search.results_["param_families"],
        strict=True,
    )
    assert set(pairs) == {
        ("full", "a: gamma"),
        ("full", "a: lognormal"),
        ("diag", "a: lognormal"),
    }
    assert search.families_ == {"a": "lognormal", "b": "lognormal"}
    assert search.covariance_type_ == "full"
    parallel = search.best_estimator_.lower_bound_
    again = MixtureIC((1, 2), families=families, random_state=0, n_jobs=2).fit(table)
    assert again.best_estimator_.lower_bound_ == parallel


def test_alternatives_have_names_in_pictures_and_lines(capsys):
    plt = pytest.importorskip("matplotlib.pyplot")
    table = customers("gamma", "poisson", 200)
    families = {"amount": ["gamma", "lognormal"]}
    search = MixtureIC((1, 2), families=families, random_state=0, verbose=1).fit(table)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("2 full, amount: lognormal: ")
    display = CriterionDisplay.from_estimator(search)
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    plt.close(display.figure_)
    assert {"full, amount: gamma", "full, amount: lognormal"} <= set(texts)


def test_bad_alternatives_are_said():
    table = customers("gamma", "poisson", 60)
    with pytest.raises(ValueError, match="no family for column 'amount'"):
        MixtureIC(families={"amount": []}).fit(table)
    with pytest.raises(ValueError, match="Unknown family 'beta'"):
        MixtureIC(families={"amount": ["gamma", "beta"]}).fit(table)
    with pytest.raises(ValueError, match="densities and probabilities, which cannot"):
        MixtureIC(families={"visits": ["gaussian", "poisson"]}).fit(table)
    many = {name: ["gaussian"] * 9 for name in ("amount", "visits")}
    with pytest.raises(ValueError, match="81 choices of alternatives, and at most 64"):
        MixtureIC(families=many).fit(table)
    # One mixture has none to choose from.
    with pytest.raises(ValueError, match="Unknown family"):
        MixtureModel(families={"amount": ["gamma", "lognormal"]}).fit(table)
