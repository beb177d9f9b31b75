"""Known components of some rows: right values, and every way that data come in."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skem import GaussianMixture, GaussianMixtureIC, MixtureModel, StudentMixture
from skem.core.gaussian.covariance import STRUCTURES

pytestmark = pytest.mark.usefixtures("short_search")

TYPES = ["full", "tied", "diag", "spherical"]
# The optimum of mclust's MclustSSC from the same start (an M-step of the known rows).
MCLUST = {
    "full": (-932.5295518514149, [0.33997742785, 0.33754655223, 0.32247602002]),
    "tied": (-1204.4675224159687, [0.36171514504, 0.45161309935, 0.1866717556]),
    "diag": (-1140.2517222115075, [0.34748068722, 0.42986156684, 0.22265774594]),
    "spherical": (-1185.2726623645785, [0.3432193023, 0.44820895789, 0.20857173981]),
}


def semi_data(n=240, known=0.2, seed=32):
    """Three overlapping clusters in three dimensions, a part of them labelled."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(3, 3)) * 1.5
    roots = rng.normal(size=(3, 3, 3)) * 0.5 + np.eye(3) * 0.6
    z = rng.integers(3, size=n)
    X = means[z] + np.einsum("ide,ie->id", roots[z], rng.normal(size=(n, 3)))
    return X, np.where(rng.random(n) < known, z, -1), z


def own_likelihood(mixture, X, labels):
    """Mean of log Σ_k w_k N(x_O), of one k where that is known, by SciPy."""
    total = 0.0
    for x, k in zip(X, labels, strict=True):
        O = ~np.isnan(x)  # noqa: E741
        p = np.array(
            [
                w * multivariate_normal.pdf(x[O], m[O], C[np.ix_(O, O)])
                for w, m, C in zip(
                    mixture.weights_, mixture.means_, mixture.covariances_, strict=True
                )
            ]
        )
        total += np.log(p.sum() if k < 0 else p[k])
    return total / len(X)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_the_optimum_is_that_of_mclust(covariance_type):
    X, labels, _ = semi_data()
    known = labels >= 0
    start = GaussianMixture(3, covariance_type=covariance_type, reg_covar=0.0)
    start.fit(X[known], labels=labels[known])
    mixture = GaussianMixture(
        3,
        covariance_type=covariance_type,
        reg_covar=0.0,
        tol=1e-10,
        weights_init=start.weights_,
        means_init=start.means_,
        precisions_init=start.precisions_,
    ).fit(X, labels=labels)
    loglik, weights = MCLUST[covariance_type]
    assert mixture.lower_bound_ * len(X) == pytest.approx(loglik, abs=1e-6)
    np.testing.assert_allclose(mixture.weights_, weights, atol=1e-5)
    bic = -2 * loglik + mixture.n_parameters_ * np.log(len(X))
    assert mixture.bic(X, labels=labels) == pytest.approx(bic, abs=1e-5)
    # The default search and penalty end there, too.
    default = GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    default.fit(X, labels=labels)
    assert default.lower_bound_ * len(X) == pytest.approx(loglik, abs=0.05)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_all_known_is_the_closed_form(covariance_type, monkeypatch):
    X, _, z = semi_data()
    mixture = GaussianMixture(3, covariance_type=covariance_type, reg_covar=0.0)
    mixture.fit(X, labels=z)
    np.testing.assert_allclose(mixture.weights_, np.bincount(z) / len(z))
    means = np.array([X[z == k].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(mixture.means_, means)
    within = np.array([np.cov(X[z == k].T, bias=True) for k in range(3)])
    expected = {
        "full": within,
        "tied": np.einsum("k,kij->ij", mixture.weights_, within),
        "diag": np.einsum("kii->ki", within),
        "spherical": np.einsum("kii->k", within) / 3,
    }[covariance_type]
    np.testing.assert_allclose(mixture.covariances_, expected)


def test_nothing_known_is_a_fit_without_labels():
    X, labels, _ = semi_data()
    plain = GaussianMixture(3, random_state=0).fit(X)
    same = GaussianMixture(3, random_state=0).fit(X, labels=np.full(len(X), -1))
    np.testing.assert_array_equal(same.means_, plain.means_)
    ignored = GaussianMixture(3, random_state=0).fit(X, y=labels)
    np.testing.assert_array_equal(ignored.means_, plain.means_)


@pytest.mark.parametrize(
    ("covariance_type", "missing"),
    [
        ("full", False),
        pytest.param("tied", False, marks=pytest.mark.slow),
        pytest.param("full", True, marks=pytest.mark.slow),
        ("spherical", True),
    ],
)
def test_weights_files_blocks_and_gaps(
    covariance_type, missing, monkeypatch, tmp_path, rng
):
    X, labels, _ = semi_data()
    if missing:
        X = np.where(rng.random(X.shape) < 0.2, np.nan, X)
        X[7] = np.nan
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    weight = rng.integers(0, 3, len(X))
    rows = np.repeat(np.arange(len(X)), weight)
    mixture.fit(X, sample_weight=weight, labels=labels)
    bound, means = mixture.lower_bound_, mixture.means_
    mixture.fit(X[rows], labels=labels[rows])
    assert mixture.lower_bound_ == pytest.approx(bound, abs=1e-3)
    np.testing.assert_allclose(mixture.means_, means, atol=0.05)
    if covariance_type == "full":
        own = own_likelihood(mixture, X[rows], labels[rows])
        assert mixture.lower_bound_ == pytest.approx(own, rel=1e-9)
    monkeypatch.setattr("skem.core.blocks.arrays.BLOCK_BYTES", 1)
    monkeypatch.setattr("skem.core.blocks.arrays.MIN_ROWS", 50)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    mixture.fit(mapped, sample_weight=weight, labels=labels)
    np.testing.assert_allclose(mixture.means_, means, atol=1e-3)
    mixture.fit(X.astype(np.float32), sample_weight=weight, labels=labels)
    assert mixture.means_.dtype == np.float32
    np.testing.assert_allclose(mixture.means_, means, atol=0.02)


def test_few_labels_of_many_rows_say_which_component_is_which():
    rng = np.random.default_rng(0)
    z = rng.integers(3, size=30_000)
    X = rng.normal(size=(len(z), 2)) + 3 * np.array([[0, 0], [1, 1], [2, 0]])[z]
    labels = np.full(len(z), -1)
    for k in range(2):
        some = np.flatnonzero(z == 1 - k)[:2]
        labels[some] = k
    mixture = GaussianMixture(3, random_state=1).fit(X, labels=labels)
    expected = 3 * np.array([[1, 1], [0, 0], [2, 0]])
    np.testing.assert_allclose(mixture.means_, expected, atol=0.2)


def test_a_component_without_labels_is_free(rng):
    centres = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0], [6.0, 6.0]])
    z = rng.integers(4, size=400)
    X = centres[z] + rng.normal(size=(400, 2))
    labels = np.where((z < 2) & (rng.random(400) < 0.1), 1 - z, -1)
    mixture = GaussianMixture(4, random_state=0).fit(X, labels=labels)
    np.testing.assert_allclose(mixture.means_[:2], centres[[1, 0]], atol=0.5)
    assert sorted(np.argmax(mixture.means_[2:], axis=0).tolist()) == [0, 1] or (
        np.abs(mixture.means_[2:]).max() > 5
    )
    assert np.mean(mixture.fit_predict(X, labels=labels)[z < 2] == 1 - z[z < 2]) > 0.98


def test_selection_takes_labels():
    X, labels, z = semi_data()
    selection = GaussianMixtureIC((3, 4), covariance_type=["full", "diag"])
    selection.set_params(random_state=0).fit(X, labels=labels)
    assert selection.n_components_ == 3
    assert selection.covariance_type_ == "full"
    best = selection.best_estimator_
    assert selection.criterion_ == pytest.approx(best.bic(X, labels=labels))
    assert selection.bic(X, labels=labels) > best.bic(X) + 5
    assert np.mean(selection.predict(X) == z) > 0.95
    with pytest.raises(ValueError, match=r"range \[-1, 1\] for n_components=2"):
        GaussianMixtureIC((1, 2)).fit(X, labels=labels)


def test_standard_errors_shrink_to_those_of_labelled_rows():
    X, labels, z = semi_data()
    mixture = GaussianMixture(3, reg_covar=0.0, random_state=0).fit(X, labels=z)
    errors = mixture.standard_errors(X, method="hessian", labels=z)
    sizes = np.bincount(z)
    variances = np.einsum("kii->ki", mixture.covariances_)
    np.testing.assert_allclose(errors.means, np.sqrt(variances / sizes[:, None]))
    w = mixture.weights_
    np.testing.assert_allclose(errors.weights, np.sqrt(w * (1 - w) / len(z)))
    some = mixture.fit(X, labels=labels)
    with_labels = some.standard_errors(X, labels=labels)
    with pytest.warns(UserWarning, match="not at a maximum .* labels of the fit"):
        without = some.standard_errors(X)
    assert with_labels.weights.sum() < without.weights.sum()
    boot = some.standard_errors(
        X, labels=labels, method="bootstrap", n_boot=10, random_state=0
    )
    ratio = boot.means / with_labels.means
    assert 0.5 < np.median(ratio) < 2


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(5), "labels.shape"),
        (np.zeros((240, 1), int), "labels.shape"),
        (np.full(240, 0.5), "integers"),
        (np.full(240, 3), "range"),
        (np.full(240, -2), "range"),
        (np.full(240, np.nan), "-1 where"),
        (np.full(240, "a"), "integers"),
    ],
)
def test_wrong_labels_are_refused_before_any_work(labels, message):
    X, _, _ = semi_data()
    mixture = GaussianMixture(3)
    with pytest.raises(ValueError, match=message):
        mixture.fit(X, labels=labels)
    assert not hasattr(mixture, "means_")
    assert not hasattr(mixture, "n_features_in_")


def chunked(X, size=70):
    da = pytest.importorskip("dask.array")
    return da.from_array(X, chunks=(size, *X.shape[1:]))


def check_the_same(mixture, X, labels, given, weight=None):
    """Compare the fit to Dask chunks, with labels as given, with that in memory."""
    own = clone(mixture).fit(X, sample_weight=weight, labels=labels)
    other = clone(mixture).fit(chunked(X), sample_weight=weight, labels=given)
    np.testing.assert_allclose(other.means_, own.means_, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(other.covariances_, own.covariances_, rtol=1e-7)
    np.testing.assert_allclose(other.weights_, own.weights_, rtol=1e-8)
    if not hasattr(own, "results_"):
        assert other.lower_bound_ == pytest.approx(own.lower_bound_, rel=1e-9)
    return own, other


@pytest.mark.parametrize(
    "mixture",
    [
        GaussianMixture(3, random_state=0),
        GaussianMixture(4, covariance_type="VEV", n_init=1, random_state=0),
        StudentMixture(3, covariance_type="diag", random_state=0),
        GaussianMixtureIC((3, 4), covariance_type="diag", n_init=1, random_state=0),
    ],
    ids=lambda mixture: type(mixture).__name__,
)
def test_dask_labels_are_those_in_memory(mixture):
    X, labels, _ = semi_data()
    own, other = check_the_same(mixture, X, labels, chunked(labels, 100))
    bic = own.bic(X, labels=labels)
    assert other.bic(chunked(X), labels=labels) == pytest.approx(bic, rel=1e-8)


@pytest.mark.parametrize("missing", [False, True])
def test_dask_labels_have_weights_and_gaps_beside_them(missing, rng):
    X, labels, _ = semi_data()
    if missing:
        X = np.where(rng.random(X.shape) < 0.2, np.nan, X)
        # Rows without a value: one with a label, one without.
        X[np.flatnonzero(labels >= 0)[0]] = np.nan
        X[np.flatnonzero(labels < 0)[0]] = np.nan
    weight = rng.integers(0, 3, len(X))
    mixture = GaussianMixture(3, random_state=0)
    check_the_same(mixture, X, labels, chunked(labels.astype(float)), weight)
    own, other = check_the_same(mixture, X, labels, labels)
    expected = own.standard_errors(X, labels=labels).means
    errors = other.standard_errors(chunked(X), labels=chunked(labels, 31)).means
    np.testing.assert_allclose(errors, expected, rtol=1e-6)


def test_dask_labels_choose_among_many_rows(monkeypatch):
    monkeypatch.setattr("skem.core.mixture.problem.LABELLED", 5)
    monkeypatch.setattr("skem.core.mixture.em.COMPARED", 3)
    monkeypatch.setattr("skem.core.search.initialize.SEED_ROWS", 100)
    monkeypatch.setattr("skem.core.search.initialize.SEED_ROWS_PER_COMPONENT", 10)
    X, labels, _ = semi_data()
    check_the_same(GaussianMixture(3, n_init=1, random_state=0), X, labels, labels)


def test_dask_labels_of_chunks_of_unknown_size():
    dd = pytest.importorskip("dask.dataframe")
    pd = pytest.importorskip("pandas")
    X, labels, _ = semi_data()
    frame = dd.from_pandas(pd.DataFrame(X), npartitions=3)
    series = dd.from_pandas(pd.Series(labels), npartitions=3)
    own = GaussianMixture(3, random_state=0).fit(X, labels=labels)
    for given in (series, labels):
        other = GaussianMixture(3, random_state=0).fit(frame, labels=given)
        np.testing.assert_allclose(other.means_, own.means_, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(5), "labels.shape"),
        (np.zeros((240, 1), int), "labels.shape"),
        (np.full(240, 0.5), "integers"),
        (np.full(240, 3), "range(.|\n)*block 0 of X"),
        (np.full(240, np.nan), "-1 where"),
        (np.full(240, "a"), "integers"),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_wrong_dask_labels_are_refused(labels, message, lazy):
    X, _, _ = semi_data()
    mixture = GaussianMixture(3)
    with pytest.raises(ValueError, match=message):
        mixture.fit(chunked(X), labels=chunked(labels) if lazy else labels)
    assert not hasattr(mixture, "means_")
    assert not hasattr(mixture, "n_features_in_")


def test_dask_labels_that_say_nothing_are_no_labels():
    X, _, _ = semi_data()
    plain = GaussianMixture(3, random_state=0).fit(chunked(X))
    mixture = GaussianMixture(3, random_state=0)
    mixture.fit(chunked(X), labels=np.full(len(X), -1))
    np.testing.assert_array_equal(mixture.means_, plain.means_)


def test_metadata_routing_hands_labels_on():
    X, labels, _ = semi_data()
    direct = GaussianMixture(3, random_state=0).fit(X, labels=labels)
    with config_context(enable_metadata_routing=True):
        mixture = GaussianMixture(3, random_state=0).set_fit_request(labels=True)
        pipeline = make_pipeline(FunctionTransformer(), mixture)
        pipeline.fit(X, labels=labels)
    np.testing.assert_array_equal(pipeline[-1].means_, direct.means_)


def test_a_stream_goes_on_from_a_fit_with_labels():
    X, labels, _ = semi_data()
    mixture = GaussianMixture(3, random_state=0).fit(X, labels=labels)
    before = mixture.means_
    mixture.partial_fit(X[:50])
    assert 0 < np.abs(mixture.means_ - before).max() < 1


def test_every_structure_is_tested():
    assert set(TYPES) <= set(STRUCTURES)


def test_without_other_rows_components_without_a_label_are_empty():
    X = two_clusters()
    labels = np.zeros(len(X), int)
    for shape in ("full", "EEV"):
        mixture = GaussianMixture(3, covariance_type=shape).fit(X, labels=labels)
        np.testing.assert_allclose(mixture.weights_, [1, 0, 0], atol=1e-9)
        np.testing.assert_allclose(mixture.means_[0], X.mean(axis=0))


def test_the_bootstrap_keeps_labels(rng):
    """With them the means of components that overlap are those of their rows."""
    labels = np.repeat([0, 1], 50)
    X = rng.normal(size=(100, 1)) + labels[:, None]
    mixture = GaussianMixture(2, random_state=0).fit(X, labels=labels)
    errors = mixture.standard_errors(
        X, labels=labels, method="bootstrap", n_boot=30, random_state=0
    )
    np.testing.assert_allclose(errors.means, 1 / np.sqrt(50), rtol=0.5)


@pytest.mark.parametrize("component", [0, 1])
def test_labels_of_rows_without_a_value_tell_of_weights(component, rng):
    labels = np.repeat([0, 1, component], 10)
    X = rng.normal(size=(30, 1)) + 5 * labels[:, None]
    X[20:] = np.nan
    mixture = GaussianMixture(2, random_state=0).fit(X, labels=labels)
    assert mixture.weights_[component] == pytest.approx(2 / 3)


def test_labels_of_rows_without_weight_say_nothing():
    X = two_clusters()
    labels, weight = np.full(len(X), -1), np.ones(len(X))
    labels[0], weight[0] = 1, 0
    known = GaussianMixture(2, random_state=0).fit(X, None, weight, labels)
    without = GaussianMixture(2, random_state=0).fit(X[1:])
    np.testing.assert_allclose(known.score(X), without.score(X), atol=1e-4)


def test_a_search_leaves_out_fewer_components_than_labels_name():
    X = two_clusters()
    labels = np.full(len(X), -1)
    labels[[0, -1]] = [0, 1]
    search = GaussianMixtureIC(range(1, 4), covariance_type="diag", random_state=0)
    search.fit(X, labels=labels)
    assert set(search.results_["param_n_components"]) == {2, 3}


@pytest.mark.parametrize("unknown", [np.nan, None])
def test_what_is_not_known_is_said_by_minus_one(unknown):
    X = two_clusters()
    labels = [0, unknown] + [1] * (len(X) - 2)
    with pytest.raises(ValueError, match="-1 where the component is not known"):
        GaussianMixture(2).fit(X, labels=labels)


def two_clusters():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=(40, 2)), rng.normal(size=(40, 2)) + 6])


@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture, MixtureModel])
def test_lower_bound_counts_labels_but_of_tables(kind):
    X, labels, _ = semi_data()
    mixture = kind(3, random_state=0).fit(X, labels=labels)
    free = mixture.n_parameters_ * np.log(len(X))
    with_labels = (free - mixture.bic(X, labels=labels)) / (2 * len(X))
    alone = (free - mixture.bic(X)) / (2 * len(X))
    assert with_labels < alone - 1e-3
    wanted = alone if kind is MixtureModel else with_labels
    assert mixture.lower_bound_ == pytest.approx(wanted, abs=1e-9)


def test_integers_among_objects_are_labels(X):
    labels = np.array([0, 1, -1] * (len(X) // 3) + [-1] * (len(X) % 3))
    plain = GaussianMixture(2, random_state=0).fit(X, labels=labels)
    objects = GaussianMixture(2, random_state=0).fit(X, labels=labels.astype(object))
    np.testing.assert_array_equal(objects.means_, plain.means_)
    odd = labels.astype(object)
    odd[0] = True
    with pytest.raises(ValueError, match="got object values"):
        GaussianMixture(2).fit(X, labels=odd)
