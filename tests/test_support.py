"""Mass below a level of the density, against integrals and draws."""

import gc
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from sklearn.base import clone

from skem import GaussianMixture
from skem._fitted import kept as _kept
from skem._fitted import regions as regions
from skem.core.gaussian.covariance import STRUCTURES

pytestmark = pytest.mark.usefixtures("short_search")


def line(weights, means, sd):
    return GaussianMixture.from_parameters(
        weights, np.reshape(means, (-1, 1)), np.square(sd), "spherical"
    )


LINES = {
    "apart": line([0.3, 0.7], [-5.0, 5.0], [1.0, 2.0]),
    "one mode": line([0.5, 0.5], [-0.9, 0.9], [1.0, 1.0]),
    "on the verge of two modes": line([0.5, 0.5], [-1.0, 1.0], [1.0, 1.0]),
    "hidden": line([0.99, 0.01], [0.0, 0.3], [1.0, 0.01]),
    "equal": line([0.5, 0.5], [1.0, 1.0], [2.0, 2.0]),
    "nested": line([0.4, 0.6], [0.0, 0.0], [1.0, 30.0]),
    "many": line(
        np.full(8, 1 / 8), [-9, -8, -3, 0, 0.5, 4, 4.5, 20], [1, 2, 0.3, 1, 4, 1, 1, 3]
    ),
}


@pytest.fixture(params=LINES.values(), ids=LINES)
def univariate(request):
    return request.param


@pytest.fixture
def mixture(structure, make_mixture):
    made = make_mixture(structure, 3, 2)
    weights, means = made.parameters.weights, made.parameters.means
    return GaussianMixture.from_parameters(
        weights, means, made.covariances, structure.name, random_state=0
    )


def assert_uniform(values):
    """Not refuted at 1 in 1000, with the seed given."""
    assert stats.kstest(values, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("d", [1, 2, 7])
def test_one_component_is_chi_squared(d, structure, make_mixture):
    made = make_mixture(structure, 1, d)
    mixture = GaussianMixture.from_parameters(
        [1.0], made.parameters.means, made.covariances, structure.name
    )
    X, _ = mixture.sample(50, random_state=0)
    offset = X - mixture.means_
    squared = np.einsum("ni,ij,nj->n", offset, np.linalg.inv(made.dense[0]), offset)
    np.testing.assert_allclose(
        mixture.support_probability(X), stats.chi2.sf(squared, d), rtol=1e-9
    )
    peak = mixture.score_samples(mixture.means_)[0]
    level = peak - stats.chi2.ppf(0.9, d) / 2
    np.testing.assert_allclose(mixture.hdr_level(0.9), level, rtol=1e-10)


def test_components_of_no_weight_are_left_out():
    mixture = GaussianMixture.from_parameters(
        [1.0, 0.0], np.zeros((2, 2)), np.stack([np.eye(2), 9 * np.eye(2)])
    )
    expected = stats.chi2.sf(4.0, 2)
    np.testing.assert_allclose(mixture.support_probability([[2.0, 0.0]]), expected)


def test_univariate_mixtures_are_integrated_exactly(univariate):
    X, _ = univariate.sample(40, random_state=0)
    found = univariate.support_probability(X)
    levels = univariate.score_samples(X)
    # A sum over a fine grid is wrong by some cells: one at each root of p(t) = level.
    t, width = np.linspace(X.min() - 60, X.max() + 60, 400_001, retstep=True)
    log_density = univariate.score_samples(t[:, None])
    order = np.argsort(log_density)
    mass = np.cumsum(np.exp(log_density[order])) * width
    below = np.searchsorted(log_density[order], levels, side="right")
    expected = np.concatenate([[0.0], mass])[below]
    cell = width * np.exp(log_density.max())
    np.testing.assert_allclose(found, expected, atol=20 * cell)


def test_roots_at_known_places_give_known_masses():
    mixture = line([0.5, 0.5], [-40.0, 40.0], [1.0, 1.0])
    # Apart, each component is the standard normal: tails of both sides of both.
    z = np.array([0.5, 1.0, 3.0, 8.0])
    expected = 2 * stats.norm.sf(z)
    found = mixture.support_probability(40 + z[:, None])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.each_value
@pytest.mark.parametrize("prob", [1e-3, 0.3, 0.5, 0.9, 0.999])
def test_region_of_the_level_has_the_mass(prob, univariate):
    level = univariate.hdr_level(prob)
    samples = univariate.score_samples(univariate.sample(100_000, random_state=1)[0])
    # Four standard errors of a share of 100 000 draws.
    error = 4 * np.sqrt(prob * (1 - prob) / 100_000)
    assert abs((samples >= level).mean() - prob) <= error


@pytest.mark.slow
def test_level_and_probability_agree(univariate):
    X, _ = univariate.sample(5, random_state=0)
    levels = univariate.score_samples(X)
    prob = univariate.support_probability(X)
    found = [univariate.hdr_level(1 - p) for p in prob]
    # Near a level at which the mass hardly rises, that is as far as it determines it.
    np.testing.assert_allclose(found, levels, atol=1e-7)


def test_own_draws_are_uniform(univariate):
    X, _ = univariate.sample(2000, random_state=0)
    assert_uniform(univariate.support_probability(X))


def test_draws_of_multivariate_mixtures_are_uniform(mixture):
    X, _ = mixture.sample(2000, random_state=1)
    prob = mixture.support_probability(X)
    assert_uniform(prob)
    level = mixture.hdr_level(0.9)
    # Four standard errors of the share in 2000 draws.
    assert abs((mixture.score_samples(X) >= level).mean() - 0.9) <= 0.027


def test_seeds_and_numbers_of_draws(mixture):
    X, _ = mixture.sample(100, random_state=5)
    first = mixture.support_probability(X, n_samples=1000, random_state=3)
    again = mixture.support_probability(X, n_samples=1000, random_state=3)
    other = mixture.support_probability(X, n_samples=1000, random_state=4)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first >= 1 / 1001).all()
    np.testing.assert_allclose(first * 1001, np.round(first * 1001), rtol=1e-12)
    # Five standard errors of both.
    assert np.abs(first - other).max() <= 5 * 0.5 * np.sqrt(2 / 1000)


def count_draws(mixture, monkeypatch):
    """Return a list that grows by the rows of each draw."""
    drawn, draw = [], regions.draw

    def counted(weights, means, color, n_samples, rng):
        drawn.append(n_samples)
        return draw(weights, means, color, n_samples, rng)

    monkeypatch.setattr(regions, "draw", counted)
    return drawn


def test_draws_are_made_once(mixture, monkeypatch):
    drawn = count_draws(mixture, monkeypatch)
    X = mixture.means_
    first = mixture.support_probability(X, n_samples=1000, random_state=3)
    rows = [
        mixture.support_probability(X[[k]], n_samples=1000, random_state=3)[0]
        for k in range(len(X))
    ]
    mixture.hdr_level(0.9, n_samples=1000, random_state=3)
    np.testing.assert_array_equal(rows, first)
    assert drawn == [1000]
    mixture.support_probability(X, n_samples=1000, random_state=4)
    mixture.support_probability(X, n_samples=999, random_state=4)
    assert drawn == [1000, 1000, 999]


@pytest.mark.each_pair
@pytest.mark.parametrize("name", ["weights_", "means_", "precisions_cholesky_"])
@pytest.mark.parametrize("in_place", [True, False])
def test_edited_parameters_are_noticed(name, in_place, mixture):
    X, _ = mixture.sample(50, random_state=1)
    before = mixture.support_probability(X, n_samples=1000)
    edited = getattr(mixture, name) * 2
    if name == "weights_":
        edited = mixture.weights_[[1, 2, 0]]
    if in_place:
        getattr(mixture, name)[...] = edited
    else:
        setattr(mixture, name, edited)
    after = mixture.support_probability(X, n_samples=1000)
    fresh = clone(mixture)
    fresh.__dict__.update(vars(mixture))
    np.testing.assert_array_equal(fresh.support_probability(X, n_samples=1000), after)
    assert (before != after).any()


@pytest.mark.parametrize("seed", [None, np.random.RandomState(0)])
def test_generators_give_new_draws(seed, mixture):
    mixture.set_params(random_state=None)
    X, _ = mixture.sample(50, random_state=1)
    first = mixture.support_probability(X, n_samples=1000, random_state=seed)
    second = mixture.support_probability(X, n_samples=1000, random_state=seed)
    assert (first != second).any()


@pytest.mark.parametrize("structure", [STRUCTURES["full"]], ids=["full"])
def test_draws_are_not_pickled_and_do_not_outlive_the_mixture(mixture):
    size = len(pickle.dumps(mixture))
    mixture.support_probability(mixture.means_)
    assert len(pickle.dumps(mixture)) == size
    other = GaussianMixture.from_parameters(
        mixture.weights_,
        mixture.means_,
        mixture.covariances_,
        mixture.covariance_type,
        random_state=0,
    )
    gc.collect()
    before = len(_kept._kept)
    other.support_probability(mixture.means_, n_samples=10)
    assert len(_kept._kept) == before + 1
    del other
    gc.collect()
    assert len(_kept._kept) == before


def test_draws_in_parts_are_as_many(mixture, monkeypatch):
    monkeypatch.setattr("skem._fitted.regions.SAMPLED_VALUES", 64)
    prob = mixture.support_probability(mixture.means_, n_samples=1000)
    counts = prob * 1001
    np.testing.assert_allclose(counts, np.round(counts), rtol=1e-12)


FAR = pytest.mark.parametrize("far", [2e3, 1e20, 1e160, 1.7e308])


@FAR
def test_far_rows_have_the_smallest_share_of_draws(far, mixture):
    near, _ = mixture.sample(50, random_state=0)
    prob = mixture.support_probability(np.vstack([near, [[far, far]]]), 1000)
    assert prob[-1] == 1 / 1001 == prob.min()


@pytest.mark.each_value
@FAR
def test_far_rows_have_no_mass_below_them(far, univariate):
    near, _ = univariate.sample(50, random_state=0)
    prob = univariate.support_probability(np.vstack([near, [[far]], [[-far]]]))
    assert prob[-2:].tolist() == [0, 0]
    assert (prob[:-2] > 0).all()


def test_shares_of_draws_rise_with_the_density(mixture):
    X = np.random.default_rng(0).uniform(-9, 9, (500, 2))
    order = np.argsort(mixture.score_samples(X))
    assert (np.diff(mixture.support_probability(X)[order]) >= 0).all()


def test_masses_rise_with_the_density(univariate):
    X = np.linspace(-30, 30, 5000)[:, None]
    order = np.argsort(univariate.score_samples(X))
    prob = univariate.support_probability(X)[order]
    # Roots are rounded one by one.
    assert (np.diff(prob) >= -1e-12).all()


@pytest.mark.each_value
@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1e8, 1e150])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_units_do_not_matter(scale, shift):
    mixture = line([0.3, 0.7], [-2.0, 0.5], [0.5, 1.0])
    other = line(
        [0.3, 0.7], scale * (np.array([-2.0, 0.5]) + shift), scale * np.array([0.5, 1])
    )
    X = np.linspace(-4, 4, 9)[:, None]
    # The shift rounds places to 1e-13, a level by as much.
    np.testing.assert_allclose(
        other.support_probability(scale * (X + shift)),
        mixture.support_probability(X),
        rtol=1e-9,
    )
    np.testing.assert_allclose(
        other.hdr_level(0.9) + np.log(scale), mixture.hdr_level(0.9), atol=1e-9
    )


@pytest.mark.parametrize(
    ("means", "sd"),
    [
        ([0.0, 1e140], [1.0, 1.0]),
        ([0.0, 1.0], [1e-140, 1.0]),
        ([1e8, 1e8 + 1], [1e-9, 1e-9]),
        ([0.0, 0.0], [1e-70, 1e70]),
        ([-1e140, 1e140], [1e-5, 1e20]),
    ],
)
def test_extreme_mixtures_have_probabilities(means, sd):
    mixture = line([0.5, 0.5], means, sd)
    X = np.array([*means, 0.0, 1.0, 1e160, -1e308])[:, None]
    prob = mixture.support_probability(X)
    assert ((prob >= 0) & (prob <= 1)).all()
    assert np.isfinite(mixture.hdr_level(0.5))


def test_fitted_to_data_and_other_types(rng):
    X = np.round(10 * rng.standard_normal((300, 1)))
    mixture = GaussianMixture(2, random_state=0).fit(X)
    prob = mixture.support_probability(X)
    np.testing.assert_array_equal(mixture.support_probability(X.astype(int)), prob)
    # Single precision: the log-density, of about 10, is rounded to 1e-6.
    single = mixture.support_probability(X.astype(np.float32))
    assert single.dtype == float
    np.testing.assert_allclose(single, prob, atol=2e-3)


@pytest.mark.parametrize("d", [1, 2])
def test_names_of_features_are_asked_for_of_the_rows_alone(d, rng):
    X = pd.DataFrame(rng.standard_normal((100, d))).rename(columns="x{}".format)
    mixture = GaussianMixture(2, random_state=0).fit(X)
    prob = mixture.support_probability(X, n_samples=100)
    mixture.hdr_level(0.9, n_samples=100)
    with pytest.warns(UserWarning, match="valid feature names") as warned:
        unnamed = mixture.support_probability(X.to_numpy(), n_samples=100)
    assert len(warned) == 1
    np.testing.assert_array_equal(unnamed, prob)


@pytest.mark.each_value
@pytest.mark.parametrize("prob", [0, 1, -0.1, 2, "all"])
def test_bad_masses_are_refused(prob, univariate):
    with pytest.raises(ValueError, match="'prob' parameter of GaussianMixture"):
        univariate.hdr_level(prob)


def test_bad_numbers_of_draws_are_refused(mixture):
    with pytest.raises(ValueError, match="at least one sample"):
        mixture.support_probability(mixture.means_, n_samples=0)
    with pytest.raises(ValueError, match="It should be a whole number"):
        mixture.hdr_level(0.5, n_samples=0.5)


def test_integral_of_the_density_over_the_region():
    mixture = LINES["nested"]
    level = mixture.hdr_level(0.8)
    t = np.linspace(-300, 300, 200_001)
    log_density = mixture.score_samples(t[:, None])
    inside = np.exp(log_density) * (log_density >= level)
    # A cell at each end of the region is in or out as a whole.
    cells = 2 * (t[1] - t[0]) * np.exp(level)
    np.testing.assert_allclose(integrate.trapezoid(inside, x=t), 0.8, atol=cells)


@pytest.mark.parametrize("d", [1, 2])
def test_probabilities_of_dask_arrays_are_lazy(d):
    da = pytest.importorskip("dask.array")
    mixture = GaussianMixture.from_parameters(
        [0.3, 0.7], np.arange(2.0 * d).reshape(2, d), [0.25, 1.0], "spherical"
    )
    X, _ = mixture.sample(50, random_state=0)
    lazy = mixture.support_probability(
        da.from_array(X, chunks=20), n_samples=200, random_state=0
    )
    assert isinstance(lazy, da.Array)
    np.testing.assert_allclose(
        lazy.compute(),
        mixture.support_probability(X, n_samples=200, random_state=0),
        rtol=1e-12,
    )


def test_means_at_both_ends_of_the_floating_point_range():
    mixture = GaussianMixture.from_parameters(
        [0.5, 0.5], [[-1.7e308], [1.7e308]], [1.0, 2.0], "spherical"
    )
    # The deviations are lost between neighbouring numbers, but nothing overflows.
    prob = mixture.support_probability([*mixture.means_, [0.0]])
    assert prob[0] == 1
    assert prob[2] == 0
    assert mixture.hdr_level(0.5) >= mixture.hdr_level(0.95)
