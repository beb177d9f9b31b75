"""Choosing a mixture by a criterion, and testing for one more component."""

import pickle
import warnings
from dataclasses import dataclass
from html import escape
from inspect import signature
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from joblib import Parallel
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skem import (
    GaussianMixture,
    GaussianMixtureIC,
    GaussianMixtureRegressor,
    MixtureIC,
    StudentMixtureIC,
    bootstrap_lrt,
)
from skem._report.criterion import CORRECTED
from skem._report.text import MOST_NAMED
from skem._selection import candidates, refine, walk
from skem._selection.grid import Candidate
from skem._selection.problem import Effort
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.mixture.seeds import kmeans
from skem.core.search.search import Search
from skem.core.solve.loop import Solution
from skem.datasets import load_faithful
from skem.exceptions import DegenerateComponentsWarning

WEIGHT_CHECK = "check_sample_weight_equivalence_on_dense_data"
TIMES = {"fit_time"}


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return np.vstack([rng.normal(0, 1, (60, 2)), rng.normal(6, [1, 2], (40, 2))])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:No candidate is eligible:UserWarning")
@parametrize_with_checks([GaussianMixtureIC((1, 2), covariance_type="diag", n_init=1)])
def test_estimator_checks(estimator, check):
    if check.func.__name__ != WEIGHT_CHECK:
        check(estimator)
        return
    try:
        check(estimator)
    except AssertionError:
        pytest.xfail("Seeds are drawn from rows, and repeated rows are other rows.")


@pytest.mark.slow
@pytest.mark.parametrize("largest", [5, 9])
def test_a_row_that_is_not_remote_is_no_component_by_itself(largest):
    X = load_wine().data
    search = GaussianMixtureIC(range(1, largest + 1), random_state=0)
    search.fit(X)
    # R mclust, VVI with a tight tolerance; seven that are tied leave a row alone.
    assert (search.covariance_type_, search.n_components_) == ("diag", 4)
    assert search.bic(X) == pytest.approx(6936.2, abs=0.1)


def test_old_faithful_is_three_tied_components_as_in_mclust():
    X = load_faithful().data
    selection = GaussianMixtureIC(random_state=0).fit(X)
    assert (selection.covariance_type_, selection.n_components_) == ("tied", 3)
    best = selection.best_index_
    # R mclust, EEE with three components, to its printed digits; the penalty moves
    # the log-likelihood by less than 0.01.
    assert selection.results_["log_likelihood"][best] == pytest.approx(-1126.3, abs=0.1)
    assert selection.results_["bic"][best] == pytest.approx(2314.3, abs=0.1)
    # Waiting times are whole minutes, which tell a little less.
    assert 0 < selection.results_["excess"][best] < 0.5


def test_results_are_those_of_the_mixtures(X):
    for criterion in ("bic", "aic", "icl"):
        selection = GaussianMixtureIC(
            (1, 2), criterion=criterion, n_init=1, random_state=0
        ).fit(X)
        table = pd.DataFrame(selection.results_)
        assert len(table) == 8
        best = table.loc[selection.best_index_]
        assert best["rank"] == 1
        mixture = selection.best_estimator_
        assert best["param_n_components"] == len(mixture.weights_)
        assert best["param_covariance_type"] == mixture.covariance_type
        assert best["n_parameters"] == mixture.n_parameters_
        assert table["converged"].all() and best["eligible"]
        assert selection.criterion_ == table.loc[table.eligible, criterion].min()
        # The same sums in other coordinates.
        for name in ("bic", "aic", "icl"):
            assert best[name] == pytest.approx(getattr(selection, name)(X), rel=1e-9)
        total = len(X) * selection.score(X)
        assert best["log_likelihood"] == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("kind", [GaussianMixtureIC, StudentMixtureIC])
def test_the_heaviest_component_comes_first(kind, rng):
    sizes = np.array([20, 60, 40, 80])
    X = np.repeat(20.0 * np.arange(4), sizes)[:, None] + rng.normal(size=(200, 1))
    selection = kind((4, 5), covariance_type="spherical", n_init=2, random_state=0)
    selection.fit(X)
    np.testing.assert_allclose(selection.weights_, [0.4, 0.3, 0.2, 0.1], atol=1e-3)
    np.testing.assert_allclose(selection.means_[:, 0], [60, 20, 40, 0], atol=1)


def lead_over_own_fits(X, components):
    """Log-likelihood of each candidate less that of the best of three own fits.

    And which of the candidates are near the best of them.
    """
    results = GaussianMixtureIC(components, random_state=0).fit(X).results_
    leads = []
    for K, shape, loglik in zip(
        results["param_n_components"],
        results["param_covariance_type"],
        results["log_likelihood"],
        strict=True,
    ):
        fits = [
            GaussianMixture(int(K), covariance_type=shape, random_state=seed).fit(X)
            for seed in range(3)
        ]
        leads.append(loglik - max(mixture.score(X) * len(X) for mixture in fits))
    near = results["criterion"] <= results["criterion"].min() + 20
    return np.array(leads), near


@pytest.mark.slow
def test_candidates_with_clear_optima_are_as_good_as_own_fits():
    leads, near = lead_over_own_fits(load_faithful().data, range(1, 4))
    # A stop is within 0.1 nats of the optimum in 95 % of fits.
    assert leads[near].min() > -0.1
    # The others are followed until one nat is left, as far as that can be told.
    assert leads.min() > -5


@pytest.mark.slow
def test_candidates_with_poor_optima_are_mostly_as_good_as_own_fits(X):
    leads, _ = lead_over_own_fits(X, range(1, 5))
    # Two clusters fitted by three and four components have many optima, and no search
    # finds the best of all of them: which ones are missed depends on rounding.
    assert np.count_nonzero(leads > -1) >= 10
    assert leads[:8].min() > -1


@pytest.mark.slow
def test_the_winner_is_near_the_best_where_rows_are_few():
    """Of 1487 parameters on 569 rows; searches end in different optima."""
    X = load_breast_cancer().data
    # Of two starts, as eight take four times as long.
    selection = GaussianMixtureIC(3, covariance_type="full", n_init=2, random_state=0)
    # The lowest BIC known is -40679. Without random weights it is -40617.
    assert selection.fit(X).bic(X) < -40_640


@dataclass
class Searches:
    """What searches find, in turn."""

    heights: list[float | None]
    n_init: int = 6

    def search(self, K, known, effort, again):
        assert (known, effort.n_starts, again) == ([], self.n_init, self.calls + 1)
        return self

    calls = 0

    def optimum(self, em):
        self.calls += 1
        found = self.heights[self.calls - 1]
        if found is None:
            raise IllDefinedCovarianceError
        return reached(found)


def reached(height):
    return Solution(SimpleNamespace(objective=height), [], 0, True, None)


@pytest.mark.parametrize(
    ("best", "heights", "calls", "expected"),
    [
        (4.0, [4.02], 1, 4.02),
        (4.0, [3.0, 3.99], 2, 4.0),
        (4.0, [5.0, 7.0, 9.0], 3, 9.0),
        (4.0, [5.0, 4.0, 5.01], 3, 5.01),
        (4.0, [None, 4.0], 2, 4.0),
        (None, [None, 2.0, 2.0], 3, 2.0),
        (None, [None, None, None], 3, None),
    ],
)
def test_a_candidate_is_searched_until_two_searches_agree(
    best, heights, calls, expected
):
    searches = Searches(heights)
    effort = Effort(2, 8.0, 0.0, 0, 3, more=3)
    best = None if best is None else reached(best)
    found = refine.confirmed(searches, None, 2, effort, best)
    assert (found and found.evaluation.objective) == expected
    assert searches.calls == calls


def test_one_start_is_not_searched_again():
    found = reached(1.0)
    effort = Effort(2, 8.0, 0.0, 0, 3, more=3)
    assert refine.confirmed(Searches([], 1), None, 2, effort, found) is found


def candidate(K, height, n_parameters=0):
    """Return a candidate of such a log-likelihood; of None if it has failed."""
    if height is None:
        return Candidate(K, "full", warning="failed")
    mixture = SimpleNamespace(n_parameters_=n_parameters)
    return Candidate(K, "full", mixture, 100.0, height, 0.0)


def test_candidates_are_searched_while_they_are_near_and_again_where_they_gain(
    monkeypatch,
):
    heights = {1: 100.0, 2: 88.0, 3: 75.5, 4: 60.0}
    seen, found = [], [{1: None}, {3: 78.0}, {3: 85.0}, {}]

    def refined(problem, structure, settled, near, effort):
        heights.update(found[len(seen)])
        seen.append((effort.turn, near))
        return walk.Settled(
            None, [candidate(*each, 10) for each in heights.items()], {}
        )

    monkeypatch.setattr(candidates, "refine", refined)
    problem = SimpleNamespace(criterion="bic", margin=10.0, n_init=8)
    on_path = [candidate(*each, 10) for each in heights.items()]
    with Parallel(n_jobs=1) as parallel:
        (settled,) = candidates.searched(
            parallel, problem, [None], [walk.Settled(None, on_path, {})]
        )
    # Twelve nats behind are near, as each of ten parameters may be 0.3 nats short; so
    # are as many behind the next one when the best has failed. What has gained two
    # nats is searched again, ten behind. Then what is close is searched with patience.
    assert seen == [(0, [1, 2]), (0, [3]), (1, [3]), (2, [2, 3])]
    assert [each.log_likelihood for each in settled.candidates[1:]] == [88, 85, 60]


@pytest.mark.parametrize(("room", "expected"), [(0.5, 0), (2.5, 2), (100, 5)])
def test_long_searches_are_repeated_less(room, expected, X, monkeypatch):
    K, d = 2, X.shape[1]
    step = len(X) * K * (1 + d + d * (d + 1) // 2)
    seen = set()

    def confirmed(problem, em, n_components, effort, best):
        seen.add(effort.more)
        return best

    monkeypatch.setattr(refine, "AGAIN", int(room * step))
    monkeypatch.setattr(refine, "confirmed", confirmed)
    GaussianMixtureIC(K, covariance_type="full", random_state=0).fit(X)
    # The first searches, of all that are near, are never repeated.
    assert seen == {0, expected}


def test_what_collapses_at_the_end_makes_room_for_the_next(X, monkeypatch):
    types = ["full", "diag"]
    selection = GaussianMixtureIC((1, 2, 3), covariance_type=types, random_state=0)
    whole = clone(selection).fit(X)
    optimum = Search.optimum

    def collapse(search, em):
        best = whole.n_components_, whole.covariance_type_
        if (search.n_components, em.structure.name) == best:
            raise IllDefinedCovarianceError
        return optimum(search, em)

    monkeypatch.setattr(Search, "optimum", collapse)
    monkeypatch.setattr(refine, "among_many", collapse)
    selection.fit(X)
    failed = selection.results_["warning"][whole.best_index_]
    assert "ill-defined empirical covariance" in failed
    assert not selection.results_["eligible"][whole.best_index_]
    assert np.isnan(selection.results_["bic"][whole.best_index_])
    # The next best is finished, though it may have been far from the best.
    runners_up = np.delete(whole.results_["criterion"], whole.best_index_)
    assert selection.criterion_ == pytest.approx(runners_up.min(), abs=1)
    assert selection.best_estimator_.converged_


# Features that are taken for independent count twice.
@pytest.mark.parametrize(
    ("added", "covariance_type"),
    [
        ("constant", "diag"),
        ("constant", "tied"),
        ("repeated", "full"),
        pytest.param("constant", "full", marks=pytest.mark.slow),
        pytest.param("repeated", "tied", marks=pytest.mark.slow),
    ],
)
def test_columns_that_tell_nothing_do_not_change_the_gains(added, covariance_type, X):
    extra = np.full(len(X), 7.0) if added == "constant" else X[:, 0]
    gains = {}
    for name, data in {"without": X, "with": np.c_[X, extra]}.items():
        selection = GaussianMixtureIC(
            (1, 2, 3), covariance_type=covariance_type, random_state=0
        ).fit(data)
        gains[name] = np.diff(selection.results_["log_likelihood"])
    # The penalty's target shrinks with K by another power; optima of three may differ.
    assert gains["with"][0] == pytest.approx(gains["without"][0], abs=0.5)
    assert gains["with"][1] == pytest.approx(gains["without"][1], abs=10)


def test_delegates_to_the_chosen_mixture(X):
    selection = GaussianMixtureIC((1, 2), covariance_type="full", random_state=0)
    labels = selection.fit_predict(X)
    mixture = selection.best_estimator_
    assert np.array_equal(labels, mixture.predict(X))
    assert np.array_equal(selection.predict_proba(X), mixture.predict_proba(X))
    assert np.array_equal(selection.score_samples(X), mixture.score_samples(X))
    densities = selection.component_log_density(X)
    assert np.array_equal(densities, mixture.component_log_density(X))
    weight = np.arange(100.0)
    assert selection.score(X, sample_weight=weight) == mixture.score(X, None, weight)
    assert np.array_equal(selection.sample(5)[0], mixture.sample(5)[0])


@pytest.mark.parametrize(
    "name",
    [
        *("weights_", "means_", "covariances_", "precisions_", "n_parameters_"),
        *("precisions_cholesky_", "degenerate_components_", "converged_", "n_iter_"),
        *("lower_bound_", "lower_bounds_"),
    ],
)
def test_attributes_are_those_of_the_chosen_mixture(name, selected):
    assert getattr(selected, name) is getattr(selected.best_estimator_, name)
    assert not hasattr(clone(selected), name)
    with pytest.raises(NotFittedError, match=f"has no {name}"):
        getattr(clone(selected), name)
    with pytest.raises(AttributeError, match=f"set best_estimator_.{name} instead"):
        setattr(selected, name, [0.5, 0.5])


@pytest.fixture(scope="module")
def selected():
    X = load_faithful().data
    return GaussianMixtureIC((1, 2), covariance_type="full", random_state=0).fit(X)


def test_every_method_of_a_mixture_is_delegated(selected):
    X, mixture = load_faithful().data, selected.best_estimator_
    assert selected.summary(X).sizes.tolist() == [175, 97]
    assert selected.hdr_level(0.9) == mixture.hdr_level(0.9)
    probability = selected.support_probability(X, 1000, random_state=0)
    assert np.array_equal(probability, mixture.support_probability(X, 1000, 0))
    errors = selected.standard_errors(X, method="hessian")
    own = mixture.standard_errors(X, method="hessian")
    assert np.array_equal(errors.means, own.means)
    assert np.array_equal(selected.to_sklearn().means_, mixture.means_)
    others = {"partial_fit", "from_parameters", "from_sklearn"}
    public = {name for name in dir(mixture) if callable(getattr(mixture, name))}
    wanted = {name for name in public - others if not name.startswith(("_", "set_"))}
    assert wanted <= set(dir(selected))


def test_delegated_methods_are_documented_and_typed():
    assert GaussianMixtureIC.predict.__doc__ == GaussianMixture.predict.__doc__
    assert str(signature(GaussianMixtureIC.score)) == str(
        signature(GaussianMixture.score)
    )


def test_repr_shows_the_choice(selected):
    choice = "2 components, full, bic 2322.2"
    text = repr(selected)
    assert eval(text).get_params() == selected.get_params()
    assert text.endswith(f"# chosen: {choice}")
    assert repr(clone(selected)) in text and "chosen" not in repr(clone(selected))
    assert f"best_estimator_: {choice}" in selected._repr_html_()
    assert escape(repr(selected.best_estimator_)) in selected._repr_html_()
    assert "best_estimator_" not in clone(selected)._repr_html_()


def test_without_refit_there_is_no_mixture(X):
    selection = GaussianMixtureIC((1, 2), covariance_type="diag", random_state=0)
    assert hasattr(selection.fit(X), "predict")
    selection.set_params(refit=False).fit(X)
    assert selection.n_components_ == 2
    assert not hasattr(selection, "best_estimator_")
    assert not hasattr(selection, "predict")


def test_without_refit_fit_predict_is_refused_before_any_work(X):
    selection = GaussianMixtureIC(2, refit=False)
    with pytest.raises(AttributeError, match="has no attribute 'fit_predict'"):
        selection.fit_predict(X)
    assert not hasattr(selection, "results_")


def test_among_the_tools_of_scikit_learn(X):
    selection = GaussianMixtureIC(
        (1, 2), covariance_type="diag", random_state=0, n_init=1
    )
    assert clone(selection).get_params() == selection.get_params()
    frame = pd.DataFrame(X, columns=["a", "b"])
    pipeline = make_pipeline(StandardScaler(), selection).fit(frame)
    assert pipeline.predict(frame).shape == (100,)
    grid = {"gaussianmixtureic__criterion": ["bic", "aic"]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(frame)
    assert np.isfinite(search.best_score_)
    selection.fit(frame)
    assert list(selection.best_estimator_.feature_names_in_) == ["a", "b"]
    copy = pickle.loads(pickle.dumps(selection))
    assert np.array_equal(copy.predict_proba(frame), selection.predict_proba(frame))


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 1),
        ({"covariance_type": "full"}, 5),
        ({"covariance_type": ["full", "diag"]}, 3),
        ({"reg_covar": 1e-6}, 5),
    ],
)
def test_there_are_fewer_fresh_clusterings_beside_quick_fits(
    X, monkeypatch, options, count
):
    # One for one component; two for each of two and three where there is nothing else.
    made = []

    def counted(Z, weight, n_components, rng):
        made.append(n_components)
        return kmeans(Z, weight, n_components, rng)

    monkeypatch.setitem(walk.INITIALIZERS, "kmeans", counted)
    GaussianMixtureIC((1, 2, 3), random_state=0, **options).fit(X)
    assert len(made) == count


def test_does_not_depend_on_the_number_of_jobs():
    # Quick fits go from one process to the next, with the scales that are of them.
    X = load_wine().data
    options = {"covariance_type": ["full", "diag"], "random_state": 0}
    tables = [
        GaussianMixtureIC(range(2, 6), n_jobs=n_jobs, **options).fit(X).results_
        for n_jobs in (1, 2)
    ]
    for name in set(tables[0]) - TIMES:
        assert np.array_equal(tables[0][name], tables[1][name]), name


def test_integer_weights_are_repeated_rows(X):
    weight = np.arange(100) % 3
    options = {"n_components": (1, 2), "random_state": 0, "tol": 1e-6}
    weighted = GaussianMixtureIC(**options).fit(X, sample_weight=weight)
    repeated = GaussianMixtureIC(**options).fit(np.repeat(X, weight, axis=0))
    for name in ("bic", "aic", "icl", "log_likelihood"):
        # Both are within 1e-6 nats of the optimum; ICL has the error of the
        # parameters at first order, which is about its root.
        np.testing.assert_allclose(
            weighted.results_[name], repeated.results_[name], atol=1e-2
        )


def test_a_candidate_that_fails_is_marked():
    X = np.repeat([[0.0, 0.0], [1.0, 2.0], [5.0, 1.0], [4.0, 4.0]], 10, axis=0)
    selection = GaussianMixtureIC(
        (1, 4), covariance_type="full", reg_covar=0.0, random_state=0
    ).fit(X)
    assert selection.n_components_ == 1
    results = selection.results_
    assert results["eligible"].tolist() == [True, False]
    assert "ill-defined empirical covariance" in results["warning"][1]
    assert np.isnan(results["bic"][1]) and not results["converged"][1]
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        selection.set_params(n_components=4).fit(X)
    assert selection.n_components_ == 1


def test_a_spurious_candidate_is_not_chosen():
    rng = np.random.default_rng(1)
    # Three rows very close to each other win the criterion for a component of them.
    X = np.vstack([rng.normal(size=(40, 2)), 3 + 1e-6 * rng.normal(size=(2, 2))])
    selection = GaussianMixtureIC(
        (1, 2), covariance_type="full", reg_covar=1e-12, random_state=0
    ).fit(X)
    results = selection.results_
    assert results["bic"][1] < results["bic"][0]
    assert "rest on fewer samples" in results["warning"][1]
    assert selection.n_components_ == 1
    assert results["rank"].tolist() == [1, 2]


def test_components_of_single_values_of_a_column_do_not_win():
    """Their density has no bound, and so has the likelihood that `bic` is made of."""
    rng = np.random.default_rng(0)
    means = np.array([[0, 0, 0], [6, 0, 3], [0, 6, -3]])
    labels = np.repeat(np.arange(3), 100)
    X = means[labels] + rng.normal(size=(300, 3))
    X = np.column_stack([X, rng.integers(0, 2, 300)])
    selection = GaussianMixtureIC(range(1, 7), random_state=0).fit(X)
    results = selection.results_
    assert adjusted_rand_score(labels, selection.predict(X)) > 0.95
    assert selection.n_components_ == 3
    assert (results["excess"] > 0).all()
    # Other columns have no shared values, and all that a likelihood tells.
    plain = GaussianMixtureIC(range(1, 4), random_state=0).fit(X[:, :3])
    assert plain.criterion_ == plain.results_["bic"].min()
    assert (plain.results_["excess"] == 0).all()
    np.testing.assert_array_equal(plain.results_["criterion"], plain.results_["bic"])
    assert "corrected" not in repr(plain)


def coins(n=300):
    """Return a normal column and two fair coins, of no clusters."""
    rng = np.random.default_rng(0)
    return np.column_stack([rng.normal(size=n), rng.integers(0, 2, (n, 2))])


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (GaussianMixtureIC, {"n_init": 2}),
        (StudentMixtureIC, {"n_init": 1, "df": 5.0, "covariance_type": "tied"}),
        (MixtureIC, {"families": "gaussian", "covariance_type": ("full", "diag")}),
    ],
)
def test_the_criterion_is_what_the_choice_is_made_by(criterion, kind, options):
    X = coins(150)
    options = {"criterion": criterion, "random_state": 0, **options}
    selection = kind((1, 2, 3), **options).fit(X)
    table = pd.DataFrame(selection.results_)
    assert (table.excess > 10).all()
    best = table.loc[selection.best_index_]
    more = 2 * (table.excess - best.excess)
    np.testing.assert_allclose(table.criterion, table[criterion] + more, rtol=1e-12)
    assert abs(more).max() > 1
    eligible = table[table.eligible]
    assert eligible.criterion.idxmin() == selection.best_index_
    assert selection.criterion_ == eligible.criterion.min() == best[criterion]
    assert eligible.sort_values("rank").criterion.is_monotonic_increasing
    for name in ("bic", "aic", "icl"):
        raw = getattr(selection.best_estimator_, name)(X)
        assert best[name] == pytest.approx(raw, rel=1e-9)
    said = f"{criterion} {best[criterion]:.1f}"
    assert said in repr(selection)
    assert said in selection._repr_html_()


def test_coins_are_one_component_of_a_higher_raw_criterion():
    """The raw one is lowest with components on single values."""
    selection = GaussianMixtureIC(range(1, 6), n_init=2, random_state=0).fit(coins())
    table = pd.DataFrame(selection.results_)
    table = table[table.eligible].sort_values("rank")
    assert selection.n_components_ == 1
    assert table.bic.min() < table.bic.iloc[0] - 50
    assert table.criterion.is_monotonic_increasing


def test_a_candidate_is_said_with_both_numbers(capsys):
    selection = GaussianMixtureIC(
        (1, 2), covariance_type="diag", random_state=0, verbose=1
    ).fit(coins(100))
    raw, used = (selection.results_[name][1] for name in ("bic", "criterion"))
    assert selection.n_components_ == 1
    assert f"2 diag: {used:.2f} (bic {raw:.2f}), " in capsys.readouterr().out


def test_if_no_candidate_is_eligible_the_best_of_the_others_is_chosen():
    X = np.array([[0.0, 1.0], [1.0, 0.0], [3.0, 2.0]])
    with pytest.warns(
        UserWarning, match="No candidate is eligible.* Try to decrease"
    ) as told:
        selection = GaussianMixtureIC((2, 3), random_state=0).fit(X)
    assert selection.n_components_ == 3
    assert not any("the most that were tried" in str(each.message) for each in told)
    assert selection.best_index_ == np.argmin(selection.results_["criterion"])
    assert not selection.results_["eligible"].any()
    # One text for all of them, so that a report can tell it once.
    assert len(set(selection.results_["warning"])) == 1


def test_more_components_than_distinct_rows_or_rows():
    X = np.repeat([[0.0, 0.0], [1.0, 2.0], [5.0, 1.0]], 4, axis=0)
    selection = GaussianMixtureIC((1, 2, 12, 13, 21), random_state=0)
    with pytest.warns(FitFailedWarning, match="n_components 13, 21 can .* 12 samples"):
        selection.fit(X)
    results = selection.results_
    assert np.isfinite(results["bic"][:12]).all()
    assert np.isnan(results["bic"][12:]).all()
    assert "Expected n_samples >= n_components" in results["warning"][-1]


@pytest.mark.parametrize("search", [GaussianMixtureIC, StudentMixtureIC])
def test_more_components_than_rows_alone_are_refused(search, X):
    message = "Expected n_samples >= n_components but got n_components = 3, n_samples "
    with pytest.raises(ValueError, match=message + "= 2"):
        search((3, 4)).fit(X[:2])


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 1e8])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e160])
def test_hard_data_give_finite_tables(X, shift, scale):
    hard = np.c_[X * scale + shift * scale, np.ones(100)]
    selection = GaussianMixtureIC((1, 2), random_state=0, n_init=2)
    results = selection.fit(hard).results_
    assert np.isfinite(results["log_likelihood"]).all()


def test_large_data_are_searched_on_a_sample(monkeypatch):
    monkeypatch.setattr("skem.core.search.path.PATH_ROWS", 200)
    monkeypatch.setattr("skem.core.search.path.POOL_ROWS_PER_COMPONENT", 50)
    rng = np.random.default_rng(0)
    X = np.r_[rng.normal(-4, 1, (1500, 2)), rng.normal(4, 1, (1500, 2))]
    selection = GaussianMixtureIC((1, 2, 3), random_state=0).fit(X)
    assert selection.n_components_ == 2
    assert selection.results_["converged"].all()
    mixture = GaussianMixture(
        2, covariance_type=selection.covariance_type_, random_state=0
    ).fit(X)
    # All rows count in the end: what two fits to them may leave to be gained.
    best = selection.results_["log_likelihood"][selection.best_index_]
    assert best == pytest.approx(len(X) * mixture.score(X), abs=0.02)


def test_what_has_not_converged_says_so(X):
    selection = GaussianMixtureIC(3, covariance_type="full", max_iter=1)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        selection.fit(X)
    assert not selection.results_["converged"][0]


def test_verbose_prints_how_far_it_is_and_a_line_for_each_candidate(X, capsys):
    search = GaussianMixtureIC((1, 2), verbose=1, random_state=0, n_init=1).fit(X)
    lines = capsys.readouterr().out.splitlines()
    # Without shared values there is one number.
    assert not any("(bic" in line for line in lines)
    for name in ("full", "tied", "diag", "spherical"):
        scouted, followed = f"{name}: scouted", f"{name}: followed on all rows"
        assert lines.index(scouted) < lines.index(followed)
    assert f"{search.covariance_type_}: {search.n_components_} searched" in lines
    candidates = zip(
        search.results_["param_n_components"],
        search.results_["param_covariance_type"],
        strict=True,
    )
    for line, (K, name) in zip(lines[-8:], candidates, strict=True):
        assert line.startswith(f"{K} {name}: ")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_components": 0}, "'n_components' parameter"),
        ({"n_components": (1, 0)}, "'n_components' parameter"),
        ({"n_components": ()}, "must not be empty"),
        ({"n_components": (1.5,)}, "'n_components' parameter"),
        ({"n_components": (True, 2)}, "'n_components' parameter"),
        ({"covariance_type": "round"}, "'covariance_type' parameter"),
        ({"covariance_type": ("full", "round")}, "'covariance_type' parameter"),
        ({"covariance_type": ["all", "full"]}, "must be 'all' alone, a str among"),
        ({"covariance_type": ()}, "must not be empty"),
        ({"n_components": np.array(1.5)}, "'n_components' parameter"),
        ({"covariance_type": np.array("round")}, "'covariance_type' parameter"),
        ({"criterion": "dic"}, "'criterion' parameter"),
        ({"tol": 0.0}, "'tol' parameter"),
        ({"n_init": 0}, "'n_init' parameter"),
        ({"n_jobs": 0}, "'n_jobs' parameter"),
    ],
)
def test_bad_parameters_are_refused_before_any_work(X, params, message):
    selection = GaussianMixtureIC(**params)
    with pytest.raises(ValueError, match=message):
        selection.fit(X)
    assert not hasattr(selection, "n_features_in_")


def test_arrays_without_dimensions_are_one_candidate(X):
    selection = GaussianMixtureIC(np.array(2), covariance_type=np.array("diag"))
    selection.fit(X)
    assert selection.results_["param_n_components"].tolist() == [2]
    assert selection.covariance_type_ == "diag"


# Bootstrap


def test_bootstrap_finds_two_clusters(X):
    test = bootstrap_lrt(GaussianMixture(), X, 1, 2, n_boot=9, random_state=0)
    assert test.p_value == 1 / 10
    assert test.statistic > test.bootstrap_statistics.max()
    assert test.bootstrap_statistics.shape == (9,)
    assert (test.bootstrap_statistics >= 0).all()


@pytest.mark.slow
def test_bootstrap_p_values_of_one_normal_are_spread():
    # Five p-values from {1/10, ..., 1}: at least one is above 0.3 but for a chance
    # of 0.3⁵ = 0.002, and one below 0.8 likewise; the seeds are fixed anyway.
    mixture = GaussianMixture(covariance_type="spherical", n_init=1)
    p_values = []
    for seed in range(5):
        X = np.random.default_rng(seed).normal(size=(40, 1))
        test = bootstrap_lrt(mixture, X, 1, 2, n_boot=9, random_state=seed)
        p_values.append(test.p_value)
    assert max(p_values) > 0.3 and min(p_values) < 0.8


def test_bootstrap_is_reproducible_whatever_the_number_of_jobs(X):
    options = {"n_boot": 4, "random_state": 3}
    one = bootstrap_lrt(GaussianMixture(), X, 2, 3, n_jobs=1, **options)
    two = bootstrap_lrt(GaussianMixture(), X, 2, 3, n_jobs=2, **options)
    assert one.statistic == two.statistic and one.p_value == two.p_value
    assert np.array_equal(one.bootstrap_statistics, two.bootstrap_statistics)


def test_bootstrap_of_weights_is_that_of_repeated_rows(X):
    weight = np.arange(100) % 3
    mixture = GaussianMixture(tol=1e-6)
    options = {"n_boot": 2, "random_state": 0}
    weighted = bootstrap_lrt(mixture, X, 1, 2, sample_weight=weight, **options)
    repeated = bootstrap_lrt(mixture, np.repeat(X, weight, axis=0), 1, 2, **options)
    # Each likelihood is within 1e-6 nats of its optimum.
    assert weighted.statistic == pytest.approx(repeated.statistic, abs=1e-4)


def test_result_of_the_bootstrap_is_a_tuple_that_prints_as_a_line(X):
    test = bootstrap_lrt(GaussianMixture(), X, 1, 2, n_boot=1, random_state=0)
    statistic, p_value, _ = test
    expected = f"Likelihood ratio statistic {statistic:.1f}, p = 0.5 (1 simulation)"
    assert str(test) == expected and p_value == 0.5


def test_bootstrap_refuses_what_cannot_be_tested(X):
    with pytest.raises(ValueError, match="k1 must be larger than k0"):
        bootstrap_lrt(GaussianMixture(), X, 2, 2)
    with pytest.raises(ValueError, match="k1 must be larger than k0; got k0 = 2"):
        bootstrap_lrt(GaussianMixture(), X, 2, 1)
    for k0, k1 in ((True, 2), (1, True)):
        with pytest.raises(ValueError, match="be a number of components; got True"):
            bootstrap_lrt(GaussianMixture(), X, k0, k1)
    with pytest.raises(ValueError, match="Expected n_samples >= n_components"):
        bootstrap_lrt(GaussianMixture(), X[:3], 1, 4)
    with pytest.raises(ValueError, match="'n_jobs' parameter"):
        bootstrap_lrt(GaussianMixture(), X, 1, 2, n_jobs=0)
    heavy = np.full(len(X), 1e7)
    with pytest.raises(ValueError, match=r"add up to 1e\+09, and so many rows would"):
        bootstrap_lrt(GaussianMixture(), X, 1, 2, sample_weight=heavy)
    with pytest.raises(ValueError, match="'n_boot' parameter"):
        bootstrap_lrt(GaussianMixture(), X, 1, 2, n_boot=0)


@pytest.mark.slow
def test_candidates_far_from_the_best_are_no_worse_than_single_fits():
    X = PCA(10, random_state=0).fit_transform(load_digits().data)
    table = pd.DataFrame(
        GaussianMixtureIC(range(1, 11), random_state=0).fit(X).results_
    ).set_index(["param_n_components", "param_covariance_type"])
    # By scikit-learn 1.9.1 with n_init=5 and random_state=0.
    for candidate, bic in {
        (3, "full"): 123558.9,
        (4, "full"): 122031.0,
        (6, "full"): 120368.1,
        (10, "diag"): 122002.0,
    }.items():
        assert table.loc[candidate, "bic"] < bic + 0.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_mergers_and_walks_find_what_a_single_fit_misses(seed):
    X = load_breast_cancer().data[:, :10]
    table = pd.DataFrame(
        GaussianMixtureIC(range(1, 9), random_state=seed).fit(X).results_
    ).set_index(["param_n_components", "param_covariance_type"])
    # By scikit-learn 1.9.1 with n_init=5 and random_state=0.
    assert table.loc[(5, "diag"), "bic"] < -137.4 + 0.5


# More features than rows


@pytest.fixture
def wide():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 100))
    X[30:, :10] += 2
    return X


@pytest.mark.parametrize("selection", [GaussianMixtureIC, StudentMixtureIC])
def test_matrices_of_more_features_than_rows_are_no_candidates(selection, wide):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "2 components were chosen")
        if selection is StudentMixtureIC:
            # A component of one row is degenerate in all structures.
            warnings.simplefilter("ignore", DegenerateComponentsWarning)
        found = selection((1, 2), random_state=0).fit(wide)
    if selection is GaussianMixtureIC:
        assert (found.n_components_, found.covariance_type_) == (2, "spherical")
    results = pd.DataFrame(found.results_)
    names = ["full", "tied", "diag", "spherical"]
    assert results["param_n_components"].tolist() == np.repeat([1, 2], 4).tolist()
    assert results["param_covariance_type"].tolist() == 2 * names
    matrices = results[results["param_covariance_type"].isin(["full", "tied"])]
    assert matrices["criterion"].isna().all()
    assert not matrices["eligible"].any()
    assert matrices["warning"].str.contains("too few rows to tell such cov").all()
    assert sorted(matrices["rank"]) == [5, 6, 7, 8]


def test_matrices_of_more_features_than_rows_alone_are_fitted(wide):
    selection = GaussianMixtureIC((1, 2), covariance_type="full", random_state=0)
    with pytest.warns(UserWarning, match="No candidate is eligible.*so many features"):
        selection.fit(wide)
    assert np.isfinite(selection.results_["criterion"]).all()


def test_a_structure_is_left_out_only_if_its_smallest_candidate_is_too_large(rng):
    X = rng.normal(size=(20, 15))
    selection = GaussianMixtureIC(
        (1, 2), covariance_type="full", n_init=1, random_state=0
    )
    # Two such matrices have a likelihood without end, which is no news.
    with warnings.catch_warnings():
        warnings.simplefilter("error", DegenerateComponentsWarning)
        results = selection.fit(X).results_
    assert results["criterion"][1] < results["criterion"][0]
    assert results["eligible"].tolist() == [True, False]
    assert "too few rows to tell such cov" in results["warning"][1]
    # Nor is it left out where there is another one.
    selection.set_params(covariance_type=["full", "EII"]).fit(X)
    assert np.isfinite(selection.results_["criterion"]).all()


def test_features_that_do_not_vary_do_not_make_matrices_too_large(X):
    # Of as many features as rows two vary.
    X = np.column_stack([X[45:75], np.ones((30, 28))])
    results = GaussianMixtureIC(1, random_state=0).fit(X).results_
    assert np.isfinite(results["criterion"]).all()
    assert results["eligible"].all()
    X[:, 2:] = np.random.default_rng(0).normal(size=(30, 28))
    results = GaussianMixtureIC(1, random_state=0).fit(X).results_
    assert results["eligible"].tolist() == [False, False, True, True]


def test_rows_of_no_weight_or_no_value_are_none_that_components_could_have(X):
    X = np.r_[X[:3], X[-3:], np.full((2, 2), np.nan)]
    selection = GaussianMixtureIC((1, 4, 5), covariance_type="tied", random_state=0)
    with pytest.warns(
        FitFailedWarning, match="n_components 5 can be .* only 4 samples"
    ):
        selection.fit(X, sample_weight=[1, 1, 0, 1, 0, 1, 1, 1])
    assert np.isnan(selection.results_["bic"]).tolist() == [False, False, True]


def test_large_components_of_too_few_rows_are_not_called_errors():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 15))
    X[:8] = 6 + 0.01 * X[:8]
    selection = GaussianMixtureIC((1, 2), covariance_type="full", random_state=0)
    with pytest.warns(DegenerateComponentsWarning) as caught:
        selection.fit(X)
    (message,) = (str(each.message) for each in caught)
    assert "has a lower bic, by" in message
    assert "not eligible: some of its components have too few rows" in message
    assert "errors" not in message and "rests on" not in message


@pytest.mark.parametrize("search", [GaussianMixtureIC, StudentMixtureIC, MixtureIC])
@pytest.mark.parametrize(
    ("components", "n_rows", "told"),
    [
        ((1, 2), 100, True),
        ((1, 2, 3), 100, False),
        (2, 100, False),
        # There are no rows for more.
        ((1, 2, 90), 80, False),
    ],
)
def test_the_largest_number_that_was_tried_is_told(X, search, components, n_rows, told):
    chosen = search(components, covariance_type="diag", random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", FitFailedWarning)
        chosen.fit(X[-n_rows:])
    assert chosen.n_components_ == 2
    texts = [each for each in caught if "the most that were tried" in str(each.message)]
    assert len(texts) == told
    for each in texts:
        assert each.category is UserWarning and each.filename == __file__
        assert str(each.message).startswith("2 components were chosen")
        assert "with more the BIC may be lower" in str(each.message)


def test_estimators_that_choose_inside_do_not_tell_that_they_try_nine(rng):
    means = 20.0 * np.arange(9)[:, None]
    X = rng.normal(means[np.arange(180) % 9])
    model = GaussianMixtureRegressor(covariance_type="spherical", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, X.ravel() + rng.normal(size=180))
    assert len(model.mixture_.weights_) == 9


def test_a_candidate_is_lower_by_the_criterion_that_the_choice_is_made_by():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(30, 5)), rng.integers(0, 2, (30, 2))])
    X[:7, :5] = 5 + 0.01 * X[:7, :5]
    X[:7, 5:] = 0
    selection = GaussianMixtureIC((1, 2), covariance_type="full", random_state=0)
    with pytest.warns(DegenerateComponentsWarning) as caught:
        selection.fit(X)
    (message,) = (str(each.message) for each in caught)
    one, two = selection.results_["criterion"]
    assert abs(one - two - np.diff(-selection.results_["bic"])[0]) > 1
    assert f"lower bic ({CORRECTED}), by {one - two:.1f}, but" in message


def test_what_is_wrong_with_a_component_of_few_rows_is_said_of_each_row():
    one, two = (
        Candidate(3, "full", rows={1: np.array(rows)}).why_not()
        for rows in ([4], [4, 7])
    )
    assert "Look at this row," in one
    assert "Look at these rows," in two
    # So many rows are no errors.
    few, many = (
        Candidate(3, "full", rows={1: np.arange(n)}).why_not()
        for n in (MOST_NAMED, MOST_NAMED + 1)
    )
    assert "Look at these rows" in few
    assert "too few rows to tell covariances" in many and "Look" not in many
