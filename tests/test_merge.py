"""Components merged into clusters: the hierarchy, its entropy, and the choice."""

import sys
from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import entropy as entropy_of
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture as Peer
from sklearn.model_selection import GridSearchCV

from skem import BayesianGaussianMixture, GaussianMixture, merge_components
from skem._merging.hierarchy import ROWS_TOGETHER


@pytest.fixture
def crosses():
    """Two crosses of two components each, and two round clusters."""
    rng = np.random.default_rng(0)
    arms = [[3, 0.3], [0.3, 3]]
    parts = [rng.normal([0, 0], arm, (100, 2)) for arm in arms]
    parts += [rng.normal([15, 0], arm, (100, 2)) for arm in arms]
    parts += [rng.normal(center, 1, (60, 2)) for center in ([0, 12], [15, 12])]
    return np.vstack(parts), np.repeat([0, 0, 1, 1, 2, 3], [100] * 4 + [60] * 2)


@pytest.fixture
def six(crosses):
    return GaussianMixture(6, covariance_type="diag", random_state=0).fit(crosses[0])


def greedy(proba, weight):
    """Merge the pair after which the entropy is lowest, by trying all of them."""
    clusters = [{k} for k in range(proba.shape[1])]

    def entropy(clusters):
        parts = np.stack([proba[:, sorted(c)].sum(axis=1) for c in clusters], axis=1)
        return weight @ entropy_of(parts, axis=1)

    steps = [(entropy(clusters), clusters)]
    while len(clusters) > 1:
        steps.append(
            min(
                (
                    (entropy(merged), merged)
                    for a, b in combinations(range(len(clusters)), 2)
                    for merged in [
                        [c for k, c in enumerate(clusters) if k not in (a, b)]
                        + [clusters[a] | clusters[b]]
                    ]
                ),
                key=lambda step: step[0],
            )
        )
        clusters = steps[-1][1]
    return steps[::-1]


def as_sets(labels):
    return {frozenset(np.flatnonzero(labels == c)) for c in np.unique(labels)}


@pytest.mark.parametrize("together", [ROWS_TOGETHER, 100])
@pytest.mark.parametrize("weighted", [False, True])
def test_hierarchy_is_that_of_all_pairs_tried(
    crosses, six, weighted, together, rng, monkeypatch
):
    monkeypatch.setattr("skem._merging.hierarchy.ROWS_TOGETHER", together)
    X, _ = crosses
    weight = rng.integers(0, 4, len(X)).astype(float) if weighted else np.ones(len(X))
    merged = merge_components(six, X, sample_weight=weight if weighted else None)
    expected = greedy(six.predict_proba(X), weight)
    for m, (entropy, clusters) in enumerate(expected, 1):
        assert merged.entropy_[m - 1] == pytest.approx(entropy, abs=1e-9)
        labels = merged.hierarchy_[m - 1]
        assert as_sets(labels) == {frozenset(c) for c in clusters}
        # The largest cluster first.
        assert (np.diff(np.bincount(labels, six.weights_)) <= 0).all()
    assert (np.diff(merged.entropy_) >= 0).all()


def test_crosses_are_found_at_the_bend(crosses, six):
    X, truth = crosses
    merged = merge_components(six, X)
    assert merged.n_clusters_ == 4
    assert adjusted_rand_score(truth, merged.labels_) > 0.98
    assert adjusted_rand_score(truth, six.predict(X)) < 0.8
    np.testing.assert_array_equal(merged.predict(X), merged.labels_)
    proba = merged.predict_proba(X)
    assert proba.shape == (len(X), 4)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_allclose(proba.mean(axis=0), merged.weights_, atol=1e-3)
    assert merged.weights_.sum() == pytest.approx(1)
    assert repr(merged).startswith("<MergedComponents: 4 clusters of components ")
    assert "+" in repr(merged)


def test_any_number_of_clusters_is_a_cut_of_one_hierarchy(crosses, six):
    X, _ = crosses
    merged = merge_components(six, X)
    for m in range(1, 7):
        cut, asked = merged.cut(m), merge_components(six, X, m)
        assert cut.n_clusters_ == asked.n_clusters_ == m
        np.testing.assert_array_equal(cut.predict(X), asked.labels_)
    np.testing.assert_array_equal(asked.labels_, six.predict(X))


def test_components_apart_are_not_merged():
    X = np.concatenate(
        [np.random.default_rng(0).normal(20 * k, 1, 40) for k in range(4)]
    )
    mixture = GaussianMixture(4, random_state=0).fit(X[:, None])
    assert merge_components(mixture, X[:, None]).n_clusters_ == 4


@pytest.mark.parametrize("K", [1, 2])
def test_one_and_two_components_stay(crosses, K):
    X, _ = crosses
    mixture = GaussianMixture(K, random_state=0).fit(X)
    merged = merge_components(mixture, X)
    assert merged.n_clusters_ == K
    assert merged.entropy_[0] == pytest.approx(0, abs=1e-9)


def test_integer_weights_are_repeated_rows_and_gaps_are_allowed(crosses, six, rng):
    X, _ = crosses
    X = np.where(rng.uniform(size=X.shape) < 0.1, np.nan, X)
    weight = rng.integers(0, 3, len(X))
    weighted = merge_components(six, X, sample_weight=weight)
    repeated = merge_components(six, np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.entropy_, repeated.entropy_)
    np.testing.assert_array_equal(weighted.hierarchy_, repeated.hierarchy_)


def test_dask_collections_are_looked_at_by_blocks(crosses, six):
    da = pytest.importorskip("dask.array")
    X, _ = crosses
    weight = 1.0 + np.arange(len(X)) % 3
    lazy = da.from_array(X, chunks=(100, 2))
    merged = merge_components(six, lazy, sample_weight=da.from_array(weight))
    expected = merge_components(six, X, sample_weight=weight)
    np.testing.assert_allclose(merged.entropy_, expected.entropy_)
    assert isinstance(merged.labels_, da.Array)
    np.testing.assert_array_equal(merged.labels_.compute(), expected.labels_)
    np.testing.assert_array_equal(merged.predict(lazy).compute(), expected.labels_)
    with pytest.raises(ValueError, match="Negative values"):
        merge_components(six, lazy, sample_weight=-weight)


@pytest.mark.parametrize("collection", ["array", "dask"])
@pytest.mark.parametrize("gaps", [False, True])
def test_distinct_values_and_their_counts_are_the_rows(collection, gaps, rng):
    """Components were measured in values, and clusters of few values were empty."""
    parts = rng.normal(0, 1, 20000), rng.normal(9, 1, 60), rng.normal(20, 1, 60)
    rows = np.round(np.concatenate(parts))[:, None]
    rows = np.c_[rows, np.zeros(len(rows))]
    if gaps:
        rows[rng.random(len(rows)) < 0.1, 1] = np.nan
    values, counts = np.unique(rows, axis=0, return_counts=True)
    mixture = GaussianMixture.from_parameters(
        [0.6, 0.394, 0.003, 0.003],
        [[0.0, 0.0], [0.1, 0.0], [9.0, 0.0], [20.0, 0.0]],
        [[1.0, 1.0], [1.1, 1.0], [1.0, 1.0], [1.0, 1.0]],
        covariance_type="diag",
    )
    repeated = merge_components(mixture, rows)
    if collection == "dask":
        da = pytest.importorskip("dask.array")
        values = da.from_array(values, chunks=(7, 2))
        counts = da.from_array(counts, chunks=7)
    weighted = merge_components(mixture, values, sample_weight=counts)
    assert weighted.n_clusters_ == repeated.n_clusters_ == 3
    np.testing.assert_array_equal(weighted.hierarchy_, repeated.hierarchy_)
    np.testing.assert_allclose(weighted.entropy_, repeated.entropy_, atol=1e-9)


def test_what_is_empty_is_so_among_the_rows_that_are_passed(crosses, six):
    """Not among those of the fit, and light weights alone make no clusters empty."""
    X, truth = crosses
    some = X[truth < 2]
    merged = merge_components(six, some)
    sizes = six.predict_proba(some).sum(axis=0)
    assert (sizes < 0.5).sum() == 2
    # The two are merged before others.
    clusters = merged.hierarchy_[3]
    assert len(np.unique(clusters[sizes >= 0.5])) == 4
    assert merged.n_clusters_ == 2
    for weight in (1e-4, 1 / len(X)):
        light = merge_components(six, X, sample_weight=np.full(len(X), weight))
        assert light.n_clusters_ == merge_components(six, X).n_clusters_
    assert merge_components(six, X[:1]).n_clusters_ > 1


def test_all_mixtures_are_merged(crosses, six):
    X, truth = crosses
    bayes = BayesianGaussianMixture(8, covariance_type="diag", random_state=0).fit(X)
    # Two of the eight are empty.
    assert (bayes.weights_ * len(X) < 0.5).sum() == 2
    merged = merge_components(bayes, X)
    assert merged.n_clusters_ == 4
    assert adjusted_rand_score(truth, merged.labels_) > 0.95
    peer = Peer(6, covariance_type="diag", means_init=six.means_, random_state=0).fit(X)
    assert adjusted_rand_score(truth, merge_components(peer, X).labels_) > 0.95
    search = GridSearchCV(GaussianMixture(random_state=0), {"n_components": [3]}, cv=2)
    assert merge_components(search.fit(X), X, 2).mixture_ is search.best_estimator_
    single = merge_components(six, X.astype(np.float32))
    assert single.predict_proba(X.astype(np.float32)).dtype == np.float32


def test_noise_stays_by_itself():
    class Noisy(BaseEstimator):
        weights_ = np.array([0.4, 0.3, 0.2])
        n_features_in_ = 4

        def fit(self, X):
            return self

        def __sklearn_is_fitted__(self):
            return True

        def predict_proba(self, X):
            return np.asarray(X)

    rows = np.array(
        [[0.5, 0.5, 0, 0], [0, 0, 1, 0], [0.1, 0.1, 0, 0.8], [0.4, 0.6, 0, 0]]
    )
    merged = merge_components(Noisy(), rows, 2)
    np.testing.assert_array_equal(merged.component_labels_, [0, 0, 1])
    np.testing.assert_array_equal(merged.labels_, [0, 1, -1, 0])
    np.testing.assert_allclose(merged.predict_proba(rows)[2], [0.2, 0, 0.8])


def test_picture(crosses, six):
    merged = merge_components(six, crosses[0])
    ax = Figure().add_subplot()
    assert merged.plot(ax) is ax
    first, second, points, circle = ax.lines
    np.testing.assert_array_equal(points.get_xdata(), np.arange(1, 7))
    np.testing.assert_array_equal(points.get_ydata(), merged.entropy_)
    assert circle.get_xdata()[0] == 4
    assert (first.get_xdata()[-1], second.get_xdata()[0]) == (4, 4)
    # A line through c … K is the best one of those entropies.
    slope = np.polyfit([4, 5, 6], merged.entropy_[3:], 1)[0]
    assert np.diff(second.get_ydata())[0] == pytest.approx(2 * slope)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "entropy",
        "4 clusters",
    ]
    assert len(merged.cut(1).plot(Figure().add_subplot()).lines) == 2


def test_missing_matplotlib_is_told(crosses, six, monkeypatch):
    merged = merge_components(six, crosses[0])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"MergedComponents\.plot requires"):
        merged.plot()


def test_what_cannot_be_merged_is_refused(crosses, six):
    X, _ = crosses
    with pytest.raises(
        ValueError, match="from 1 to the number of components, 6; got 7"
    ):
        merge_components(six, X, 7)
    with pytest.raises(ValueError, match="number of components, 6; got 0"):
        merge_components(six, X).cut(0)
    with pytest.raises(ValueError, match="The 'n_clusters' parameter"):
        merge_components(six, X, 0)
    with pytest.raises(ValueError, match="X has 1 features"):
        merge_components(six, X[:, :1])
    with pytest.raises(ValueError, match="Negative values"):
        merge_components(six, X, sample_weight=-np.ones(len(X)))
    with pytest.raises(NotFittedError):
        merge_components(GaussianMixture(2), X)
    with pytest.raises(TypeError, match="LinearRegression, which has no attribute"):
        merge_components(LinearRegression().fit(X, X[:, 0]), X)
