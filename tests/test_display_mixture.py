"""MixtureDisplay: what it draws, from what, and how it refuses."""

import sys
from copy import deepcopy
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.mixture import GaussianMixture as Peer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skem import (
    GaussianMixture,
    MixtureDisplay,
    MixtureModel,
    MixtureOutlierDetector,
)
from skem._display import density
from skem._display.grid import figure_size
from skem._display.marginal import marginal
from skem._display.projection import directions
from skem._display.style import point_style
from skem.datasets import load_faithful

pytestmark = pytest.mark.usefixtures("short_search")

X = load_faithful().data


@pytest.fixture
def ax():
    return Figure((3.4, 2.6)).add_subplot()


@pytest.fixture(scope="module")
def fit_of_faithful():
    return GaussianMixture(2, random_state=0).fit(X)


@pytest.fixture
def faithful(fit_of_faithful):
    return deepcopy(fit_of_faithful)


def fitted(mixture):
    """Return the estimator of a mixture of `make_mixture`."""
    return GaussianMixture.from_parameters(
        mixture.parameters.weights,
        mixture.parameters.means,
        mixture.covariances,
        covariance_type=mixture.structure.name,
    )


def texts(ax):
    return sorted(text.get_text() for text in ax.texts)


# Marginals


@pytest.mark.parametrize("features", [[0], [2], [1, 0], [2, 3], [0, 1, 2, 3]])
def test_marginal_has_sub_means_and_sub_covariances(make_mixture, structure, features):
    mixture = make_mixture(structure, K=3, d=4)
    part = marginal(fitted(mixture), features)
    np.testing.assert_array_equal(part.weights_, mixture.parameters.weights)
    np.testing.assert_array_equal(part.means_, mixture.parameters.means[:, features])
    expected = mixture.dense[:, features][:, :, features]
    # Rounding of matrices with condition numbers below 1000.
    np.testing.assert_allclose(part.covariances_, expected, rtol=1e-12, atol=1e-13)
    identity = part.precisions_ @ expected
    np.testing.assert_allclose(
        identity, np.broadcast_to(np.eye(len(features)), identity.shape), atol=1e-11
    )
    x = part.means_
    components = [
        stats.multivariate_normal(mean, covariance).pdf(x)
        for mean, covariance in zip(part.means_, expected, strict=True)
    ]
    np.testing.assert_allclose(
        np.exp(part.score_samples(x)), part.weights_ @ components, rtol=1e-11
    )


def test_marginal_of_features_in_very_different_units():
    mixture = GaussianMixture.from_parameters(
        [1.0], [[0.0, 0.0]], [[1e-200, 1e200]], covariance_type="diag"
    )
    part = marginal(mixture, [1, 0])
    np.testing.assert_allclose(part.covariances_, [np.diag([1e200, 1e-200])])


def test_scikit_learn_mixtures_are_drawn_too(ax, structure):
    peer = Peer(2, covariance_type=structure.name, random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(peer, X, ax=ax)
    np.testing.assert_array_equal(display.labels, peer.predict(X))


@pytest.mark.parametrize("frame", [False, True])
def test_best_mixture_of_a_search_is_drawn(frame, ax):
    data = (
        pytest.importorskip("pandas").DataFrame(X, columns=["a", "b"]) if frame else X
    )
    grid = {"n_components": [1, 3]}
    search = GridSearchCV(GaussianMixture(random_state=0), grid, cv=2).fit(data)
    display = MixtureDisplay.from_estimator(search, data, ax=ax)
    best = search.best_estimator_
    np.testing.assert_array_equal(display.mixture.means_, best.means_)
    assert display.feature_names == (["a", "b"] if frame else ["x0", "x1"])


def test_mixtures_of_another_structure_than_their_own_are_refused(ax):
    mixture = (
        GaussianMixture(2, random_state=0).fit(X).set_params(covariance_type="diag")
    )
    with pytest.raises(ValueError, match="covariance_type has changed from 'full'"):
        MixtureDisplay.from_estimator(mixture, ax=ax)


# Densities


@pytest.mark.parametrize("mass", [0.5, 0.8, 0.95])
def test_regions_have_the_stated_mass(faithful, mass, ax):
    display = MixtureDisplay.from_estimator(faithful, mass=[mass], ax=ax)
    (level,) = display.levels_[0]
    draws, _ = faithful.sample(100_000, random_state=1)
    inside = np.mean(faithful.score_samples(draws) >= level)
    # Five standard errors of the 20000 draws behind the level and of these.
    error = np.sqrt(mass * (1 - mass) * (1 / 20_000 + 1 / 100_000))
    assert abs(inside - mass) < 5 * error


def test_region_of_one_normal_is_its_ellipse(ax):
    mixture = GaussianMixture.from_parameters([1.0], [[3.0, -1.0]], [np.eye(2)])
    display = MixtureDisplay.from_estimator(mixture, mass=(0.5,), ax=ax)
    (path,) = display.contours_[0].get_paths()
    radius = np.hypot(*(path.vertices - [3.0, -1.0]).T)
    # P(|z|² ≤ r²) = 1 − exp(−r²/2). The level's standard error, 0.0035 in mass, is
    # 0.006 in radius; linear interpolation on steps of 1/20 leaves less.
    np.testing.assert_allclose(radius, np.sqrt(2 * np.log(2)), atol=0.03)


def test_curves_are_densities(make_mixture, structure):
    mixture = fitted(make_mixture(structure, K=3, d=2))
    part = marginal(mixture, [1])
    x = density.axis_points(part, 0, density.view(part, 0, None), 200)
    curves = density.curves(part, 0, x)
    total = np.exp(part.score_samples(x[:, None]))
    np.testing.assert_allclose(curves.sum(axis=0), total, rtol=1e-11)
    # 0.27 % of a component are beyond three deviations; the trapezoidal rule adds less.
    np.testing.assert_allclose(
        np.trapezoid(curves, x, axis=1), mixture.weights_, rtol=4e-3
    )


def test_narrow_components_are_not_missed():
    narrow = GaussianMixture.from_parameters(
        [0.5, 0.5], [[0.0], [np.pi]], [1.0, 1e-8], covariance_type="spherical"
    )
    x = density.axis_points(narrow, 0, (-5, 5), 50)
    peak = 0.5 / np.sqrt(2 * np.pi * 1e-8)
    assert density.curves(narrow, 0, x)[1].max() == pytest.approx(peak)


# Histograms


def test_histogram_has_area_one_and_integer_weights_are_repeated_rows(rng, ax):
    mixture = GaussianMixture(2, random_state=0).fit(X[:, [1]])
    counts = rng.integers(0, 4, len(X))
    displays = [
        MixtureDisplay.from_estimator(mixture, X[:, [1]], sample_weight=counts, ax=ax),
        MixtureDisplay.from_estimator(mixture, np.repeat(X[:, [1]], counts, 0), ax=ax),
    ]
    (heights, edges), expected = (display.histograms[0] for display in displays)
    np.testing.assert_allclose(heights, expected[0], rtol=1e-12)
    np.testing.assert_array_equal(edges, expected[1])
    assert heights @ np.diff(edges) == pytest.approx(1)


def test_normalised_weights_do_not_make_one_bin(ax):
    mixture = GaussianMixture(2, random_state=0).fit(X)
    weighted = MixtureDisplay.from_estimator(
        mixture, X, features=1, sample_weight=np.full(len(X), 1 / len(X)), ax=ax
    )
    plain = MixtureDisplay.from_estimator(mixture, X, features=1, ax=ax)
    np.testing.assert_allclose(weighted.histograms[0][1], plain.histograms[0][1])


@pytest.mark.parametrize("n", [100, 10_000])
def test_bins_are_as_wide_as_scott_has_them_unless_there_would_be_few(n, rng):
    mixture = GaussianMixture.from_parameters([1.0], [[0.0]], [4.0], "spherical")
    x = rng.normal(scale=2, size=n)
    width = np.diff(density.bin_edges(mixture, 0, x, None))[0]
    scott = (24 * np.sqrt(np.pi)) ** (1 / 3) * 2 * n ** (-1 / 3)
    fewest = np.ptp(x) / (2 * n ** (1 / 3))
    assert (scott < fewest) == (n > 100)
    # To a multiple of the least distance between rows.
    assert width == pytest.approx(min(scott, fewest), rel=2e-3)


def test_bins_of_rounded_data_have_as_many_steps_each():
    mixture = GaussianMixture(2, random_state=0).fit(X[:, [1]])
    edges = density.bin_edges(mixture, 0, X[:, 1], None)
    widths = np.diff(edges)
    assert (widths == widths[0]).all()
    assert widths[0] == round(widths[0])
    assert edges[0] % 1 == 0.5


def test_given_bins_are_used(faithful, ax):
    display = MixtureDisplay.from_estimator(faithful, X, features=0, bins=7, ax=ax)
    assert len(display.histograms[0][0]) == 7


# What is drawn


def test_one_feature(faithful, ax):
    display = MixtureDisplay.from_estimator(faithful, X, features=(1,), ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    labels = [line.get_label() for line in display.lines_]
    assert labels == ["component 0", "component 1", "mixture"]
    *components, total = (line.get_ydata() for line in display.lines_)
    np.testing.assert_allclose(np.sum(components, axis=0), total)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x1", "density")
    assert texts(ax) == ["0", "1"]
    assert display.ellipses_ == display.contours_ == display.levels_ == []
    # The histogram is there only with data.
    n = len(ax.patches)
    other = Figure().add_subplot()
    MixtureDisplay.from_estimator(faithful, features=(1,), ax=other)
    assert (n, len(other.patches)) == (1, 0)


def test_two_features(faithful, ax):
    display = MixtureDisplay.from_estimator(
        faithful, X, feature_names=["eruptions", "waiting"], ax=ax
    )
    assert len(display.ellipses_) == 4
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("eruptions", "waiting")
    assert texts(ax) == ["0", "1"]
    assert [len(levels) for levels in display.levels_] == [3]
    points = np.concatenate([c.get_offsets() for c in display.points_])
    assert sorted(points.tolist()) == sorted(X.tolist())


def test_ellipses_are_at_the_stated_distances(make_mixture, structure, ax):
    mixture = make_mixture(structure, K=3, d=2)
    sizes = (0.5, 1, 2.5)
    display = MixtureDisplay.from_estimator(
        fitted(mixture), standard_deviations=sizes, ax=ax
    )
    assert len(display.ellipses_) == 9
    for k in range(3):
        precision = np.linalg.inv(mixture.dense[k])
        for r, ellipse in zip(sizes, display.ellipses_[3 * k : 3 * k + 3], strict=True):
            circle = ellipse.get_path().vertices
            outline = ellipse.get_patch_transform().transform(circle)
            # Bézier splines have control points off the curve; every third is on it.
            z = outline[::3] - mixture.parameters.means[k]
            distance = np.sqrt(np.einsum("ni,ij,nj->n", z, precision, z))
            # The splines are made of eight pieces, good to about 4e-6.
            np.testing.assert_allclose(distance, r, rtol=1e-4)


def test_grid_of_pairs():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(60, 3))
    mixture = GaussianMixture(2, random_state=0).fit(Z)
    figure = Figure()
    display = MixtureDisplay.from_estimator(
        mixture, Z, feature_names=list("abc"), ax=figure.add_subplot()
    )
    axes = display.ax_
    assert axes.shape == (3, 3)
    assert display.figure_ is figure
    assert len(display.lines_) == 3 * 3
    assert len(display.ellipses_) == 3 * 2 * 2
    assert len(display.levels_) == len(display.contours_) == 3
    assert [ax.get_xlabel() for ax in axes[-1]] == list("abc")
    assert [ax.get_ylabel() for ax in axes[:, 0]] == list("abc")
    assert {ax.get_xlabel() for ax in axes[:-1].ravel()} == {""}
    for i, j in combinations(range(3), 2):
        assert axes[i, j].get_xlim() == axes[j, j].get_xlim() == axes[j, i].get_ylim()
        assert not axes[i, j].patches
        assert len(axes[j, i].patches) == 4
    # Levels are those of the marginal of the pair.
    expected = density.levels(marginal(mixture, (1, 0)), (0.5, 0.8, 0.95))
    np.testing.assert_allclose(display.levels_[0], expected, rtol=1e-12)


def test_grid_in_given_axes(faithful):
    mixture = GaussianMixture(2, random_state=0).fit(np.c_[X, X[:, 0] ** 2])
    axes = Figure().subplots(3, 3)
    assert MixtureDisplay.from_estimator(mixture, ax=axes).ax_ is axes
    with pytest.raises(ValueError, match=r"Expected ax to have shape \(3, 3\)"):
        MixtureDisplay.from_estimator(mixture, ax=axes[:2])
    free = Figure().add_axes((0.1, 0.2, 0.5, 0.6))
    grid = MixtureDisplay.from_estimator(mixture, ax=free).ax_
    boxes = np.array([ax.get_position().extents for ax in grid.ravel()])
    assert (boxes[:, :2] >= np.array([0.1, 0.2]) - 1e-9).all()
    assert (boxes[:, 2:] <= np.array([0.6, 0.8]) + 1e-9).all()


def test_features_of_a_larger_mixture(make_mixture, structure, ax):
    mixture = fitted(make_mixture(structure, K=2, d=12))
    draws, _ = mixture.sample(50, random_state=0)
    display = MixtureDisplay.from_estimator(mixture, draws, features=(7, 3), ax=ax)
    np.testing.assert_array_equal(display.mixture.means_, mixture.means_[:, [7, 3]])
    np.testing.assert_array_equal(display.X, draws[:, [7, 3]])
    # Labels are those of the whole mixture, and not of the marginal.
    np.testing.assert_array_equal(display.labels, mixture.predict(draws))


def test_directions_separate_the_means_first_and_then_the_covariances(rng):
    # Of twelve features one tells the means apart, and another one the variances.
    means, variances = np.zeros((2, 12)), np.ones((2, 12))
    means[:, 5], variances[:, 9] = [-30.0, 30.0], [0.04, 1.96]
    units = 10.0 ** rng.integers(-3, 4, 12)
    mixture = GaussianMixture.from_parameters(
        [0.5, 0.5], means * units, variances * units**2, "diag"
    )
    X, _ = mixture.sample(80, random_state=0)
    X[0, 0] = np.nan
    display = MixtureDisplay.from_estimator(mixture, X, ax=Figure().add_subplot())
    assert display.feature_names == ["direction 1", "direction 2"]
    loadings = np.abs(display.directions * units[:, None])
    expected = np.zeros((12, 2))
    expected[5, 0] = expected[9, 1] = 1.0
    np.testing.assert_allclose(loadings, expected, atol=1e-6)
    # The picture's mixture is that of the projected rows; a row with a gap has none.
    assert display.X.shape == (79, 2)
    complete = X[1:]
    np.testing.assert_allclose(display.X, complete @ display.directions, atol=1e-6)
    np.testing.assert_array_equal(display.labels, mixture.predict(complete))
    within = np.einsum("k,kij->ij", [0.5, 0.5], display.mixture.covariances_)
    np.testing.assert_allclose(within, np.eye(2), atol=1e-9)
    assert display.mixture.means_[:, 0] == pytest.approx([-30, 30])


def test_directions_do_not_depend_on_units(make_mixture, structure):
    mixture = make_mixture(structure, K=4, d=3)
    A = np.diag([1e-3, 1.0, 1e4])
    one = GaussianMixture.from_parameters(
        mixture.parameters.weights, mixture.parameters.means, mixture.dense
    )
    other = GaussianMixture.from_parameters(
        one.weights_, one.means_ @ A + 7, A @ one.covariances_ @ A
    )
    V, W = directions(one, 3), A @ directions(other, 3)
    np.testing.assert_allclose(np.abs(V), np.abs(W), rtol=1e-6, atol=1e-9)
    # Σ w (μ − m)(μ − m)ᵀ v = λ W v, with λ descending.
    offsets = one.means_ - one.weights_ @ one.means_
    between = np.einsum("k,ki,kj->ij", one.weights_, offsets, offsets)
    apart = V.T @ between @ V
    np.testing.assert_allclose(apart, np.diag(np.diagonal(apart)), atol=1e-9)
    assert (np.diff(np.diagonal(apart)) < 0).all()


def test_number_of_directions_is_chosen(faithful):
    display = MixtureDisplay.from_estimator(
        faithful, X, n_directions=1, ax=Figure().add_subplot()
    )
    assert display.ax_.get_xlabel() == "direction 1"
    assert display.directions.shape == (2, 1)
    assert len(display.histograms) == 1


def test_features_by_name(ax):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["eruptions", "waiting"])
    mixture = GaussianMixture(2, random_state=0).fit(frame)
    display = MixtureDisplay.from_estimator(mixture, frame, features="waiting", ax=ax)
    assert display.feature_names == ["waiting"]
    assert ax.get_xlabel() == "waiting"


def test_points_are_a_fixed_subset_but_histograms_have_all_rows(faithful, ax):
    one, other = (
        MixtureDisplay.from_estimator(faithful, X, max_points=100, ax=ax).X
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)
    assert one.shape == (100, 2)
    assert {*map(tuple, one)} <= {*map(tuple, X)}
    display = MixtureDisplay.from_estimator(
        faithful, X, features=0, max_points=5, bins=3, ax=ax
    )
    expected = np.histogram(X[:, 0], 3, density=True)
    np.testing.assert_array_equal(display.histograms[0][0], expected[0])
    low, high = ax.get_xlim()
    assert low <= X[:, 0].min() < X[:, 0].max() <= high


def test_areas_of_points_are_in_proportion_to_weights(faithful, ax):
    weight = np.ones(len(X))
    weight[:10], weight[10:20] = 0, 3
    display = MixtureDisplay.from_estimator(faithful, X, sample_weight=weight, ax=ax)
    assert len(display.X) == len(X) - 10
    sizes = np.concatenate([c.get_sizes() for c in display.points_])
    small, large = np.unique(sizes)
    assert large == pytest.approx(3 * small)
    assert np.count_nonzero(sizes == large) == 10


def test_numbers_of_components_with_one_mean_do_not_cover_each_other(ax):
    mixture = GaussianMixture.from_parameters(
        [0.25] * 4, np.zeros((4, 2)), [1.0, 2.0, 4.0, 8.0], "spherical"
    )
    display = MixtureDisplay.from_estimator(mixture, ax=ax)
    for features in (None, 0):
        display = MixtureDisplay.from_estimator(
            mixture, features=features, ax=Figure().add_subplot()
        )
        ax = display.ax_
        places = ax.transData.transform([text.get_position() for text in ax.texts])
        assert texts(ax) == list("0123")
        distances = [np.hypot(*(p - q)) for p, q in combinations(places, 2)]
        # Letters of nine points are seven points wide.
        assert min(distances) > 7 * ax.figure.dpi / 72


def test_components_beyond_the_colours_differ_in_marker_and_dashes(ax):
    rng = np.random.default_rng(0)
    K = 12
    mixture = GaussianMixture.from_parameters(
        np.full(K, 1 / K), rng.uniform(0, 20, (K, 2)), np.ones(K), "spherical"
    )
    display = MixtureDisplay.from_estimator(mixture, ax=ax)
    looks = {(e.get_edgecolor(), e.get_linestyle()) for e in display.ellipses_}
    assert len(looks) == K


def names_of_legend(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_legend_and_title_say_what_is_drawn(faithful, ax):
    display = MixtureDisplay.from_estimator(faithful, X, mass=(0.5, 0.955), ax=ax)
    assert ax.get_title() == "GaussianMixture: 2 components"
    assert names_of_legend(ax.get_legend()) == [
        "component 0 (64%)",
        "component 1 (36%)",
        "1, 2 standard deviations",
        "50 % of the mixture",
        "95.5 % of the mixture",
    ]
    *_, inner, outer = ax.get_legend().get_patches()
    # The darker one is the one within.
    assert sum(inner.get_facecolor()[:3]) < sum(outer.get_facecolor()[:3])
    display.plot(ax=Figure().add_subplot(), show_legend=False)
    assert display.ax_.get_legend() is None
    line = MixtureDisplay.from_estimator(faithful, X, features=0, ax=display.ax_)
    assert names_of_legend(line.ax_.get_legend())[2:] == ["mixture", "data"]
    many = GaussianMixture.from_parameters(
        np.full(9, 1 / 9), np.eye(9)[:, :2], np.ones(9), "spherical"
    )
    drawn = MixtureDisplay.from_estimator(many, ax=Figure().add_subplot())
    assert names_of_legend(drawn.ax_.get_legend())[0] == "components, by number"


def test_legend_is_in_the_corner_with_the_fewest_rows(ax):
    mixture = GaussianMixture.from_parameters(
        [0.4, 0.3, 0.3], [[9.0, 9.0], [0.0, 9.0], [9.0, 0.0]], np.ones(3), "spherical"
    )
    MixtureDisplay.from_estimator(mixture, ax=ax)
    ax.figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent().transformed(ax.transAxes.inverted())
    assert box.x0 < 0.1 and box.y0 < 0.1


@pytest.mark.parametrize("p", [3, 4])
def test_legend_and_title_of_a_grid_are_beside_it(p):
    mixture = GaussianMixture.from_parameters(
        [1.0], [[0.0] * p], np.ones(1), "spherical"
    )
    width, height = figure_size(p)
    wide = Figure((width, height), layout="constrained").add_subplot()
    for ax in (None, wide):
        display = MixtureDisplay.from_estimator(mixture, ax=ax)
        (legend,) = display.figure_.legends
        assert names_of_legend(legend)[:2] == ["component 0 (100%)", "mixture"]
        display.figure_.draw_without_rendering()
        beside = legend.get_window_extent()
        panels = [panel.get_window_extent() for panel in display.ax_.ravel()]
        # The panels stay about as wide as they are high.
        assert all(0.9 < box.width / box.height < 1.25 for box in panels)
        title = display.ax_[0, p // 2].title
        assert title.get_text() == "GaussianMixture: 1 component"
        place = title.get_window_extent()
        assert not any(box.overlaps(place) for box in [*panels, beside])
        assert not any(box.overlaps(beside) for box in panels)
        left, right = panels[0].x0, panels[-1].x1
        middle = (place.x0 + place.x1) / 2
        assert middle == pytest.approx((left + right) / 2, abs=0.03 * (right - left))


def test_a_grid_without_room_beside_it_has_a_title_and_no_legend():
    mixture = GaussianMixture.from_parameters(
        [1.0], [[0.0] * 3], np.ones(1), "spherical"
    )
    width, height = figure_size(3)
    roomy, narrow = (width, height), (height, height)
    figures = [Figure(roomy), Figure(narrow, layout="constrained")]
    given = [figure.add_subplot() for figure in figures]
    given.append(Figure((12, 4), layout="constrained").subplots(1, 2)[1])
    given.append(Figure(roomy, layout="constrained").add_axes((0.1, 0.1, 0.6, 0.6)))
    for ax in given:
        display = MixtureDisplay.from_estimator(mixture, ax=ax)
        assert not display.figure_.legends
        display.figure_.draw_without_rendering()
        title = display.ax_[0, 1].title
        assert title.get_text() == "GaussianMixture: 1 component"
        panels = [panel.get_window_extent() for panel in display.ax_.ravel()]
        assert not any(box.overlaps(title.get_window_extent()) for box in panels)
    display = MixtureDisplay.from_estimator(mixture, show_legend=False)
    assert not display.figure_.legends
    assert display.figure_.get_size_inches().tolist() == [height, height]


@pytest.mark.parametrize("given", [[-1, 0, 1], ["b", "a", "b"]])
def test_given_labels_colour_the_rows(faithful, given, ax):
    labels = np.resize(given, len(X))
    display = MixtureDisplay.from_estimator(faithful, X, labels=labels, ax=ax)
    codes = np.unique(labels, return_inverse=True)[1] - (given[0] == -1)
    np.testing.assert_array_equal(display.labels, codes)
    colors = [c.get_facecolor()[0, :3].tolist() for c in display.points_]
    expected = [mpl.colors.to_rgb(point_style(k).color) for k in np.unique(codes)]
    assert colors == [list(color) for color in expected]
    names = names_of_legend(ax.get_legend())[2:]
    assert names[: len(expected)] == (
        ["unlabelled", "label 0", "label 1"] if given[0] == -1 else ["a", "b"]
    )


@pytest.mark.parametrize("features", [(0, 1), (0, 1, 0)])
@pytest.mark.parametrize("kind", ["density", "boundaries"])
def test_components_have_no_colour_of_a_label(features, kind):
    figure = Figure((9, 6), layout="constrained")
    mixture = GaussianMixture.from_parameters(
        [0.4, 0.6], X[[0, 1]][:, features], np.ones((2, len(features))), "diag"
    )
    labels = np.arange(len(X)) % 2
    display = MixtureDisplay.from_estimator(
        mixture, X[:, features], labels=labels, kind=kind, ax=figure.add_subplot()
    )
    panels = np.ravel(display.ax_)
    numbers = [text.get_color() for ax in panels for text in ax.texts]
    lines = [line.get_color() for line in display.lines_]
    drawn = [each.get_edgecolor() for each in display.ellipses_] + numbers + lines
    legend = panels[0].get_legend() or figure.legends[0]
    drawn += [line.get_color() for line in legend.get_lines()[:2]]
    grey = np.array([mpl.colors.to_rgb(color) for color in drawn])
    assert len(grey) > 4
    np.testing.assert_array_equal(grey, grey[:, :1].repeat(3, axis=1))


def test_labels_that_one_feature_cannot_show_take_no_colour(faithful, ax):
    labels = np.arange(len(X)) % 2
    display = MixtureDisplay.from_estimator(
        faithful, X, labels=labels, features=0, ax=ax
    )
    colors = [line.get_color() for line in display.lines_[:2]]
    assert colors == [point_style(k).color for k in (0, 1)]


def test_uncertainty_is_shaded_and_gives_points_their_area(faithful, ax):
    display = MixtureDisplay.from_estimator(faithful, X, kind="uncertainty", ax=ax)
    uncertainty = 1 - faithful.predict_proba(X).max(axis=1)
    np.testing.assert_allclose(display.uncertainty, uncertainty)
    sizes = np.concatenate([c.get_sizes() for c in display.points_])
    order = np.concatenate([np.flatnonzero(display.labels == k) for k in (0, 1)])
    # Most areas are the least one, up to rounding of the uncertainty.
    ranks = np.argsort(uncertainty[order])
    assert (np.diff(sizes[ranks]) >= -1e-9).all()
    assert sizes.max() > 5 * sizes.min()
    assert display.levels_ == []
    (shades,) = (c for c in ax.collections if hasattr(c, "levels"))
    # Up to a half, for two components.
    assert shades.levels[-1] == 0.5
    other = MixtureDisplay.from_estimator(
        faithful, X, features=0, kind="uncertainty", ax=Figure().add_subplot()
    )
    (curve,) = other.lines_
    part = marginal(faithful, [0])
    expected = 1 - part.predict_proba(curve.get_xdata()[:, None]).max(axis=1)
    np.testing.assert_allclose(curve.get_ydata(), expected)
    assert other.ax_.get_ylabel() == "uncertainty"
    assert expected.max() > 0.45


def test_boundaries_are_where_two_components_are_as_probable(faithful, ax):
    display = MixtureDisplay.from_estimator(faithful, kind="boundaries", ax=ax)
    lines = [c for c in ax.collections if hasattr(c, "levels")]
    # One for each component, in the same place.
    assert len(lines) == 2
    points = np.concatenate([path.vertices for c in lines for path in c.get_paths()])
    proba = faithful.predict_proba(points)
    # Linear interpolation on a fine grid.
    np.testing.assert_allclose(proba[:, 0], 0.5, atol=0.05)
    assert len(display.ellipses_) == 4
    line = MixtureDisplay.from_estimator(
        faithful, features=0, kind="boundaries", ax=Figure().add_subplot()
    )
    bounds = [
        each.get_xdata()[0]
        for each in line.ax_.lines
        if each not in line.lines_ and len(each.get_xdata()) == 2
    ]
    # The wider component is also the more probable one on the other, far side.
    proba = marginal(faithful, [0]).predict_proba(np.array(bounds)[:, None])
    np.testing.assert_allclose(proba[:, 0], 0.5, atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uncertainty", "boundaries"])
@pytest.mark.parametrize("K", [1, 3])
def test_all_kinds_are_drawn_of_any_number_of_features(kind, K, rng):
    data = rng.normal(size=(60, 3))
    mixture = GaussianMixture(K, random_state=0).fit(data)
    for features in (0, (0, 1), None):
        figure = Figure((3, 3), dpi=40)
        MixtureDisplay.from_estimator(
            mixture, data, features=features, kind=kind, ax=figure.add_subplot()
        )
        figure.draw_without_rendering()


# Manners


def test_pyplot_makes_a_figure_only_without_axes(faithful, ax):
    plt = pytest.importorskip("matplotlib.pyplot")
    before, parameters = plt.get_fignums(), mpl.rcParams.copy()
    MixtureDisplay.from_estimator(faithful, X, ax=ax)
    assert plt.get_fignums() == before
    display = MixtureDisplay.from_estimator(faithful, X)
    assert plt.get_fignums() == [*before, display.figure_.number]
    assert mpl.rcParams == parameters


def test_plot_draws_again(faithful, ax):
    display = MixtureDisplay.from_estimator(faithful, X, ax=ax)
    other = Figure().add_subplot()
    assert display.plot(ax=other, standard_deviations=(1,), mass=(0.9,)) is display
    assert display.ax_ is other
    assert (len(display.ellipses_), len(display.levels_[0])) == (2, 1)


def test_missing_matplotlib_is_told(faithful, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = "MixtureDisplay.from_estimator requires matplotlib. You can install"
    with pytest.raises(ImportError, match=message):
        MixtureDisplay.from_estimator(faithful)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": (0, 0)}, "features should be distinct"),
        ({"features": (2,)}, r"integers in \[0, 1\], got 2"),
        ({"features": (0.5,)}, "got 0.5"),
        ({"features": ()}, "at least one feature"),
        ({"features": "waiting"}, "not in feature_names; there are 'x0', 'x1'$"),
        ({"feature_names": ["one"]}, "should have 2 names, got 1"),
        ({"sample_weight": np.ones(272)}, "sample_weight was given without X"),
        ({"X": X, "sample_weight": -np.ones(272)}, "Negative values"),
        ({"X": X[:, :1]}, "X has 1 features"),
        ({"mass": (0.5, 1.0)}, "mass should be a sequence"),
        ({"mass": ()}, "mass should be a sequence"),
        ({"standard_deviations": (0,)}, "standard_deviations should be a sequence"),
        ({"standard_deviations": 2}, "standard_deviations should be a sequence"),
        ({"standard_deviations": (np.inf,)}, "standard_deviations should be a seq"),
        ({"mass": 0.5}, "mass should be a sequence of numbers between 0 and 1"),
        ({"mass": ("a",)}, "mass should be a sequence of numbers between 0 and 1"),
        ({"labels": np.ones(272)}, "labels was given without X"),
        ({"X": X, "labels": np.ones(5)}, "inconsistent numbers of samples"),
        ({"kind": "classes"}, "kind should be one of"),
        ({"n_directions": 3}, "n_directions should be an integer from 1 to 2, got 3"),
        ({"n_directions": 1, "features": 0}, "either features or n_directions"),
        ({"max_points": -1}, "max_points should be a non-negative integer"),
        ({"max_points": 1.5}, "max_points should be a non-negative integer"),
    ],
)
def test_bad_input_is_refused(faithful, ax, arguments, message):
    with pytest.raises(ValueError, match=message):
        MixtureDisplay.from_estimator(faithful, ax=ax, **arguments)
    assert not ax.has_data()


def test_only_fitted_mixtures_are_drawn(ax):
    with pytest.raises(NotFittedError):
        MixtureDisplay.from_estimator(GaussianMixture(2), ax=ax)
    with pytest.raises(TypeError, match="but got LinearRegression, which has no"):
        MixtureDisplay.from_estimator(LinearRegression().fit(X, X[:, 0]), ax=ax)
    detector = MixtureOutlierDetector(1).fit(X)
    with pytest.raises(TypeError, match=r"'weights_'\. Take its `mixture_`\.$"):
        MixtureDisplay.from_estimator(detector, ax=ax)
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(1)).fit(X)
    with pytest.raises(TypeError, match="Take its last step, and rows"):
        MixtureDisplay.from_estimator(pipeline, X, ax=ax)
    table = MixtureModel(families="bernoulli").fit([[0], [1]])
    with pytest.raises(TypeError, match=r"'means_'\. TableDisplay draws mixtures of"):
        MixtureDisplay.from_estimator(table, ax=ax)


# Numbers that break pictures


EXTREMES = {
    "shift": X + 1e8,
    "large shift": X + 1e15,
    "small": X * 1e-160,
    "large": X * 1e150,
    "smallest": X * 1e-310,
    "largest": X * (1e308 / X.max()),
    "of both signs": (X - X.mean(axis=0)) * (1e308 / X.max()),
    "mixed": X * [1e-100, 1e100],
    "outliers": np.vstack([X, [1e160, -1e160]]),
    "constant column": np.c_[X[:, 0], np.ones(len(X))],
    "constant": np.full((30, 2), 1e16),
    "duplicates": np.repeat(X[:4], 50, axis=0),
    "collinear": np.c_[X[:, 0], 2 * X[:, 0]],
    "integer": X.astype(int),
    "boolean": X > X.mean(axis=0),
    "float32": X.astype(np.float32),
    "rounded away": 1e8 + 1e-7 * np.random.default_rng(0).normal(size=(50, 2)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::skem.exceptions.DegenerateComponentsWarning")
def test_any_finite_data_are_drawn(name):
    data = EXTREMES[name]
    mixture = GaussianMixture(2, random_state=0, max_iter=20).fit(data)
    for features, given in ((None, data), (None, None), (0, data)):
        figure = Figure((2, 2), dpi=40)
        MixtureDisplay.from_estimator(
            mixture, given, features=features, ax=figure.add_subplot()
        )
        figure.draw_without_rendering()
        (ax,) = figure.axes
        assert np.isfinite([*ax.get_xlim(), *ax.get_ylim()]).all()


def test_narrow_data_far_from_zero_fill_the_view(ax):
    # Seconds since 1970, within one minute.
    x = 1.7e9 + np.linspace(0, 60, 100)[:, None]
    MixtureDisplay.from_estimator(GaussianMixture(1).fit(x), x, ax=ax)
    low, high = ax.get_xlim()
    assert high - low < 3 * 60


def test_bins_beside_the_data_are_empty(faithful, ax):
    display = MixtureDisplay.from_estimator(
        faithful, X, features=0, bins=[100.0, 200.0], ax=ax
    )
    ((heights, _),) = display.histograms
    np.testing.assert_array_equal(heights, [0.0])


def test_dask_data_are_drawn_as_others(faithful, ax):
    da = pytest.importorskip("dask.array")
    chunks = da.from_array(X, chunks=100)
    display = MixtureDisplay.from_estimator(faithful, chunks, ax=ax)
    np.testing.assert_array_equal(display.X, X)
    np.testing.assert_array_equal(display.labels, faithful.predict(X))


def test_long_names_and_numbers_of_a_grid_do_not_cover_each_other():
    names = [f"{word} value of all houses in dollars" for word in ("first", "other")]
    names.append("anunusuallylongwordforthename" * 2)
    means = np.array([[0.0, 1e-5, 1.7e9], [3.0, 4e-5, 1.7e9 + 5]])
    mixture = GaussianMixture.from_parameters(
        [0.5, 0.5], means, np.tile([1.0, 1e-10, 1.0], (2, 1)), "diag"
    )
    figure = Figure((4.5, 4.5), layout="constrained")
    MixtureDisplay.from_estimator(mixture, feature_names=names, ax=figure.add_subplot())
    figure.draw_without_rendering()
    axes = np.array(figure.axes[1:]).reshape(3, 3)
    texts = []
    for ax in axes[-1]:
        low, high = ax.get_xlim()
        # Those beyond the view are not drawn.
        ticks = [t for t in ax.get_xticklabels() if low <= t.get_position()[0] <= high]
        texts += [ax.xaxis.label, ax.xaxis.get_offset_text(), *ticks]
    for ax in axes[:, 0]:
        texts += [ax.yaxis.label, ax.yaxis.get_offset_text()]
    shown = [text for text in texts if text.get_text()]
    boxes = [text.get_window_extent() for text in shown]
    for i, first in enumerate(shown):
        for j in range(i):
            apart = not boxes[i].overlaps(boxes[j])
            assert apart, (first.get_text(), shown[j].get_text())


def test_formulas_are_not_broken():
    name = r"$\frac{\mathrm{one\ long\ numerator}}{\mathrm{one\ long\ denominator}}$"
    display = MixtureDisplay.from_estimator(
        GaussianMixture.from_parameters([1.0], [[0.0] * 3], np.ones(1), "spherical"),
        feature_names=[name] * 3,
        ax=Figure((2, 2)).add_subplot(),
    )
    assert display.ax_[2, 0].get_xlabel() == name


@pytest.mark.parametrize("features", [0, [0, 1]])
@pytest.mark.parametrize("given", [True, False])
def test_logarithmic_axes_had_hidden_rows(ax, features, given):
    # Three standard deviations about the means reach below zero.
    rows = np.random.default_rng(0).lognormal(sigma=0.7, size=(200, 2))
    mixture = GaussianMixture.from_parameters([1.0], [[1.0, 1.0]], [[[1, 0], [0, 1.0]]])
    ax.set_xscale("log")
    ax.set_yscale("log")
    MixtureDisplay.from_estimator(
        mixture, rows if given else None, features=features, ax=ax
    )
    low, high = ax.get_xlim()
    assert 0 < low <= (rows[:, 0].min() if given else 1.0)
    assert high >= (rows[:, 0].max() if given else 3.0)
    low, high = ax.get_ylim()
    if features == 0:
        # Six decades of the density.
        peak = stats.norm.pdf(0)
        np.testing.assert_allclose([low, high], [peak / 1e6, 2 * peak], rtol=1e-3)
    else:
        assert 0 < low < 1 < high
