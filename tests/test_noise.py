"""Noise of constant density: right values, and every way that data come in."""

import pickle

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score

from skem import (
    GaussianMixture,
    GaussianMixtureIC,
    MixtureDisplay,
    StudentMixture,
    StudentMixtureIC,
    bootstrap_lrt,
)
from skem.kernels import native

pytestmark = pytest.mark.usefixtures("short_search")

TYPES = ["full", "tied", "diag", "spherical"]
# mclust's em with Vinv from the labels, at a tight tolerance: log-likelihood, weights
# with noise last, df.
VOLUME = 568.134545400807
MCLUST = {
    "full": (-1551.222005389597, [0.39617628287, 0.43308284208, 0.17074087505], 13),
    "tied": (-1570.2694638552857, [0.40501947859, 0.42291724875, 0.17206327265], 10),
    "diag": (-1577.7353171788839, [0.39933400314, 0.43282237276, 0.1678436241], 11),
    "spherical": (
        -1578.2254454644703,
        [0.39912068957, 0.43342283487, 0.16745647556],
        9,
    ),
}

SHAPES = {
    "EII": (-1592.422932, 8),
    "EEI": (-1592.287246, 9),
    "VEI": (-1577.975597, 10),
    "EVI": (-1590.163961, 10),
    "VEE": (-1552.103836, 11),
    "EVE": (-1570.056967, 11),
    "VVE": (-1552.223762, 12),
    "EEV": (-1568.877998, 11),
    "VEV": (-1551.227623, 12),
    "EVV": (-1568.824373, 12),
}


def noise_data(n=300, m=60, seed=31):
    """Two clusters in the plane and evenly spread noise, labelled 2."""
    rng = np.random.default_rng(seed)
    means = np.array([[-3.0, 0.0], [3.0, 1.0]])
    roots = rng.normal(size=(2, 2, 2)) * 0.4 + np.eye(2)
    z = rng.integers(2, size=n)
    X = means[z] + np.einsum("ide,ie->id", roots[z], rng.normal(size=(n, 2)))
    return np.vstack([X, rng.uniform(-12, 12, size=(m, 2))]), np.r_[z, np.full(m, 2)]


def dense_covariances(mixture):
    values, (K, d) = mixture.covariances_, mixture.means_.shape
    if mixture.covariance_type == "tied":
        return np.broadcast_to(values, (K, d, d))
    if mixture.covariance_type == "full":
        return values
    diagonals = values if values.ndim == 2 else np.repeat(values[:, None], d, axis=1)
    return diagonals[:, :, None] * np.eye(d)


def joint(mixture, X, widths=None):
    """Densities w_k N(x_O) and, last, w_0 / V_O of each row, by SciPy."""
    rows = []
    for x in X:
        O = ~np.isnan(x)  # noqa: E741
        volume = mixture.noise_volume_ if widths is None else widths[O].prod()
        gaussian = [
            w * multivariate_normal.pdf(x[O], m[O], C[np.ix_(O, O)])
            for w, m, C in zip(
                mixture.weights_,
                mixture.means_,
                dense_covariances(mixture),
                strict=True,
            )
        ]
        rows.append([*gaussian, (1 - mixture.weights_.sum()) / volume])
    return np.array(rows)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_the_optimum_is_that_of_mclust(covariance_type):
    X, z = noise_data()
    loglik, weights, df = MCLUST[covariance_type]
    start = GaussianMixture(2, covariance_type=covariance_type, reg_covar=0.0)
    start.fit(X[z < 2], labels=z[z < 2])
    shares = np.bincount(z) / len(z)
    mixture = GaussianMixture(
        2,
        covariance_type=covariance_type,
        reg_covar=0.0,
        tol=1e-11,
        noise=True,
        weights_init=shares[:2],
        means_init=start.means_,
        precisions_init=start.precisions_,
    ).fit(X)
    assert mixture.noise_volume_ == pytest.approx(VOLUME, rel=1e-12)
    assert mixture.lower_bound_ * len(X) == pytest.approx(loglik, rel=1e-8 / 1500)
    found = [*mixture.weights_, mixture.noise_weight_]
    np.testing.assert_allclose(found, weights, atol=2e-6)
    assert sum(found) == pytest.approx(1)
    assert mixture.n_parameters_ == df
    assert mixture.bic(X) == pytest.approx(-2 * loglik + df * np.log(len(X)), abs=1e-6)
    # The density is 1/V if a number is given.
    same = clone(mixture).set_params(noise=1 / VOLUME).fit(X)
    assert same.lower_bound_ == pytest.approx(mixture.lower_bound_, rel=1e-12)
    # The default search and penalty end there, too.
    default = GaussianMixture(2, covariance_type=covariance_type, noise=True)
    default.set_params(random_state=0).fit(X)
    assert default.lower_bound_ * len(X) == pytest.approx(loglik, abs=0.05)


@pytest.mark.parametrize("covariance_type", SHAPES)
def test_every_shape_has_the_optimum_of_mclust(covariance_type):
    X, _ = noise_data()
    loglik, df = SHAPES[covariance_type]
    mixture = GaussianMixture(
        2, covariance_type=covariance_type, noise=True, random_state=0
    ).fit(X)
    assert mixture.n_parameters_ == df
    # mclust stops short of the optimum of VVE.
    short = 0.2 if covariance_type == "VVE" else 0.01
    assert -0.03 < mixture.lower_bound_ * len(X) - loglik < short


def test_what_em_does_in_its_first_steps():
    # mclust's log-likelihood after one M-step from the labels, and after six.
    X, z = noise_data()
    start = GaussianMixture(2, reg_covar=0.0).fit(X[z < 2], labels=z[z < 2])
    mixture = GaussianMixture(
        2,
        reg_covar=0.0,
        noise=True,
        algorithm="em",
        max_iter=0,
        weights_init=np.bincount(z)[:2] / len(z),
        means_init=start.means_,
        precisions_init=start.precisions_,
    ).fit(X)
    assert mixture.lower_bound_ * len(X) == pytest.approx(-1552.139385857686, rel=1e-12)


@pytest.mark.parametrize(
    ("covariance_type", "missing", "compiled"),
    [
        pytest.param("full", False, False, marks=pytest.mark.slow),
        ("full", True, True),
        pytest.param("tied", False, True, marks=pytest.mark.slow),
        ("tied", True, False),
        ("diag", True, True),
        ("spherical", False, True),
    ],
)
def test_densities_and_probabilities(
    covariance_type, missing, compiled, monkeypatch, rng
):
    if not compiled:
        monkeypatch.setattr(native, "library", lambda: None)
    X, _ = noise_data()
    if missing:
        X = np.where(rng.random(X.shape) < 0.2, np.nan, X)
        X[0] = [np.nan, 1.0]
    mixture = GaussianMixture(
        2, covariance_type=covariance_type, noise=True, random_state=0, tol=1e-6
    ).fit(X)
    if missing:
        sizes = np.nanmax(X, axis=0) - np.nanmin(X, axis=0)
        widths = sizes * np.sqrt(mixture.noise_volume_ / sizes.prod())
    else:
        widths = None
    some = X[~np.isnan(X).all(axis=1)]
    expected = joint(mixture, some, widths)
    log_density = np.log(expected.sum(axis=1))
    np.testing.assert_allclose(mixture.score_samples(some), log_density, rtol=1e-9)
    resp = expected / expected.sum(axis=1, keepdims=True)
    proba = mixture.predict_proba(some)
    np.testing.assert_allclose(proba, resp, atol=1e-10)
    labels = np.where(resp.argmax(axis=1) == 2, -1, resp.argmax(axis=1))
    np.testing.assert_array_equal(mixture.predict(some), labels)
    assert mixture.lower_bound_ * len(X) == pytest.approx(log_density.sum(), rel=1e-9)
    # At the optimum the weights are the mean responsibilities.
    means = np.append(mixture.weights_, mixture.noise_weight_)
    np.testing.assert_allclose(resp.mean(axis=0), means, atol=2e-4 + 0.02 * missing)
    far = mixture.predict([[1e9, -1e9], [-1e200, 3.0]])
    np.testing.assert_array_equal(far, [-1, -1])
    single = clone(mixture).fit(X.astype(np.float32))
    assert single.predict_proba(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(single.means_, mixture.means_, atol=0.02)


@pytest.mark.parametrize("d", [1, 3, 40])
def test_both_forms_and_many_features(d, rng):
    X = np.vstack([rng.normal(size=(200, d)), rng.uniform(-9, 9, size=(50, d))])
    mixture = GaussianMixture(1, noise=True).fit(X)
    resp = mixture.predict_proba(X)
    np.testing.assert_allclose(resp[:, 1].mean(), mixture.noise_weight_, atol=1e-3)
    expected = joint(mixture, X[:20])
    log_density = np.log(expected.sum(axis=1))
    np.testing.assert_allclose(mixture.score_samples(X[:20]), log_density, rtol=1e-8)
    assert np.mean((mixture.predict(X) == -1) == (np.arange(250) >= 200)) > 0.9


def test_weights_files_blocks_labels_and_selection(monkeypatch, tmp_path, rng):
    X, z = noise_data(150, 30)
    mixture = GaussianMixture(2, noise=True, tol=1e-6, random_state=0)
    # Rows of weight zero are out of the region, too.
    weight = rng.integers(0, 3, len(X))
    rows = np.repeat(np.arange(len(X)), weight)
    mixture.fit(X, sample_weight=weight)
    repeated = clone(mixture).fit(X[rows])
    assert mixture.noise_volume_ == pytest.approx(repeated.noise_volume_)
    assert mixture.lower_bound_ == pytest.approx(repeated.lower_bound_, abs=1e-5)
    np.testing.assert_allclose(mixture.means_, repeated.means_, atol=1e-2)
    monkeypatch.setattr("skem.core.blocks.arrays.BLOCK_BYTES", 1)
    monkeypatch.setattr("skem.core.blocks.arrays.MIN_ROWS", 50)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    cut = clone(mixture).fit(mapped, sample_weight=weight)
    np.testing.assert_allclose(cut.means_, mixture.means_, atol=1e-4)
    labels = np.where((z < 2) & (rng.random(len(z)) < 0.1), 1 - z, -1)
    known = mixture.fit(X, labels=labels)
    assert known.means_[0, 0] > known.means_[1, 0]
    assert known.noise_weight_ == pytest.approx(1 / 6, abs=0.03)
    selection = GaussianMixtureIC(
        (1, 2, 3), covariance_type="full", n_init=2, noise=True, random_state=0
    ).fit(X)
    assert selection.n_components_ == 2
    best = selection.best_estimator_
    assert selection.criterion_ == pytest.approx(best.bic(X))
    assert selection.predict_proba(X).shape == (len(X), 3)
    for K in (2, 3):
        plain = GaussianMixture(K, random_state=0).fit(X)
        assert selection.criterion_ < plain.bic(X) - 20


def test_dask():
    da = pytest.importorskip("dask.array")
    X, _ = noise_data()
    mixture = GaussianMixture(2, noise=True, random_state=0).fit(X)
    lazy = da.from_array(X, chunks=(100, 2))
    other = clone(mixture).fit(lazy)
    np.testing.assert_allclose(other.means_, mixture.means_, atol=1e-6)
    assert other.noise_volume_ == pytest.approx(mixture.noise_volume_)
    labels = mixture.predict(lazy).compute()
    np.testing.assert_array_equal(labels, mixture.predict(X))
    assert mixture.predict_proba(lazy).compute().shape == (len(X), 3)


def test_the_region_may_lie_along_the_principal_axes():
    rng = np.random.default_rng(0)
    turn = np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2)
    X = rng.uniform(size=(500, 2)) * [20.0, 1.0] @ turn
    mixture = GaussianMixture(1, noise=True).fit(X)
    assert mixture.noise_volume_ == pytest.approx(20, rel=0.1)
    drawn, labels = GaussianMixture(1, noise=True).fit(X).sample(400, random_state=0)
    inside = drawn[labels == -1] @ turn.T
    assert inside[:, 0].min() > -1 and inside[:, 0].max() < 21
    assert inside[:, 1].min() > -0.2 and inside[:, 1].max() < 1.2
    shape = np.array([1.0, 0.25])
    region = mixture.fit(X * shape)._background
    for scale in (2.0**-560, 2.0**500):
        moved = mixture.fit(X * shape * scale)._background
        wide = region.log_widths + np.log(scale)
        np.testing.assert_allclose(moved.log_widths, wide, rtol=1e-12)
        np.testing.assert_allclose(moved.corner / scale, region.corner, atol=1e-9)
        edges = moved.half_edges / scale
        np.testing.assert_allclose(edges, region.half_edges, atol=1e-9)


@pytest.mark.parametrize(
    ("scale", "dtype"), [(1e-150, float), (1e150, float), (1e20, np.float32)]
)
def test_the_optimum_does_not_depend_on_units(scale, dtype):
    rng = np.random.default_rng(0)
    means = np.array([[0, 0, 0], [6, 0, 3], [0, 7, -4.0]])
    X = means[np.arange(150) % 3] + rng.normal(size=(150, 3)) * [1, 0.5, 2]
    mixture = GaussianMixture(
        3, noise=True, covariance_type="spherical", random_state=0, tol=1e-8
    )
    weight = mixture.fit(X).noise_weight_
    bound = mixture.lower_bound_ - 3 * np.log(scale)
    moved = mixture.fit((X * scale).astype(dtype))
    assert moved.noise_weight_ == pytest.approx(weight, abs=1e-4)
    assert moved.lower_bound_ == pytest.approx(bound, rel=1e-5)


@pytest.mark.parametrize("noise", [True, 1e-5])
@pytest.mark.parametrize("Mixture", [GaussianMixture, StudentMixture])
@pytest.mark.filterwarnings("ignore::skem.exceptions.DegenerateComponentsWarning")
def test_the_region_may_be_wider_than_numbers_go(Mixture, noise, rng):
    X, _ = noise_data()
    end = 1.7e308
    X = np.vstack([X, [[end, end], [-end, -end], [end, -end]]])
    mixture = Mixture(3, noise=noise, random_state=0).fit(X)
    assert np.isfinite([mixture.lower_bound_, mixture.noise_weight_]).all()
    assert np.isfinite(mixture.sample(50, random_state=0)[0]).all()
    if noise is True:
        region = mixture._background
        np.testing.assert_allclose(region.log_widths, np.log(2) + np.log(end))
        drawn = region.draw(200, np.random.RandomState(0))
        np.testing.assert_allclose(drawn.min(axis=0), -end, rtol=0.05)
        np.testing.assert_allclose(drawn.max(axis=0), end, rtol=0.05)


def test_samples_and_streams_and_summary(rng):
    X, _ = noise_data()
    mixture = GaussianMixture(2, noise=True, random_state=0).fit(X)
    drawn, labels = mixture.sample(4000, random_state=1)
    assert np.mean(labels == -1) == pytest.approx(mixture.noise_weight_, abs=0.02)
    noise = drawn[labels == -1]
    assert noise.min(axis=0) == pytest.approx(X.min(axis=0), abs=0.3)
    assert noise.max(axis=0) == pytest.approx(X.max(axis=0), abs=0.3)
    again = clone(mixture).fit(drawn)
    np.testing.assert_allclose(again.means_, mixture.means_, atol=0.15)
    before = mixture.noise_weight_
    mixture.partial_fit(drawn[:1000])
    assert 0 < abs(mixture.noise_weight_ - before) < 0.03
    assert mixture.weights_.sum() + mixture.noise_weight_ == pytest.approx(1)
    stream = GaussianMixture(2, noise=True, random_state=0)
    for batch in np.array_split(drawn, 8):
        stream.partial_fit(batch)
    assert stream.noise_weight_ == pytest.approx(before, abs=0.03)
    summary = stream.summary(X)
    assert summary.noise_weight == stream.noise_weight_
    assert "weight of noise" in str(summary)
    resp = stream.predict_proba(X)
    np.testing.assert_allclose(summary.effective_sizes, resp[:, :2].sum(axis=0))
    assert summary.bic == pytest.approx(stream.bic(X))
    same = pickle.loads(pickle.dumps(stream))
    np.testing.assert_array_equal(same.predict(X), stream.predict(X))


@pytest.mark.parametrize("algorithm", ["em", "squarem", "lbfgs"])
def test_solvers_agree(algorithm):
    X, _ = noise_data()
    mixture = GaussianMixture(
        2, noise=True, algorithm=algorithm, tol=1e-7, random_state=0
    )
    mixture.fit(X)
    assert mixture.lower_bound_ * len(X) == pytest.approx(-1551.222018, abs=1e-4)


def test_continuing_equal_weights_and_giving_noise_up():
    X, _ = noise_data()
    plain = GaussianMixture(2, random_state=0, warm_start=True).fit(X)
    fewer = plain.n_parameters_
    before = plain.lower_bound_
    with_noise = plain.set_params(noise=True).fit(X)
    assert with_noise.lower_bound_ > before
    assert with_noise.noise_weight_ > 0
    assert with_noise.n_parameters_ == fewer + 2
    without = with_noise.set_params(noise=False, warm_start=False).fit(X)
    assert not hasattr(without, "noise_weight_")
    assert without.n_parameters_ == fewer
    assert without.predict(X).min() == 0
    equal = GaussianMixture(2, noise=True, fixed="weights", random_state=0).fit(X)
    assert equal.weights_[0] == pytest.approx(equal.weights_[1], rel=1e-12)
    assert equal.noise_weight_ == pytest.approx(0.17, abs=0.02)
    assert equal.n_parameters_ == fewer + 1


def test_what_there_is_not_with_noise():
    X, _ = noise_data()
    mixture = GaussianMixture(2, noise=True, random_state=0).fit(X)
    with pytest.raises(NotImplementedError, match="noise"):
        mixture.to_sklearn()
    errors = mixture.standard_errors(X, method="bootstrap", n_boot=5, random_state=0)
    assert (errors.means > 0.01).all()
    weights = mixture.weights_ / mixture.weights_.sum()
    own = GaussianMixture.from_parameters(weights, mixture.means_, mixture.covariances_)
    assert own.marginal(0).means_.shape == (2, 1)
    constant = np.column_stack([X, np.ones(len(X))])
    fresh = GaussianMixture(2, noise=True)
    with pytest.raises(ValueError, match="feature 2 is constant"):
        fresh.fit(constant)
    with pytest.raises(NotFittedError):
        fresh.predict(X)
    GaussianMixture(2, noise=0.01, covariance_type="diag").fit(constant)
    with pytest.raises(ValueError, match="'noise' parameter"):
        GaussianMixture(2, noise=-1.0).fit(X)


@pytest.mark.parametrize("model", [GaussianMixture, StudentMixture])
def test_a_sum_of_others_has_no_extent_beside_them(model):
    X, _ = noise_data()
    sums = np.column_stack([X, X.sum(axis=1)])
    for covariance_type in ("full", "VVE"):
        fresh = model(2, noise=True, covariance_type=covariance_type)
        message = r"zero, as feature \d is a linear combination .* Leave it out"
        with pytest.raises(ValueError, match=message):
            fresh.fit(sums)
        assert not hasattr(fresh, "means_")
    model(2, noise=True, covariance_type="diag", random_state=0).fit(sums)
    model(2, noise=1e-3, random_state=0).fit(sums)


def test_pictures_show_noise_in_grey_and_the_test_of_k_refuses_it():
    pytest.importorskip("matplotlib")
    from matplotlib.colors import to_rgba

    X, _ = noise_data()
    mixture = GaussianMixture(2, noise=True, random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(mixture, X)
    gray = [p for p in display.points_ if p.get_label() == "noise"]
    assert len(gray) == 1
    np.testing.assert_allclose(gray[0].get_facecolor()[0][:3], to_rgba("#8C8C8C")[:3])
    assert len(gray[0].get_offsets()) == np.count_nonzero(mixture.predict(X) == -1)
    with pytest.raises(ValueError, match="without noise"):
        bootstrap_lrt(GaussianMixture(noise=True), X, 1, 2)


def chevrons(rng, n=700, m=300):
    """Two arms of a V of even width, and evenly spread background."""
    t = rng.uniform(-1, 1, n)
    y = np.where(t < 0, 0, 1)
    X = np.column_stack([t * 30, np.abs(t) * 40]) + rng.normal(size=(n, 2)) * 1.2
    background = np.column_stack([rng.uniform(-50, 50, m), rng.uniform(-20, 60, m)])
    return np.vstack([X, background]), np.r_[y, np.full(m, -1)]


@pytest.mark.parametrize("seed", [0, 1])
def test_chevrons_with_much_background(seed):
    X, z = chevrons(np.random.default_rng(seed))
    noise = GaussianMixture(2, noise=True, random_state=0).fit(X)
    found = adjusted_rand_score(z, noise.predict(X))
    # The optimum is that of EM from the true labels.
    start = GaussianMixture(2).fit(X[z >= 0], labels=z[z >= 0])
    truth = GaussianMixture(
        2,
        noise=True,
        weights_init=[np.mean(z == 0), np.mean(z == 1)],
        means_init=start.means_,
        precisions_init=start.precisions_,
    ).fit(X)
    assert noise.score(X) * len(X) > truth.score(X) * len(X) - 0.05
    assert found > adjusted_rand_score(z, truth.predict(X)) - 0.01
    plain = GaussianMixture(2, random_state=0).fit(X)
    assert found > adjusted_rand_score(z, plain.predict(X)) + 0.2
    assert noise.bic(X) < plain.bic(X)


@pytest.mark.slow
def test_the_search_finds_small_clusters_in_much_noise():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        centres = rng.uniform(-40, 40, size=(6, 2))
        z = rng.integers(6, size=900)
        X = np.vstack(
            [
                centres[z] + rng.normal(size=(900, 2)),
                rng.uniform(-50, 50, size=(900, 2)),
            ]
        )
        mixture = GaussianMixture(6, noise=True, random_state=0).fit(X)
        truth = GaussianMixture(
            6,
            noise=True,
            weights_init=np.full(6, 1 / 12),
            means_init=centres,
            precisions_init=np.stack([np.eye(2)] * 6),
        ).fit(X)
        assert mixture.score(X) * len(X) > truth.score(X) * len(X) - 0.1


@pytest.mark.parametrize("seed", range(4))
def test_no_step_of_a_search_divides_by_nothing(seed):
    rng = np.random.default_rng(seed)
    X = np.concatenate([rng.normal(size=(40, 2)), rng.normal(size=(40, 2)) + 6]).round()
    mixture = GaussianMixture(2, noise=True, random_state=1).fit(X)
    assert np.isfinite(mixture.lower_bound_)
    GaussianMixture(2, noise=True).partial_fit(X[:20])


@pytest.mark.parametrize(("scale", "volume"), [(2.0**540, np.inf), (2.0**-560, 0.0)])
def test_a_volume_beyond_the_range_of_floats_has_a_logarithm(scale, volume):
    X, _ = noise_data()
    mixture = GaussianMixture(2, noise=True, n_init=1, random_state=0).fit(X)
    moved = clone(mixture).fit(scale * X)
    assert moved.noise_volume_ == volume
    np.testing.assert_allclose(
        moved.predict_proba(scale * X), mixture.predict_proba(X), atol=1e-6
    )


def test_names_of_features_count_the_noise_and_one_is_a_density():
    X, _ = noise_data()
    mixture = GaussianMixture(2, noise=1, n_init=1, random_state=0).fit(X)
    assert mixture.noise_volume_ == pytest.approx(1)
    names = mixture.get_feature_names_out().tolist()
    assert names == [f"gaussianmixture{k}" for k in range(3)]
    assert mixture.transform(X).shape == (len(X), 3)


def test_parameters_alone_have_no_noise_before_a_fit():
    X, _ = noise_data()
    bare = GaussianMixture(2, n_init=1, random_state=0).fit(X)
    given = bare.weights_, bare.means_, bare.covariances_
    mixture = GaussianMixture.from_parameters(*given, noise=True, warm_start=True)
    assert not hasattr(mixture, "noise_weight_")
    assert mixture.score(X) == pytest.approx(bare.score(X))
    assert mixture.fit(X).noise_weight_ > 0.1


@pytest.mark.parametrize("Selection", [GaussianMixtureIC, StudentMixtureIC])
def test_a_selection_has_the_noise_of_the_chosen_mixture(Selection):
    X, _ = noise_data()
    selection = Selection(2, covariance_type="full", n_init=1, random_state=0)
    noisy = clone(selection).set_params(noise=True).fit(X)
    for name in ("noise_weight_", "noise_volume_"):
        assert not hasattr(selection, name)
        assert not hasattr(clone(selection).fit(X), name)
        assert getattr(noisy, name) == getattr(noisy.best_estimator_, name)
        assert name in dir(noisy)


@pytest.mark.parametrize(
    "estimator",
    [
        GaussianMixture(2, n_init=1, random_state=0),
        StudentMixture(2, n_init=1, random_state=0),
        GaussianMixtureIC(2, covariance_type="full", random_state=0),
        StudentMixtureIC(2, covariance_type="full", n_init=1, random_state=0),
    ],
)
def test_a_bool_of_numpy_is_no_density(estimator):
    X, _ = noise_data()
    for value in (True, False):
        found = clone(estimator).set_params(noise=np.bool_(value)).fit(X)
        right = clone(estimator).set_params(noise=value).fit(X)
        assert found.bic(X) == right.bic(X)
        assert found.n_parameters_ == right.n_parameters_


@pytest.mark.parametrize("Mixture", [GaussianMixture, StudentMixture])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "EVE"])
def test_noise_may_have_everything(Mixture, covariance_type, rng):
    """The components have no weight that their shares could be told from."""
    X = rng.normal(size=(50, 3))
    gappy = X.copy()
    gappy[0, 1] = np.nan
    mixture = Mixture(2, covariance_type=covariance_type, noise=0.01, random_state=0)
    mixture.fit(X)
    mixture.weights_, mixture.noise_weight_ = np.zeros(2), 1.0
    for rows in (X, gappy):
        np.testing.assert_allclose(
            mixture.predict_proba(rows), np.tile([0.0, 0.0, 1.0], (50, 1)), atol=1e-200
        )
    np.testing.assert_allclose(mixture.score_samples(X), np.log(0.01))
    assert (mixture.sample(9, random_state=0)[1] == -1).all()
    mixture.set_params(warm_start=True).fit(X)
    assert mixture.weights_.sum() + mixture.noise_weight_ == pytest.approx(1)


@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture, GaussianMixtureIC])
def test_fit_predict_labels_noise(kind, rng):
    X = np.concatenate([rng.normal(size=(150, 2)), rng.uniform(-20, 20, (50, 2))])
    mixture = kind(1, noise=1 / 40**2, random_state=0)
    labels = mixture.fit_predict(X)
    assert set(labels.tolist()) == {-1, 0}
    assert (labels[150:] == -1).mean() > 0.9


@pytest.mark.filterwarnings("ignore:Components .* rest on")
@pytest.mark.filterwarnings("ignore:Components .* of the stream now")
@pytest.mark.filterwarnings("ignore:Some standard errors are not finite")
@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture])
def test_a_stream_goes_on_where_noise_has_all_rows(kind, rng):
    X = rng.uniform(size=(6, 2))
    mixture = kind(3, noise=1e300, random_state=0).fit(X)
    assert mixture.noise_weight_ == 1
    assert all((values >= 0).all() for values in mixture.standard_errors(X))
    incomplete = X.copy()
    incomplete[1, 0] = np.nan
    for batch in (X, X + 1, incomplete):
        mixture.partial_fit(batch)
        assert mixture.noise_weight_ == 1
        assert np.isfinite(mixture.means_).all()
        assert np.isfinite(mixture.covariances_).all()
        assert np.isfinite(mixture.score_samples(batch)).all()
