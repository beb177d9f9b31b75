"""Distribution functions of families, and quantiles of mixtures of one column."""

import numpy as np
import pytest
from scipy import stats

from skem import Family, GaussianMixture, MixtureModel
from skem.families.registry import FAMILIES

X = np.array([-np.inf, -1e308, -3, -1e-300, 0, 0.3, 1, 1.5, 2, 7, 1e5, 1e308, np.inf])
POISSON = stats.poisson(2.2)
LAWS = {
    "gaussian": ({"mean": 1.0, "standard_deviation": 2.0}, stats.norm(1, 2).cdf),
    "student": ({"location": 1.0, "scale": 2.0, "df": 3.0}, stats.t(3, 1, 2).cdf),
    "lognormal": (
        {"mean": 0.1, "standard_deviation": 1.2},
        stats.lognorm(1.2, scale=np.exp(0.1)).cdf,
    ),
    "exponential": ({"mean": 3.0}, stats.expon(scale=3).cdf),
    "gamma": ({"shape": 2.5, "mean": 3.0}, stats.gamma(2.5, scale=1.2).cdf),
    "poisson": ({"rate": 2.2}, POISSON.cdf),
    "negative_binomial": (
        {"mean": 2.2, "size": 1.7},
        stats.nbinom(1.7, 1.7 / 3.9).cdf,
    ),
}


def positive_poisson(x):
    return np.where(x < 1, 0, (POISSON.cdf(x) - POISSON.pmf(0)) / POISSON.sf(0))


HURDLES = {
    "hurdle_lognormal": LAWS["lognormal"],
    "hurdle_gamma": LAWS["gamma"],
    "hurdle_poisson": (LAWS["poisson"][0], positive_poisson),
}
FAMILIES_OF_NUMBERS = [*LAWS, *HURDLES]


@pytest.mark.parametrize("name", LAWS)
def test_they_are_those_of_scipy(name):
    laws, cdf = LAWS[name]
    laws = {key: np.array([value]) for key, value in laws.items()}
    np.testing.assert_allclose(FAMILIES[name]().cdf(laws, X)[0], cdf(X), atol=1e-15)


@pytest.mark.parametrize("name", HURDLES)
def test_those_of_hurdles_jump_at_zero(name):
    laws, cdf = HURDLES[name]
    laws = {key: np.array([value]) for key, value in laws.items()}
    laws["zero_probability"] = np.array([0.3])
    expected = np.where(X < 0, 0.0, 0.3 + 0.7 * cdf(X))
    np.testing.assert_allclose(FAMILIES[name]().cdf(laws, X)[0], expected, atol=1e-15)


def test_counts_of_a_tiny_rate_that_are_positive_are_one():
    laws = {"rate": np.array([1e-300]), "zero_probability": np.array([0.5])}
    found = FAMILIES["hurdle_poisson"]().cdf(laws, np.array([0.0, 1.0]))
    np.testing.assert_allclose(found, [[0.5, 1.0]])


def test_a_gamma_of_small_shape_has_mass_next_to_zero():
    """It had been none below 1e-308 of the mean: F is x^a / Γ(a + 1) there."""
    laws = {"shape": np.array([0.003]), "mean": np.array([3e197])}
    found = FAMILIES["gamma"]().cdf(laws, np.array([0, 1e-300, 1e-100, 1e180]))
    expected = [0, np.exp(-0.003 * 500 * np.log(10)), np.exp(-0.9 * np.log(10))]
    np.testing.assert_allclose(found[0, :3], expected, rtol=0.002)
    assert found[0, 3] == pytest.approx(stats.gamma(0.003, scale=1e200).cdf(1e180))


@pytest.mark.parametrize(
    ("family", "lowest"),
    [("student", -np.inf), ("lognormal", 0), ("hurdle_lognormal", 0)],
)
def test_quantiles_beyond_what_numbers_there_are_are_infinite(family, lowest):
    rng = np.random.default_rng(0)
    x = 10.0 ** rng.uniform(-200, 200, 30)
    if family == "student":
        x = 1e300 * rng.standard_cauchy(50) ** 3
    mixture = MixtureModel(families=family).fit(x[:, None])
    found = mixture.quantile([1e-12, 1 - 1e-12])
    assert found[0] == pytest.approx(lowest, abs=5e-324)
    assert found[1] == np.inf


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n, z = 600, np.repeat([0, 1], 300)
    some = rng.random(n) < 0.7
    return {
        "gaussian": rng.normal(3 * z, 1),
        "student": rng.standard_t(3, n) + z,
        "lognormal": rng.lognormal(z, 0.5),
        "exponential": rng.exponential(1 + z),
        "gamma": rng.gamma(2, 1 + z),
        "poisson": rng.poisson(2 + 5 * z),
        "negative_binomial": rng.negative_binomial(2, 0.3, n),
        "hurdle_lognormal": some * rng.lognormal(z, 0.5),
        "hurdle_gamma": some * rng.gamma(2, 1 + z),
        "hurdle_poisson": some * (1 + rng.poisson(3, n)),
    }


@pytest.fixture(scope="module")
def mixture(table):
    values = np.column_stack([table[name] for name in FAMILIES_OF_NUMBERS])
    families = {j: name for j, name in enumerate(FAMILIES_OF_NUMBERS)}
    return MixtureModel(2, families=families, random_state=0, tol=0.1).fit(values)


@pytest.mark.parametrize("j", range(len(FAMILIES_OF_NUMBERS)))
def test_quantiles_are_the_least_numbers_that_reach_their_probability(mixture, j):
    own = mixture.marginal(j)
    q = np.array([1e-9, 0.01, 0.25, 0.5, 0.9, 0.999, 1 - 1e-9])
    x = own.quantile(q)
    assert (own.cdf(x) >= q).all()
    assert (own.cdf(np.nextafter(x, -np.inf)) < q).all()
    drawn = np.ravel(own.sample(20_000, random_state=0)[0])
    np.testing.assert_allclose(
        own.cdf(x), (drawn[:, None] <= x).mean(axis=0), atol=0.02
    )
    low, high = own.quantile([0, 1])
    assert low == (-np.inf if FAMILIES_OF_NUMBERS[j] in ("gaussian", "student") else 0)
    assert high == np.inf
    assert own.cdf(high) == 1


def test_they_are_those_of_a_gaussian_mixture(mixture):
    laws = mixture.parameters_["x0"]
    gaussian = GaussianMixture.from_parameters(
        mixture.weights_,
        laws["mean"][:, None],
        laws["standard_deviation"] ** 2,
        covariance_type="spherical",
    )
    own, q = mixture.marginal(0), np.array([[0.001, 0.3], [0.5, 0.999]])
    np.testing.assert_allclose(own.quantile(q), gaussian.quantile(q), rtol=1e-12)
    np.testing.assert_allclose(own.cdf(1.5), gaussian.cdf(1.5), rtol=1e-14)
    assert isinstance(own.cdf(1.5), float) and isinstance(own.quantile(0.5), float)


def test_what_is_not_on_a_line_is_refused(mixture):
    with pytest.raises(ValueError, match="of one column, and this one has 10"):
        mixture.cdf(0.0)
    with pytest.raises(ValueError, match="of one column, and this one has 10"):
        mixture.quantile(0.5)
    answers = MixtureModel(families="bernoulli").fit([[0], [1], [1]])
    with pytest.raises(ValueError, match="cdf is of numbers, and column 'x0' has cat"):
        answers.cdf(0.0)
    with pytest.raises(ValueError, match="quantile is of numbers"):
        answers.quantile(0.5)
    with pytest.raises(ValueError, match=r"q should be in the range \[0, 1\]"):
        mixture.marginal(0).quantile(1.5)


def test_a_family_of_ones_own_without_one_is_told(mixture):
    class Nameless(FAMILIES["poisson"]):
        name = "nameless"
        cdf = Family.cdf

    model = MixtureModel(families=[(Nameless(), [0])]).fit([[1], [2], [5]])
    with pytest.raises(NotImplementedError, match="'nameless' has no distribution"):
        model.cdf(1)
