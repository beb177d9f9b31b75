"""Every family: densities beside scipy's, monotone steps, charts, sampling."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from sklearn.metrics import adjusted_rand_score

from skem import MixtureIC
from skem.core.blocks.threads import Workers
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.ties import Ties
from skem.families.family import Family
from skem.families.gaussian import Gaussian
from skem.families.model import Look, Seen
from skem.families.positive import lowered
from skem.families.product import Product
from skem.families.registry import FAMILIES
from skem.families.table_map import TableChart, TableMap

K, n = 3, 400
CONTINUOUS = ["gaussian", "student", "lognormal", "exponential", "gamma"]


def draws(name, rng, z):
    scale = np.array([1.0, 6.0, 25.0])[z]
    some = rng.random(len(z)) < 0.3 + 0.2 * z
    return {
        "gaussian": lambda: rng.normal(4 * z, 1 + z),
        "student": lambda: 8.0 * z + rng.standard_t(3, len(z)),
        "lognormal": lambda: np.exp(rng.normal(z, 0.3)),
        "exponential": lambda: rng.exponential(scale),
        "gamma": lambda: rng.gamma(2.0 + 3 * z, scale),
        "poisson": lambda: rng.poisson(scale).astype(float),
        "negative_binomial": lambda: rng.negative_binomial(
            2.5, 2.5 / (2.5 + scale)
        ).astype(float),
        "hurdle_lognormal": lambda: some * np.exp(rng.normal(z, 0.3)),
        "hurdle_gamma": lambda: some * rng.gamma(2.0 + 3 * z, scale),
        "hurdle_poisson": lambda: some * (1.0 + rng.poisson(scale / 2)),
        "bernoulli": lambda: (rng.random(len(z)) < 0.1 + 0.4 * z).astype(float),
        "categorical": lambda: (z + (rng.random(len(z)) < 0.3)).astype(float),
        "ordinal": lambda: (z + (rng.random(len(z)) < 0.3)).astype(float),
    }[name]()


def law_of(name, laws, k):
    """Law of component k by scipy, but for proportions."""
    law = {key: value[k] for key, value in laws.items()}
    if name == "hurdle_lognormal":
        return stats.lognorm(law["standard_deviation"], scale=np.exp(law["mean"]))
    if name in ("gaussian", "lognormal"):
        mean, sd = law["means"][0], law["standard_deviations"][0]
        if name == "gaussian":
            return stats.norm(mean, sd)
        return stats.lognorm(sd, scale=np.exp(mean))
    if name == "student":
        return stats.t(law["df"], law["location"], law["scale"])
    if name == "exponential":
        return stats.expon(scale=law["mean"])
    if name in ("gamma", "hurdle_gamma"):
        return stats.gamma(law["shape"], scale=law["mean"] / law["shape"])
    if name in ("poisson", "hurdle_poisson"):
        return stats.poisson(law["rate"])
    if name == "negative_binomial":
        size = law["size"]
        return stats.nbinom(size, size / (size + law["mean"]))
    if name == "bernoulli":
        return stats.bernoulli(law["probability"])
    proportions = law["proportions"]
    return stats.rv_discrete(values=(np.arange(len(proportions)), proportions))


def log_density(name, laws, k, x):
    """Log-density of component k by scipy."""
    law = law_of(name, laws, k)
    if name.startswith("hurdle"):
        zero = laws["zero_probability"][k]
        own = law.logpmf if name == "hurdle_poisson" else law.logpdf
        shift = np.log1p(-zero) - (law.logsf(0) if name == "hurdle_poisson" else 0.0)
        return np.where(x == 0, np.log(zero), shift + own(np.maximum(x, 1e-9)))
    return law.logpdf(x) if name in CONTINUOUS else law.logpmf(x)


def looked(name, values, epsilon=0.1):
    kind = Gaussian("diag") if name == "gaussian" else FAMILIES[name]()
    categories = int(np.nanmax(values)) + 1 if kind.categorical else 0
    return kind.look(
        Look(
            values=values,
            weight=np.ones(values.shape[1]),
            n_components=K,
            epsilon=epsilon,
            given=True,
            n_categories=categories,
        )
    )


@pytest.fixture(params=FAMILIES)
def name(request):
    return request.param


@pytest.fixture
def z(rng):
    return rng.integers(K, size=n)


@pytest.fixture(params=[False, True], ids=["complete", "gaps"])
def problem(request, name, rng, z):
    return problem_of(name, rng, z, gaps=request.param)


def problem_of(name, rng, z, *, gaps):
    """Return the map of one column, and a labelled start."""
    x = draws(name, rng, z)
    if gaps:
        x[rng.random(n) < 0.2] = np.nan
    model = looked(name, x[None]).as_points()
    product = Product((model,), (np.array([0]),)).of(x[None])
    em = TableMap(product, x[None], np.ones(n), Workers())
    resp = np.where(z == np.arange(K)[:, None], 0.8, 0.1)
    return em, em.labelled(resp)


def test_log_density_is_scipys(name, problem):
    em, point = problem
    model = em.product.models[0]
    laws = model.outward(point.laws[0])
    coefficients = em.product.coefficients(point)
    rows = em.block((0, n))
    found = em.product.logits(point, coefficients, rows) + em.product.base(em.values)
    seen = ~np.isnan(em.values[0])
    for k in range(K):
        expected = np.zeros(n)
        expected[seen] = log_density(name, laws, k, em.values[0, seen])
        expected += np.log(point.weights[k])
        np.testing.assert_allclose(found[k], expected, rtol=1e-9, atol=1e-9)


def test_own_logits_and_sums_are_those_of_coefficients(name, problem):
    em, point = problem
    model, laws = em.product.models[0], point.laws[0]
    found = model.coefficients(laws)
    if found is None:
        pytest.skip("there are no coefficients to compare with")
    rows = model.rows(em.values)
    expected = found[0] @ rows + found[1][:, None]
    np.testing.assert_allclose(model.logits(laws, rows), expected, atol=1e-9)
    resp = np.random.default_rng(0).dirichlet(np.ones(K), n).T
    counts = resp.sum(axis=1)
    own = model.maximise(Seen(model.sums(laws, rows, resp), counts, own=True), laws)
    linear = model.maximise(Seen(resp @ rows.T, counts), laws)
    for key, values in own.items():
        np.testing.assert_allclose(values, linear[key], rtol=1e-8, atol=1e-10)


@pytest.mark.each_value
def test_plain_steps_never_lower_the_objective_and_end_at_a_maximum(problem, climbing):
    em, point = problem
    here = climbing(em, point, 30)
    # At a fixed point no direction of the chart goes up by more than the steps left.
    chart = em.chart(here.parameters)
    rng = np.random.default_rng(1)
    size = len(chart.pack(here.parameters))
    for _ in range(5):
        step = 1e-3 * rng.normal(size=size)
        up, down = (
            em.evaluate(chart.unpack(sign * step)).objective for sign in (1, -1)
        )
        left = np.linalg.norm(chart.pack(here.successor)) * np.linalg.norm(step)
        assert abs(up - down) / 2 <= 1.5 * left + 1e-5


def test_chart_goes_there_and_back(problem):
    em, point = problem
    chart = TableChart(em.product, point, float(n))
    zero = chart.pack(point)
    np.testing.assert_allclose(zero, 0, atol=1e-9)
    other = em.evaluate(point).successor
    back = chart.unpack(chart.pack(other))
    np.testing.assert_allclose(back.weights, other.weights, rtol=1e-8)
    for key, values in other.laws[0].items():
        np.testing.assert_allclose(back.laws[0][key], values, rtol=1e-6, atol=1e-9)
    assert np.isfinite(chart.farthest(chart.pack(other)))


def test_free_parameters_are_counted(name, problem):
    em, point = problem
    laws = em.product.models[0].outward(point.laws[0])
    # Covariances are squares of standard deviations, and proportions sum to one.
    own = sum(np.size(laws[key][0]) for key in laws.keys() - {"covariances"})
    own -= "proportions" in laws
    assert em.product.n_free(K) == K - 1 + K * own


def test_complete_information_is_one_in_the_chart(name, rng):
    # As if labels were known: the objective falls by ½ step².
    if name in ("student", "negative_binomial"):
        pytest.skip("their complete data have more than labels")
    big = 4000
    x = draws(name, rng, np.full(big, 1))
    product = Product((looked(name, x[None], 1e-9).as_points(),), (np.array([0]),))
    em = TableMap(product.of(x[None]), x[None], np.ones(big), Workers())
    point = em.labelled(np.ones((1, big)))
    chart, top = em.chart(point), em.evaluate(point).objective
    for i in range(1, len(chart.pack(point))):
        step = np.zeros(len(chart.pack(point)))
        step[i] = 0.5
        if name in ("bernoulli", "categorical", "ordinal"):
            # Of what the constraint leaves.
            step = chart.pack(chart.unpack(step))
            if point.laws[0]["proportions"][0, i - 1] < 0.01:
                continue
        fall = top - em.evaluate(chart.unpack(step)).objective
        assert fall == pytest.approx(0.5 * step @ step, rel=0.15)


def test_draws_have_the_density(name, problem):
    em, point = problem
    model, laws = em.product.models[0], point.laws[0]
    for k in range(K):
        x = model.draw(laws, k, 4000, np.random.RandomState(0))[0]
        law = law_of(name, model.outward(laws), k)
        if name.startswith("hurdle"):
            zero, some = laws["zero_probability"][k], x[x > 0]
            assert stats.binomtest(4000 - len(some), 4000, zero).pvalue > 1e-4
            if name == "hurdle_poisson":
                expected = law.mean() / law.sf(0)
                error = some.std() / np.sqrt(len(some))
                assert abs(some.mean() - expected) < 4 * error
            else:
                assert stats.kstest(some, law.cdf).pvalue > 1e-4
            continue
        if name in CONTINUOUS:
            assert stats.kstest(x, law.cdf).pvalue > 1e-4
            continue
        values, counts = np.unique(x, return_counts=True)
        expected = 4000 * law.pmf(values)
        kept = expected > 5
        assert 4000 - expected[kept].sum() < 100
        error = (counts[kept] - expected[kept]) ** 2 / expected[kept]
        assert stats.chi2(kept.sum()).sf(error.sum()) > 1e-4


FILLED = [name for name in FAMILIES if name in CONTINUOUS[1:] or "_" in name]


@pytest.mark.parametrize("name", [*FILLED, "poisson"])
def test_gaps_are_filled_with_the_mean_of_the_law(name, rng, z):
    em, point = problem_of(name, rng, z, gaps=False)
    model, laws = em.product.models[0], point.laws[0]
    found = model.filled(laws, np.full((1, K), np.nan), np.eye(K))
    for k in range(K):
        law = law_of(name, model.outward(laws), k)
        mean = law.mean()
        if name.startswith("hurdle"):
            mean *= (1 - laws["zero_probability"][k]) / law.sf(0)
        assert found[0, k] == pytest.approx(mean)


def test_waiting_times_may_be_zero(rng):
    x = np.append(rng.exponential(2.0, n - 1), 0.0)
    FAMILIES["exponential"]().check(x)
    with pytest.raises(ValueError, match="has negative values"):
        FAMILIES["exponential"]().check(-x)


def test_penalty_keeps_proportions_off_the_border():
    x = np.repeat([0.0, 1.0], 50)[None]
    em = TableMap(
        Product((looked("bernoulli", x),), (np.array([0]),)), x, np.ones(100), Workers()
    )
    point = em.labelled(np.vstack([x[0] == 0, x[0] == 1, 0 * x[0]]).astype(float))
    p = point.laws[0]["proportions"]
    # (n_c + ε p̄_c) / (n + ε), and the pooled ones where there is no row.
    np.testing.assert_allclose(p[0], [50.05 / 50.1, 0.05 / 50.1])
    np.testing.assert_allclose(p[2], [0.5, 0.5])


def test_a_gaussian_whose_rows_lack_the_value_but_for_rounding(rng):
    values = rng.normal(3, 2, (1, 20))
    values[0, 10:] = np.nan
    model = replace(looked("gaussian", values), incomplete=True)
    resp = np.full((2, 20), 1e-310)
    resp[0], resp[1, 10:] = 1.0, 1.0
    rows = model.rows(values)
    laws = model.start(rows, resp)
    resp[1, :10] = 0.0
    assert model.start(rows, resp)["means"] == pytest.approx(laws["means"])
    z = model.coordinates.load(values, np.empty(values.shape))
    assert laws["means"][:, 0] == pytest.approx([np.nanmean(z), 0.0])


def test_a_family_of_your_own_has_eight_methods():
    assert len(Family.__abstractmethods__) == 8
    assert "by eight short methods" in Family.__doc__
    for attribute in ("name", "discrete", "bounds", "positive_parameters"):
        assert f"`{attribute}`" in Family.__doc__


@pytest.mark.parametrize("r", [1e-6, 1e-3, 0.1, 0.9, 1.0])
def test_shared_values_of_a_gamma_column_have_the_mean_logarithm_of_their_width(r):
    x = np.repeat(10.0, 50)
    sd = 10.0 * r / np.sqrt(3)
    widths = Coordinates(np.zeros(1), np.ones(1), ties=Ties(np.array([sd**2])))
    low, high = 10 * (1 - r), 10 * (1 + r)
    mean = quad(np.log, low, high)[0] / (high - low) - np.log(10)
    np.testing.assert_allclose(lowered(widths, x), mean, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("family", ["gamma", "hurdle_gamma", "hurdle_lognormal"])
def test_values_below_a_limit_are_no_cluster(family):
    """A fourth of the amounts are at the limit: a component stood on these."""
    rng = np.random.default_rng(0)
    z = np.repeat([0, 1], 300)
    amounts = np.maximum(np.exp(rng.normal(1.5 * z, 0.7)), 1.0)
    X = np.column_stack([amounts, rng.normal(3 * z, 1)])
    families = [(family, [0]), ("gaussian", [1])]
    found = MixtureIC(range(1, 5), families=families, random_state=0).fit(X)
    assert found.n_components_ == 2
    assert adjusted_rand_score(z, found.predict(X)) > 0.8
