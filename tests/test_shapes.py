"""The fourteen shapes of covariances, with all that a mixture can do."""

import pickle

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

from skem import (
    BayesianGaussianMixture,
    GaussianMixture,
    GaussianMixtureIC,
    GaussianMixtureImputer,
    GaussianMixtureRegressor,
    MixtureDiscriminantAnalysis,
    MixtureModel,
    MixtureOutlierDetector,
    StudentMixture,
)
from skem.core.gaussian.constraint import CONSTRAINTS
from skem.core.gaussian.covariance import ALIASES, FOURTEEN, SHAPES, STRUCTURES
from skem.core.gaussian.regularization import COLLINEAR

pytestmark = pytest.mark.usefixtures("short_search")

SLOW = pytest.mark.slow
TEN = list(CONSTRAINTS)


def quick(*names):
    """Return all ten, slow but for those: of each way to keep and to estimate them."""
    return [name if name in names else pytest.param(name, marks=SLOW) for name in TEN]


# Of R's mclust 6.0.0, run on to a tight tolerance from the M-step of the true labels;
# for VVE, whose M-step it does not maximise, another program's end from that start.
LOG_LIKELIHOODS = {
    "EII": -1152.05988317204, "VII": -1145.06967015289, "EEI": -1144.24766033163,
    "VEI": -1128.88550799696, "EVI": -1119.23611330978, "VVI": -1103.81644580591,
    "EEE": -1137.81730217957, "VEE": -1112.23680596069, "EVE": -1043.87927676135,
    "VVE": -1012.240487, "EEV": -980.863550857338, "VEV": -926.816207597025,
    "EVV": -977.143408759827, "VVV": -922.583018820005,
}  # fmt: skip
NUMBERS = {
    "EII": 12, "VII": 14, "EEI": 14, "VEI": 16, "EVI": 18, "VVI": 20, "EEE": 17,
    "VEE": 19, "EVE": 21, "VVE": 23, "EEV": 23, "VEV": 25, "EVV": 27, "VVV": 29,
}  # fmt: skip
# Shapes in the order of what they allow: none has a lower optimum than one before it.
CHAINS = [
    ["EII", "VII", "VEI", "VVI", "VVE", "VVV"],
    ["EII", "EEI", "EVI", "EVE", "VVE"],
    ["EEI", "EEE", "VEE", "VVE"],
    ["EEE", "EEV", "VEV", "VVV"],
    ["EVE", "EVV", "VVV"],
]


def labelled(seed=32, n=240, d=3, K=3):
    """Return data and the components that they come from."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(K, d)) * 1.5
    A = rng.normal(size=(K, d, d)) * 0.5 + np.eye(d) * 0.6
    z = rng.integers(K, size=n)
    return means[z] + np.einsum("ide,ie->id", A[z], rng.normal(size=(n, d))), z


def clusters(seed=0, n=80):
    """Return two clusters of three features, well apart."""
    rng = np.random.default_rng(seed)
    parts = [
        rng.normal(size=(n, 3)) @ (np.eye(3) + 0.5 * rng.normal(size=(3, 3))) + mean
        for mean in ([0.0, 0.0, 0.0], [9.0, 2.0, 1.0])
    ]
    return np.vstack(parts)


def dense(mixture):
    """Return the covariances as matrices (K, d, d)."""
    K, d = mixture.means_.shape
    values = np.asarray(mixture.covariances_, dtype=float)
    if SHAPES[mixture.covariance_type].matrices:
        return np.broadcast_to(values, (K, d, d))
    return values.reshape(K, -1)[:, :, None] * np.eye(d)


def spread(values):
    """Return how much rows differ from the first one, relative to it."""
    return np.abs(values / values[0] - 1).max()


def asked(mixture):
    """Return what must be zero, by what the letters of the name say."""
    name, (_, d) = mixture.covariance_type, mixture.means_.shape
    eigenvalues, _ = np.linalg.eigh(dense(mixture))
    volumes = np.prod(eigenvalues, axis=1) ** (1 / d)
    left = [spread(volumes)] if name[0] == "E" else []
    if name[2] == "I":
        shapes = np.einsum("kii->ki", dense(mixture)) / volumes[:, None]
    else:
        shapes = eigenvalues / volumes[:, None]
    if name[1] == "E":
        left.append(spread(shapes))
    if name[1] == "I":
        left.append(np.abs(shapes - 1).max())
    if name[2] == "E":
        products = np.einsum("kij,ljm->klim", dense(mixture), dense(mixture))
        left.append(np.abs(products - np.swapaxes(products, 2, 3)).max())
    return left


def fitted(name, X, **options):
    sample_weight = options.pop("sample_weight", None)
    options = {"n_components": 2, "random_state": 0} | options
    return GaussianMixture(covariance_type=name, **options).fit(
        X, sample_weight=sample_weight
    )


def check_shape(mixture, tolerance=1e-6):
    assert all(left < tolerance for left in asked(mixture)), asked(mixture)


@pytest.mark.parametrize(
    "algorithm",
    [
        "lbfgs",
        *(pytest.param(name, marks=SLOW) for name in ("em", "squarem")),
    ],
)
@pytest.mark.parametrize("name", NUMBERS)
def test_fits_end_where_those_of_mclust_do(name, algorithm):
    X, z = labelled()
    weights = np.bincount(z) / len(z)
    means = np.stack([X[z == k].mean(axis=0) for k in range(3)])
    structure = SHAPES[name]
    within = np.stack([np.cov(X[z == k].T, bias=True) for k in range(3)])
    if structure.shared:
        within = np.tensordot(weights, within, axes=1)
    elif not structure.matrices:
        within = np.einsum("kii->ki", within)
        if len(structure.shape(3, 3)) == 1:
            within = within.mean(axis=1)
    precisions = np.linalg.inv(within) if structure.matrices else 1 / within
    mixture = GaussianMixture(
        3,
        covariance_type=name,
        reg_covar=0.0,
        tol=1e-7,
        algorithm=algorithm,
        weights_init=weights,
        means_init=means,
        precisions_init=precisions,
    ).fit(X)
    assert mixture.converged_
    assert mixture.n_parameters_ == NUMBERS[name]
    # To the digits of the values above.
    expected = LOG_LIKELIHOODS[name]
    assert mixture.score(X) * len(X) == pytest.approx(expected, rel=1e-8)
    assert mixture.covariances_.shape == structure.shape(3, 3)


@pytest.mark.parametrize("name", TEN)
def test_covariances_have_the_shape(name):
    X = clusters()
    mixture = fitted(name, X)
    check_shape(mixture)
    normals = [
        np.log(weight) + multivariate_normal(mean, covariance).logpdf(X)
        for weight, mean, covariance in zip(
            mixture.weights_, mixture.means_, dense(mixture), strict=True
        )
    ]
    np.testing.assert_allclose(mixture.score_samples(X), logsumexp(normals, axis=0))
    again = pickle.loads(pickle.dumps(mixture))
    np.testing.assert_array_equal(again.predict(X), mixture.predict(X))
    assert clone(mixture).covariance_type == name


@pytest.mark.parametrize("name", quick("EII", "VVE"))
def test_weights_are_repetitions(name):
    X = clusters()
    times = np.random.default_rng(1).integers(3, size=len(X))
    weighted = fitted(name, X, tol=1e-8, sample_weight=times)
    repeated = fitted(name, np.repeat(X, times, axis=0), tol=1e-8)
    np.testing.assert_allclose(
        weighted.covariances_, repeated.covariances_, rtol=1e-3, atol=1e-3
    )
    check_shape(weighted)


@pytest.mark.parametrize("name", quick("VEI", "VEV"))
def test_single_precision_is_as_good(name):
    X = clusters()
    single = fitted(name, X.astype(np.float32))
    assert single.covariances_.dtype == np.float32
    assert single.score(X) == pytest.approx(fitted(name, X).score(X), abs=1e-3)
    check_shape(single, 1e-4)


@pytest.mark.parametrize("name", quick("EII", "VEV"))
def test_values_may_be_missing(name):
    X = clusters()
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    mixture = fitted(name, X)
    check_shape(mixture)
    assert np.isfinite(mixture.score_samples(X)).all()
    for errors in mixture.standard_errors(X):
        assert np.isfinite(errors).all()


@pytest.mark.parametrize("name", quick("VEI", "VEV"))
def test_streams_keep_the_shape(name):
    X = np.random.default_rng(1).permutation(clusters())
    mixture = GaussianMixture(2, covariance_type=name, random_state=0)
    for batch in np.array_split(X, 4):
        mixture.partial_fit(batch)
    check_shape(mixture)
    assert mixture.score(X) == pytest.approx(fitted(name, X).score(X), abs=0.1)


@pytest.mark.parametrize("name", quick("EII", "VEI", "VVE", "VEV"))
def test_a_ridge_keeps_the_shape(name):
    check_shape(fitted(name, clusters(), reg_covar=0.1))


@pytest.mark.parametrize("algorithm", [pytest.param("em", marks=SLOW), "lbfgs"])
@pytest.mark.parametrize("name", quick("EII", "VVE"))
def test_constant_and_collinear_columns_are_harmless(name, algorithm):
    X = clusters()
    wide = np.column_stack([X, np.ones(len(X)), X[:, 0] + X[:, 1]])
    mixture = fitted(name, wide, algorithm=algorithm)
    assert mixture.converged_
    assert np.isfinite(mixture.covariances_).all()


@pytest.mark.each_value
@pytest.mark.parametrize("n_components", [1, 2])
@pytest.mark.parametrize("name", [name for name in TEN if name != "EII"])
def test_constant_data_have_the_variance_of_the_floor(name, n_components):
    X = np.full((20, 2), 3.0)
    mixture = fitted(name, X, n_components=n_components)
    check_constant(name, mixture.covariances_)
    variance = COLLINEAR * 3.0**2
    assert mixture.score(X) == pytest.approx(-np.log(2 * np.pi * variance))


def check_constant(name, covariances):
    """Covariances of two features that are three, always."""
    dense = np.eye(2) if FOURTEEN[name].matrices else np.ones(2)
    expected = np.broadcast_to(COLLINEAR * 3.0**2 * dense, covariances.shape)
    np.testing.assert_allclose(covariances, expected)


@pytest.mark.parametrize("name", ["VEI", "VVE"])
def test_all_estimators_take_constant_data(name):
    X = np.full((20, 2), 3.0)
    mixture = MixtureModel(1, covariance_type=name).fit(X)
    check_constant(name, mixture.covariances_["x0", "x1"])
    student = StudentMixture(2, covariance_type=name).fit(X)
    check_constant(name, student.covariances_)
    rows = np.vstack([clusters(n=20)[:, :2], X + 50])
    y = np.repeat([0, 1], [40, 20])
    model = MixtureDiscriminantAnalysis(2, covariance_type=name).fit(rows, y)
    assert model.score(rows, y) == 1


def test_shapes_are_compared_on_constant_data():
    search = GaussianMixtureIC([1, 2], covariance_type=["VEI", "VVE", "EVV"])
    search.fit(np.full((20, 2), 3.0))
    assert search.n_components_ == 1
    assert np.isfinite(search.criterion_)


@pytest.mark.each_value
@pytest.mark.parametrize(("dtype", "width"), [(float, 2), (bool, 1)])
@pytest.mark.parametrize("name", ["VEI", "EVI", "VVE", "EVV"])
def test_streams_may_begin_with_one_distinct_row(name, dtype, width):
    X = (clusters(n=10)[:, :width] > 4).astype(dtype)
    mixture = GaussianMixture(2, covariance_type=name, random_state=0)
    mixture.partial_fit(np.zeros((5, width), dtype)).partial_fit(X)
    found = mixture.weights_ @ mixture.means_
    np.testing.assert_allclose(found, X.sum(axis=0) / (5 + len(X)))


@pytest.mark.filterwarnings("ignore:Some standard errors are not finite")
@pytest.mark.parametrize("name", ["VEE", "EVE", "VVE", "EEV", "VEV"])
def test_standard_errors_of_data_with_a_far_row_are_numbers(name):
    X = clusters(n=20)[:, :2]
    X[0] = 1e160
    mixture = fitted(name, X)
    for method in ("sandwich", "hessian"):
        for values in mixture.standard_errors(X, method=method):
            assert (values >= 0).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", quick("VEE"))
def test_a_far_value_beside_a_sum_is_harmless(name, seed):
    """Beside 1e20, features and their sums are singular by rounding.

    Where that leads some shapes, steps do not end.
    """
    X = np.random.default_rng(seed).normal(size=(30, 3))
    X[3, 2] = 1e20
    X = np.column_stack([X, X.sum(axis=1)])
    mixture = fitted(name, X, n_components=1, max_iter=20)
    np.testing.assert_allclose(mixture.means_[0, :3], X.mean(axis=0)[:3], atol=1e5)
    assert np.isfinite(mixture.lower_bound_)


@pytest.mark.filterwarnings("ignore:Some standard errors are not finite")
@pytest.mark.parametrize("name", ["EII", "VEI", "VVE", "EVV"])
def test_what_is_estimated_of_the_smallest_numbers_is_a_start(name):
    X = np.full((20, 2), 1e-320)
    mixture = fitted(name, X)
    assert all((values >= 0).all() for values in mixture.standard_errors(X))
    start = {"means_init": mixture.means_, "precisions_init": mixture.precisions_}
    np.testing.assert_array_equal(fitted(name, X, **start).means_, X[:2])


@pytest.mark.parametrize("factor", [1e-170, 1e170])
@pytest.mark.parametrize("name", TEN)
def test_nearest_factors_do_not_depend_on_the_unit(name, factor):
    structure, rng = FOURTEEN[name], np.random.default_rng(0)
    shape, weights = structure.shape(2, 3), np.array([0.3, 0.7])
    cholesky = rng.uniform(1, 2, size=shape)
    if structure.matrices:
        cholesky = np.triu(cholesky)
    expected = structure.constrained(cholesky, weights, 3)
    assert not np.allclose(expected, cholesky)
    found = structure.constrained(factor * cholesky, weights, 3) / factor
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in TEN if SHAPES[n].scales_features])
def test_nearest_factors_do_not_depend_on_units_of_features(name):
    structure, rng = FOURTEEN[name], np.random.default_rng(0)
    units, weights = np.array([1e-160, 1.0, 1e120]), np.array([0.3, 0.7])
    cholesky = rng.uniform(1, 2, size=structure.shape(2, 3))
    if structure.matrices:
        cholesky = np.triu(cholesky)
    expected = structure.constrained(cholesky, weights, 3)
    found = structure.rescale_precisions_cholesky(cholesky, units)
    found = structure.constrained(found, weights, 3)
    found = structure.rescale_precisions_cholesky(found, 1 / units)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", TEN)
def test_standard_errors_are_those_of_the_free_parameters(name):
    """Against differences of the log-likelihood in the coordinates of the chart."""
    X, K, d = clusters(n=60)[:, :2], 2, 2
    mixture = fitted(name, X, reg_covar=0.0, tol=1e-12)
    structure, cholesky = SHAPES[name], mixture.precisions_cholesky_
    local = structure.local(cholesky, d)
    n_means = K - 1 + K * d

    def parameters(values):
        log_weights = np.log(mixture.weights_) + np.r_[values[: K - 1], 0]
        weights = np.exp(log_weights - logsumexp(log_weights))
        means = mixture.means_ + values[K - 1 : n_means].reshape(K, d)
        return weights, means, local.unpack(values[None, n_means:])

    def log_likelihood(values):
        weights, means, factors = parameters(values)
        logits = [
            np.log(weights[k])
            + structure.log_det(factors, d)[k]
            - np.square(structure.whiten(factors, k, (X - means[k]).T)).sum(axis=0) / 2
            for k in range(K)
        ]
        return logsumexp(logits, axis=0).sum()

    def public(values):
        weights, means, factors = parameters(values)
        parts = weights, means, structure.covariances(factors)
        return np.concatenate([part.ravel() for part in parts])

    size = n_means + structure.n_parameters(K, d)
    steps = 1e-3 * np.eye(size)
    hessian = [
        [
            log_likelihood(a + b) - log_likelihood(a - b)
            - log_likelihood(b - a) + log_likelihood(-a - b)
            for b in steps
        ]
        for a in steps
    ]  # fmt: skip
    covariance = np.linalg.inv(-np.array(hessian) / 4e-6)
    slopes = [(public(step) - public(-step)) / 2e-3 for step in steps]
    expected = np.sqrt(np.diag(np.transpose(slopes) @ covariance @ slopes))
    errors = mixture.standard_errors(X, method="hessian")
    found = np.concatenate([np.ravel(part) for part in errors])
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("name", quick("EII", "VEV"))
def test_parts_of_a_mixture(name):
    X = clusters()
    mixture = fitted(name, X)
    part = mixture.marginal([2, 0])
    chosen = np.ix_([0, 1], [2, 0], [2, 0])
    np.testing.assert_allclose(dense(part), dense(mixture)[chosen], rtol=1e-10)
    # Either of the same shape, or of none.
    if part.covariance_type in TEN:
        check_shape(part)
    row = [np.nan, 1.0, np.nan]
    given = mixture.conditional(row)
    cross = dense(mixture)[:, [0, 2], 1]
    variances = dense(mixture)[:, 1, 1]
    expected = dense(mixture)[:, [0, 2]][:, :, [0, 2]] - np.einsum(
        "ki,kj,k->kij", cross, cross, 1 / variances
    )
    np.testing.assert_allclose(dense(given), expected, rtol=1e-8, atol=1e-10)
    theirs = mixture.to_sklearn()
    np.testing.assert_allclose(theirs.score_samples(X), mixture.score_samples(X))
    assert "component" in str(mixture.summary(X))


@pytest.mark.parametrize("alias", ALIASES)
def test_other_names_are_the_same(alias):
    X = clusters()
    one, other = fitted(ALIASES[alias], X), fitted(alias, X)
    np.testing.assert_array_equal(one.covariances_, other.covariances_)
    assert other.to_sklearn().covariance_type == ALIASES[alias]


@pytest.mark.parametrize("name", ["VEV", pytest.param("EVI", marks=SLOW)])
def test_estimators_have_shapes_too(name):
    X = clusters()
    y = np.repeat([0, 1], 80)
    options = {"covariance_type": name, "random_state": 0}
    assert MixtureDiscriminantAnalysis(1, **options).fit(X, y).score(X, y) == 1
    regressor = GaussianMixtureRegressor(2, **options).fit(X[:, :2], X[:, 2])
    assert np.isfinite(regressor.predict(X[:, :2])).all()
    holes = X.copy()
    holes[::5, 1] = np.nan
    filled = GaussianMixtureImputer(2, **options).fit_transform(holes)
    assert np.isfinite(filled).all()
    detector = MixtureOutlierDetector(2, **options).fit(X)
    assert detector.predict([[50.0, 50.0, -50.0]]) == [-1]


def test_classes_of_a_shape_have_none_together():
    X = clusters()
    y = np.repeat([0, 1], 80)
    for name, joined in [("VEV", "full"), ("EVI", "diag"), ("EII", "spherical")]:
        model = MixtureDiscriminantAnalysis(1, covariance_type=name, random_state=0)
        mixture = model.fit(X, y).mixture_
        assert mixture.covariance_type == joined


def test_a_bayesian_mixture_has_four():
    with pytest.raises(ValueError, match="'covariance_type' parameter of Bayesian"):
        BayesianGaussianMixture(2, covariance_type="VEV").fit(clusters())


@pytest.mark.parametrize(
    "estimator",
    [
        GaussianMixture(covariance_type="V"),
        GaussianMixtureIC(2, covariance_type="V"),
        GaussianMixtureIC(2, covariance_type=["E", "V"]),
        BayesianGaussianMixture(covariance_type="V"),
    ],
)
def test_errors_list_the_names_in_their_order(estimator):
    with pytest.raises(ValueError) as caught:
        estimator.fit(clusters()[:, :1])
    message = str(caught.value)
    listed = message[message.index("'full'") :]
    names = [*SHAPES] if "VVV" in listed else [*STRUCTURES]
    assert listed.startswith(", ".join(map(repr, names)))
    # mclust's names where there is one feature.
    assert "'E' and 'V', of one feature, are 'tied' and 'full' here" in message


def test_parameters_must_have_the_shape():
    parts = [0.5, 0.5], [[0.0, 0.0], [3.0, 3.0]]
    GaussianMixture.from_parameters(*parts, [[1, 2], [2, 4]], covariance_type="VEI")
    with pytest.raises(ValueError, match="covariance_type='diag' for"):
        GaussianMixture.from_parameters(*parts, [[1, 2], [2, 1]], covariance_type="VEI")


def test_starts_need_not_have_the_shape():
    X = clusters()
    mixture = fitted("VEV", X, precisions_init=np.stack([np.eye(3), 2 * np.eye(3)]))
    check_shape(mixture)


@pytest.mark.parametrize("name", [pytest.param("EEI", marks=SLOW), "EVE", "VVE"])
def test_dask_collections_are_the_same(name):
    array = pytest.importorskip("dask.array")
    X = clusters()
    apart = fitted(name, array.from_array(X, chunks=(50, 3)))
    together = fitted(name, X)
    assert apart.lower_bound_ == pytest.approx(together.lower_bound_, rel=1e-12)
    np.testing.assert_allclose(
        apart.covariances_, together.covariances_, rtol=1e-8, atol=1e-8
    )


@pytest.mark.slow
def test_fewer_shapes_in_one_dimension():
    X = clusters()[:, :1]
    found = {name: fitted(name, X, tol=1e-6).score(X) for name in TEN}
    for name in TEN:
        same = "full" if name[0] == "V" else "tied"
        expected = fitted(same, X, tol=1e-6).score(X)
        assert found[name] == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow
def test_all_shapes_are_compared():
    X = clusters()
    selection = GaussianMixtureIC(
        2, covariance_type="all", n_init=1, random_state=0
    ).fit(X)
    results = selection.results_
    assert list(results["param_covariance_type"]) == list(FOURTEEN)
    by_name = dict(
        zip(
            (FOURTEEN[name].shape_name for name in results["param_covariance_type"]),
            results["log_likelihood"],
            strict=True,
        )
    )
    for chain in CHAINS:
        values = [by_name[name] for name in chain]
        # The penalty may be worth some hundredths of a nat.
        assert (np.diff(values) > -0.1).all(), chain


def test_names_of_one_structure_are_compared_once():
    selection = GaussianMixtureIC(
        1, covariance_type=["VVV", "full", "VEV"], random_state=0
    ).fit(clusters())
    assert list(selection.results_["param_covariance_type"]) == ["VVV", "VEV"]


@pytest.mark.parametrize("covariance_type", ["EEV", "EVE", "VEV", "VVE"])
def test_a_start_is_not_made_by_the_feature_of_the_largest_unit(covariance_type):
    rng = np.random.default_rng(0)
    z = rng.integers(3, size=200)
    X = rng.normal(size=(200, 4))
    X[:, 0] += 4 * z
    X[:, 1] += 3 * (z == 1)
    X[:, 3] = 50 * rng.standard_t(4, size=200)
    for seed in range(3):
        mixture = GaussianMixture(
            3, covariance_type=covariance_type, n_init=1, random_state=seed
        )
        assert adjusted_rand_score(z, mixture.fit_predict(X)) > 0.9
