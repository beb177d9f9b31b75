"""Probabilities of large counts, beside exact ones and those of their limits."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy import stats

from skem import MixtureModel
from skem.families.saddle_point import deviance, stirling

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494")
BERNOULLI = ((1, 12), (-1, 360), (1, 1260), (-1, 1680), (1, 1188), (-691, 360360))


def log_gamma(z):
    """Return log Γ(z) with twenty digits, from Stirling's series beyond 60."""
    below = Decimal(1)
    while z < 60:
        below *= z
        z += 1
    series = sum(
        Decimal(a) / (b * z ** (2 * i + 1)) for i, (a, b) in enumerate(BERNOULLI)
    )
    return (z - Decimal("0.5")) * z.ln() - z + (2 * PI).ln() / 2 + series - below.ln()


def exact_poisson(x, rate):
    x, rate = Decimal(x), Decimal(rate)
    return float(x * rate.ln() - rate - log_gamma(x + 1))


def exact_negative_binomial(x, mean, size):
    x, mean, size = Decimal(x), Decimal(mean), Decimal(size)
    found = log_gamma(x + size) - log_gamma(size) - log_gamma(x + 1)
    found += size * (size / (size + mean)).ln() + x * (mean / (size + mean)).ln()
    return float(found)


@pytest.fixture(autouse=True)
def digits():
    with localcontext() as context:
        context.prec = 40
        yield


def test_stirling_is_exact_for_whole_numbers():
    x = np.array([0, 1, 2, 3, 10, 15, 16, 17, 30, 100])
    factorials = [math.lgamma(n + 1) for n in x[:3]]
    factorials += [float(Decimal(math.factorial(n)).ln()) for n in x[3:]]
    expected = factorials + x - x * np.log(np.maximum(x, 1))
    np.testing.assert_allclose(stirling(x), expected, atol=2e-13)


def test_deviance_has_its_limits():
    x = np.array([0.0, 5.0, 5.0, 1e15, 7.0])
    mean = np.array([3.0, 5.0, 5e-300, 1e15 + 1e7, 7.5])
    expected = [3, 0, 5 * (np.log(5) - np.log(5e-300)) - 5, 0.05, None]
    expected[-1] = 7 * np.log(7 / 7.5) + 0.5
    np.testing.assert_allclose(deviance(x, mean), expected, rtol=1e-7)


def one_component(family, C):
    model = MixtureModel(1, families=family, random_state=0).fit(C)
    return model, {name: v[0] for name, v in model.parameters_["x0"].items()}


@pytest.mark.parametrize("scale", [1, 1e3, 1e6, 1e10, 1e14])
def test_negative_binomial_of_large_counts(scale):
    rng = np.random.default_rng(0)
    C = np.floor(rng.negative_binomial(5, 0.2, size=(20, 1)) * float(scale))
    model, law = one_component("negative_binomial", C)
    expected = [exact_negative_binomial(x, **law) for x in C[:, 0].tolist()]
    np.testing.assert_allclose(model.score_samples(C), expected, atol=1e-9)
    assert model.lower_bound_ == pytest.approx(np.mean(expected), abs=1e-9)


def test_negative_binomial_of_large_counts_is_near_its_gamma_limit():
    rng = np.random.default_rng(0)
    C = np.floor(rng.poisson([30], size=(40, 1)) * 1e14)
    model, law = one_component("negative_binomial", C)
    limit = stats.gamma(law["size"], scale=law["mean"] / law["size"]).logpdf(C).mean()
    assert model.lower_bound_ == pytest.approx(limit, abs=1e-8)
    assert model.score(C) == pytest.approx(limit, abs=1e-8)
    price = 2 * np.log(len(C))
    assert model.bic(C) == pytest.approx(-2 * len(C) * limit + price, abs=1e-6)


@pytest.mark.parametrize("rate", [3.0, 1e3, 1e6, 1.1e6, 1e10, 1e14])
def test_poisson_of_large_counts(rate):
    C = np.random.default_rng(0).poisson(rate, (20, 1)).astype(float)
    model, law = one_component("poisson", C)
    expected = [exact_poisson(x, **law) for x in C[:, 0].tolist()]
    np.testing.assert_allclose(model.score_samples(C), expected, atol=1e-8)
    assert model.lower_bound_ == pytest.approx(np.mean(expected), abs=1e-8)


def test_poisson_components_of_large_counts_are_told_apart():
    rng = np.random.default_rng(0)
    C = np.concatenate([rng.poisson(1e14, 40), rng.poisson(1e14 + 1e8, 40)])
    C = np.append(C.astype(float), np.nan)[:, None]
    model = MixtureModel(2, families="poisson", random_state=0).fit(C)
    assert model.degenerate_components_.tolist() == []
    labels = model.predict(C)[:-1]
    assert len(set(labels[:40])) == len(set(labels[40:])) == 1
    assert labels[0] != labels[-1]
    assert model.score_samples(C)[-1] == pytest.approx(0, abs=1e-12)
    # A row of large counts does not change what the others have.
    moderate = np.array([[3.0], [10.0]])
    model = MixtureModel(1, families="poisson", random_state=0).fit(moderate)
    alone = model.score_samples(moderate)
    both = model.score_samples(np.vstack([moderate, [[2.0**40]]]))[:2]
    np.testing.assert_allclose(both, alone, rtol=1e-12)


@pytest.mark.parametrize("family", ["poisson", "negative_binomial"])
def test_draws_of_the_largest_counts_are_counts(family):
    """A mixture had drawn counts that it refused to score."""
    X = np.where(np.arange(40) % 2, 2.0**53, 0.0)[:, None]
    model = MixtureModel(2, families=family, random_state=0).fit(X)
    drawn, _ = model.sample(50, random_state=0)
    assert drawn.max() <= 2.0**53
    assert np.isfinite(model.score_samples(drawn)).all()
