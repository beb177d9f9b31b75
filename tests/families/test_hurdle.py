"""Zeros beside positive values: hurdle families, from one column to whole fits."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from scipy.optimize import brentq
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

from skem import MixtureIC, MixtureModel, TableDisplay, bootstrap_lrt, load
from skem.families.counts import PositivePoisson
from skem.families.model import Look, Seen
from skem.families.registry import FAMILIES

HURDLES = [name for name in FAMILIES if name.startswith("hurdle")]
OF = {"spend": "hurdle_gamma", "rain": "hurdle_lognormal", "visits": "hurdle_poisson"}
MODEL = MixtureModel(2, families=OF, random_state=0)


def customers(rng, n=1000):
    z = rng.integers(2, size=n)
    return z, pd.DataFrame(
        {
            "age": rng.normal(40 + 20 * z, 6),
            "spend": (rng.random(n) < 0.4 + 0.3 * z) * rng.gamma(3, 8 + 12 * z),
            "rain": (rng.random(n) < 0.5) * np.exp(rng.normal(z, 0.5)),
            "visits": (rng.random(n) < 0.6) * (1.0 + rng.poisson(2 + 4 * z)),
        }
    )


@pytest.fixture(scope="module")
def data():
    return customers(np.random.default_rng(3))


@pytest.fixture(scope="module")
def model(data):
    return clone(MODEL).fit(data[1])


def test_parameters_are_found_again(data, model):
    z, _ = data
    assert adjusted_rand_score(z, model.labels_) > 0.9
    order = np.argsort(model.parameters_["age"]["mean"])
    spend, rain, visits = (model.parameters_[name] for name in OF)
    # Five hundred rows each: within about four standard errors.
    for found, expected in (
        (spend["zero_probability"], [0.6, 0.3]),
        (rain["zero_probability"], [0.5, 0.5]),
        (visits["zero_probability"], [0.4, 0.4]),
        (rain["mean"], [0, 1]),
    ):
        np.testing.assert_allclose(found[order], expected, atol=0.13)
    np.testing.assert_allclose(spend["mean"][order], [24, 60], rtol=0.2)
    np.testing.assert_allclose(spend["shape"][order], [3, 3], rtol=0.4)


def test_it_is_a_column_of_zeros_and_one_of_others(data):
    """Two columns say the same: whether a value is zero, and the value if it is not."""
    _, table = data
    split = pd.DataFrame({"age": table["age"]})
    families = {}
    hurdles = {name: OF[name] for name in ("spend", "rain")}
    for name, family in hurdles.items():
        split[f"any {name}"] = (table[name] > 0).astype(int)
        split[name] = table[name].where(table[name] > 0)
        families[f"any {name}"] = "bernoulli"
        families[name] = family.removeprefix("hurdle_")
    options = {"random_state": 0, "pseudo_observations": 0, "tol": 1e-6}
    one = MixtureModel(2, families=hurdles, **options).fit(table.drop(columns="visits"))
    other = MixtureModel(2, families=families, **options).fit(split)
    # The lognormal family of Gaussian columns has a penalty of its own, and widths.
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, abs=2e-4)
    assert one.n_parameters_ == other.n_parameters_


@pytest.mark.parametrize("family", ["poisson", "negative_binomial"])
def test_zeros_that_tell_nothing_hide_no_groups(family):
    rng = np.random.default_rng(0)
    z = np.repeat([0, 1], 150)
    none = rng.random(300) < 0.5
    X = np.c_[
        rng.normal(40 + 20 * z, 5),
        rng.normal(30 + 10 * z, 5),
        np.where(none, 0, 1 + rng.poisson(4 + 5 * z)),
    ]
    hidden = MixtureModel(2, families={2: family}, random_state=0).fit(X)
    assert adjusted_rand_score(z, hidden.labels_) < 0.5
    found = MixtureModel(2, families={2: "hurdle_poisson"}, random_state=0).fit(X)
    assert adjusted_rand_score(z, found.labels_) > 0.9


def test_weights_are_repeated_rows(data):
    _, table = data
    weight = np.random.default_rng(0).integers(3, size=len(table))
    one = clone(MODEL).fit(table, sample_weight=weight)
    other = clone(MODEL).fit(table.loc[np.repeat(table.index, weight)])
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, rel=1e-8)


def test_gaps_are_summed_over(data):
    z, table = data
    gaps = np.random.default_rng(1).random(table.shape) < 0.2
    holed = table.mask(gaps)
    found = clone(MODEL).fit(holed)
    assert adjusted_rand_score(z, found.predict(holed)) > 0.6
    # A cell alone: the share of zeros and the mean of all, by responsibilities.
    age = (
        holed[["age"]]
        .assign(spend=np.nan, rain=np.nan, visits=np.nan)
        .dropna(subset="age")
    )
    law = found.parameters_["spend"]
    mean = found.predict_proba(age) @ ((1 - law["zero_probability"]) * law["mean"])
    np.testing.assert_allclose(found.impute(age)["spend"], mean, rtol=1e-9)


def looked_at(family, x, weight):
    return FAMILIES[family]().look(Look(x[None], weight, 2, 4.0, True, 0))


def column(rng, n, zeros):
    return np.where(rng.random(n) < zeros, 0, np.ceil(rng.gamma(3, 2, n)))


@pytest.mark.parametrize("family", HURDLES)
def test_weights_count_rows_of_what_all_the_data_are(family, rng):
    """Pseudo-observations are of it: as many of positive values as there are."""
    x, weight = column(rng, 60, 0.5), rng.integers(4, size=60).astype(float)
    weight[x == 0] *= 3
    rows = np.repeat(x, weight.astype(int))
    model = looked_at(family, x, weight)
    same = looked_at(family, rows, np.ones(len(rows)))
    assert model.share == pytest.approx((rows > 0).mean())
    assert model.inner.epsilon == pytest.approx(4 * model.share)
    np.testing.assert_allclose(model.inner.pooled, same.inner.pooled, atol=1e-12)


@pytest.mark.parametrize("family", HURDLES)
def test_a_component_without_rows_is_as_all_the_data_are(family, rng):
    x = column(rng, 100, 0.3)
    model = FAMILIES[family]().look(Look(x[None], np.ones(100), 2, 0.0, True, 0))
    rows = model.rows(x[None])
    resp = np.stack([np.ones(100), np.zeros(100)])
    laws = model.maximise(Seen(resp @ rows.T, resp.sum(axis=1)), None)
    for values in laws.values():
        assert values[1] == pytest.approx(values[0], rel=1e-6)


@pytest.mark.parametrize("family", HURDLES)
def test_a_stream_goes_by_all_that_it_has_shown(family, rng):
    """By then that is a quarter of the zeros, and not half of them as in its start."""
    model = looked_at(family, column(rng, 100, 0.5), np.ones(100))
    x = column(rng, 400, 0.25)[None]
    resp = rng.dirichlet((1, 1), size=400).T
    seen = Seen(resp @ model.rows(x).T, resp.sum(axis=1))
    laws = model.maximise(seen, None)
    running = model.running(seen, laws)
    renewed = model.renewed(running, 0.5)
    share = (x > 0).mean()
    assert renewed.share == pytest.approx(share)
    assert renewed.epsilon == 2
    assert renewed.inner.epsilon == pytest.approx(2 * share)
    assert model.scaled(0.5).penalty(laws) == pytest.approx(model.penalty(laws) / 2)
    # The M-step of running sums is that of a pass.
    found = model.settled(running, seen.counts, laws)
    for name, values in laws.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-9)
    expected = 1 - (resp @ (x[0] > 0) + 2 * share) / (resp.sum(axis=1) + 2)
    found = renewed.settled(running, seen.counts, laws)
    np.testing.assert_allclose(found["zero_probability"], expected)


@pytest.mark.parametrize("kind", ["float32", "dask", "stream", "file"])
def test_data_may_come_in_any_way(kind, data, model, tmp_path):
    _, table = data
    found, tolerance = clone(MODEL), 1e-8
    if kind == "float32":
        found.fit(table.astype("float32"))
        tolerance = 1e-6
    elif kind == "dask":
        frame = pytest.importorskip("dask.dataframe").from_pandas(table, npartitions=3)
        found.fit(frame)
    elif kind == "stream":
        for start in range(0, len(table), 100):
            found.partial_fit(table.iloc[start : start + 100])
        tolerance = 2e-3
    else:
        path = tmp_path / "model.json"
        model.save(path)
        found = load(path)
        np.testing.assert_array_equal(
            found.score_samples(table), model.score_samples(table)
        )
        found = found.fit(table)
    assert found.score(table) == pytest.approx(model.score(table), abs=tolerance)


@pytest.mark.parametrize("key", ["share", "hurdle_epsilon", "zero_probability"])
def test_files_that_were_changed_are_refused(key, model, tmp_path):
    path = tmp_path / "model.json"
    model.save(path)
    text = path.read_text()
    assert f'"{key}"' in text
    path.write_text(text.replace(f'"{key}"', '"other"'))
    with pytest.raises(ValueError, match=r"something is missing|should have"):
        load(path)


def test_draws_are_zero_as_often_as_the_data(data, model):
    _, table = data
    drawn, _ = model.sample(20_000, random_state=0)
    # Of 1000 rows a share is known to 0.016.
    np.testing.assert_allclose((drawn == 0).mean(), (table == 0).mean(), atol=0.05)
    np.testing.assert_allclose(drawn.mean(), table.mean(), rtol=0.1)


def test_criteria_and_tests_find_two(data):
    _, table = data
    found = MixtureIC(range(1, 4), families=OF, random_state=0).fit(table)
    assert found.n_components_ == 2
    template = MixtureModel(families=OF, random_state=0)
    assert bootstrap_lrt(template, table, 1, 2, n_boot=19, random_state=0).p_value < 0.1
    assert bootstrap_lrt(template, table, 2, 3, n_boot=19, random_state=0).p_value > 0.1


def test_standard_errors_are_those_of_shares_and_means(rng):
    """One component: √(π (1 − π)/n), and those of the positive values by their own."""
    n = 4000
    X = np.where(rng.random((n, 1)) < 0.3, 0, np.exp(rng.normal(2, 0.7, (n, 1))))
    model = MixtureModel(families="hurdle_lognormal", pseudo_observations=0).fit(X)
    errors = model.standard_errors(X)
    own = errors.parameters["x0"]
    some = np.log(X[X > 0])
    zero = 1 - len(some) / n
    assert model.parameters_["x0"]["zero_probability"] == pytest.approx(zero)
    assert own["zero_probability"][0] == pytest.approx(np.sqrt(zero * (1 - zero) / n))
    error = some.std() / np.sqrt(len(some))
    assert own["mean"][0] == pytest.approx(error, rel=1e-3)
    assert own["standard_deviation"][0] == pytest.approx(error / np.sqrt(2), rel=0.06)
    interval = errors.confidence_interval().parameters["x0"]["zero_probability"]
    assert 0 < interval.lower[0] < zero < interval.upper[0] < 1
    assert "mean of log" in str(errors)


DEGENERATE = {
    "zeros alone": lambda rng, n: np.zeros(n),
    "no zero": lambda rng, n: 1.0 + rng.poisson(3, n),
    "one that is not": lambda rng, n: np.r_[5.0, np.zeros(n - 1)],
    "ones": lambda rng, n: 1.0 * (rng.random(n) < 0.5),
    "one value": lambda rng, n: 7.0 * (rng.random(n) < 0.5),
    "large counts": lambda rng, n: (
        (rng.random(n) < 0.5) * (2.0**40 + rng.poisson(9, n))
    ),
}


@pytest.mark.parametrize("column", DEGENERATE)
@pytest.mark.parametrize("family", HURDLES)
def test_columns_that_determine_little(column, family, rng):
    z = rng.integers(2, size=400)
    X = np.c_[rng.normal(8 * z, 1), DEGENERATE[column](rng, 400)]
    model = MixtureModel(2, families={1: family}, random_state=0).fit(X)
    assert adjusted_rand_score(z, model.labels_) > 0.95
    assert np.isfinite(model.score_samples(X)).all()
    assert np.isfinite(model.sample(50, random_state=0)[0].astype(float)).all()
    errors = model.standard_errors(X)
    assert np.isfinite(errors.weights).all()
    assert np.isfinite(errors.parameters["x0"]["mean"]).all()
    # What is on a border of its range has an infinite one.
    for values in errors.parameters["x1"].values():
        assert not np.isnan(values).any()


@pytest.mark.parametrize("factor", [1e-150, 1e150])
@pytest.mark.parametrize("family", ["hurdle_gamma", "hurdle_lognormal"])
def test_units_do_not_matter(factor, family, rng):
    X = (rng.random((300, 1)) < 0.6) * rng.gamma(2, 1, (300, 1))
    one = MixtureModel(families=family).fit(X)
    other = MixtureModel(families=family).fit(X * factor)
    some = (X > 0).mean()
    expected = one.score(X) - some * np.log(factor)
    assert other.score(X * factor) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("mean", [1 + 1e-9, 1.0001, 1.002, 1.5, 4.0, 60.0, 1e9])
def test_rates_of_positive_counts_are_the_likeliest(mean):
    rate = PositivePoisson().estimate(np.array([[mean]]))["rate"][0]
    if mean < 1.001:
        # λ/(1 − exp(−λ)) is 1 + λ/2 + λ²/12.
        excess = mean - 1
        assert rate == pytest.approx(2 * excess - 2 / 3 * excess**2, rel=1e-6)
        return
    found = brentq(lambda x: x / -np.expm1(-x) - mean, 1e-6, 2 * mean, xtol=1e-12)
    assert rate == pytest.approx(found, rel=1e-9)


def test_positive_counts_have_the_law_of_positive_counts(rng):
    family = PositivePoisson()
    for rate in (1e-6, 0.3, 2.0, 40.0):
        laws = {"rate": np.array([rate])}
        drawn = family.draw(laws, 0, 20_000, np.random.RandomState(0))
        assert drawn.min() >= 1
        error = drawn.std() / np.sqrt(len(drawn)) + 1e-6
        assert abs(drawn.mean() - family.expected(laws)[0]) < 4 * error
        law = stats.poisson(rate)
        for count in (1, 2):
            p = law.pmf(count) / law.sf(0)
            hits = int((drawn == count).sum())
            assert stats.binomtest(hits, len(drawn), p).pvalue > 1e-4


def test_positive_counts_beside_large_ones_have_the_law_of_positive_counts():
    values = np.array([[1.0, 2.0, 2.0**30]])
    look = Look(values, np.ones(3), 1, 0.0, True, 0)
    model = PositivePoisson().look(look).of(values)
    for rate in (0.3, 4.0):
        logits = model.logits({"rate": np.array([rate])}, model.rows(values))
        law = stats.poisson(rate)
        expected = law.logpmf(values[0, :2]) - law.logsf(0)
        found = (logits + model.base(values))[0, :2]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("family", HURDLES)
def test_what_is_below_zero_is_refused(family):
    X = pd.DataFrame({"x": [0.0, 3.0, -2.0, 1.0]})
    with pytest.raises(
        ValueError, match="'x' has negative values, such as -2 in row 2"
    ):
        MixtureModel(families=family).fit(X)
    if family == "hurdle_poisson":
        with pytest.raises(ValueError, match=r"not whole numbers, such as 0\.5"):
            MixtureModel(families=family).fit([[0], [0.5]])


@pytest.mark.parametrize("epsilon", [0.0, 4.0])
@pytest.mark.parametrize("zeros", [0.0, 0.5, 1.0])
def test_what_no_row_tells_of_is_on_a_border(zeros, epsilon):
    """Pseudo-observations keep a share from there that all the data have."""
    x = np.where(np.arange(100) < 100 * zeros, 0, np.arange(1.0, 101))
    model = FAMILIES["hurdle_poisson"]().look(
        Look(x[None], np.ones(100), 4, epsilon, True, 0)
    )
    laws = {
        "zero_probability": np.array([1 - 1e-12, 1e-12, 0.5, 0.999]),
        "rate": np.array([5.0, 5.0, 5.0, 1e-3]),
    }
    shares, rates = model.on_border(laws, np.full(4, 100.0)).T
    kept = epsilon > 0
    assert shares.tolist() == [
        not (kept and zeros < 1),
        not (kept and zeros > 0),
        False,
        False,
    ]
    # Without a positive value nothing is known of these; and of a tenth of one, little.
    assert rates.tolist() == [True, False, False, True]


def test_pictures_have_bars_of_zeros(data, model):
    plt = pytest.importorskip("matplotlib.pyplot")
    display = TableDisplay.from_estimator(model)
    kinds = {name: panel[0] for name, panel in display.panels.items()}
    assert kinds == {
        "age": "density",
        "spend": "hurdle",
        "rain": "hurdle",
        "visits": "counts",
    }
    _, values, heights = display.panels["spend"]
    law = model.parameters_["spend"]
    np.testing.assert_allclose(heights[:, 0], law["zero_probability"])
    areas = integrate.trapezoid(heights[:, 1:], x=values[1:], axis=1)
    np.testing.assert_allclose(areas, 1 - law["zero_probability"], atol=0.02)
    rights = [ax for ax in display.figure_.axes if "zero" in ax.get_ylabel()]
    heights = [[bar.get_height() for bar in ax.patches] for ax in rights]
    expected = [
        model.parameters_[name]["zero_probability"] for name in ("spend", "rain")
    ]
    np.testing.assert_allclose(heights, expected)
    plt.close(display.figure_)


def test_errors_of_rare_zeros_are_those_of_two_categories(rng):
    """Pseudo-observations count as rows: the interval of no zero was a line."""
    n = 400
    y = rng.integers(2, size=n)
    amount = np.where((y == 0) & (rng.random(n) < 0.5), 0, rng.gamma(3, 5, n))
    table = pd.DataFrame({"amount": amount, "other": rng.normal(8 * y, 1)})
    twin = table.assign(amount=(amount == 0).astype(int))
    pairs = []
    for data, family in ((table, "hurdle_gamma"), (twin, "bernoulli")):
        model = MixtureModel(2, families={"amount": family}, random_state=0).fit(data)
        errors = model.standard_errors(data).parameters["amount"]
        (values,) = (v for key, v in errors.items() if "probability" in key)
        pairs.append(values[np.argsort(model.parameters_["other"]["mean"])])
    np.testing.assert_allclose(*pairs, rtol=1e-2)


@pytest.mark.parametrize("pseudo_observations", [0, "auto"])
@pytest.mark.parametrize("family", HURDLES)
def test_zeros_of_a_single_column_are_of_no_component(family, pseudo_observations, rng):
    y = rng.integers(2, size=1000)
    some = rng.random(1000) < np.array([0.4, 0.7])[y]
    X = (some * np.ceil(rng.gamma(3, np.array([1, 8])[y])))[:, None]
    model = MixtureModel(
        2, families=family, random_state=0, pseudo_observations=pseudo_observations
    )
    with pytest.warns(UserWarning, match="zeros of the column 'x0' alone do not tell"):
        model.fit(X)
    with pytest.warns(UserWarning, match="errors of 'weights', 'x0' are NaN"):
        errors = model.standard_errors(X)
    assert np.isnan(errors.weights).all()
    own = errors.parameters["x0"]
    assert np.isnan(own.pop("zero_probability")).all()
    assert all(np.isfinite(values).all() for values in own.values())
    # A single component, and labels, say which they are of.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MixtureModel(families=family).fit(X)
        model.fit(X, labels=y)


def test_gaps_are_filled_with_numbers_whatever_the_spread():
    values = [[1e-300], [1e300], [1.0], [1e200], [0.0], [np.nan]]
    filled = MixtureModel(families="hurdle_lognormal").fit(values).impute(values)
    assert np.isfinite(filled).all()


def test_components_of_zeros_and_of_others_are_not_the_same(rng):
    X = np.where(rng.random((300, 1)) < 0.4, 0, rng.gamma(3, 2, (300, 1)))
    model = MixtureModel(2, families="hurdle_gamma", pseudo_observations=0)
    model.fit(X, labels=(X[:, 0] > 0).astype(int))
    assert model.degenerate_components_.size == 0


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("zero_probability", [1.2, 0.3], "between 0 and 1"),
        ("zero_probability", [0.0, 0.3], "between 0 and 1"),
        ("rate", [-1.0, 3.0], "should be positive"),
    ],
)
def test_given_parameters_are_in_their_range(name, values, message, data):
    given = {"zero_probability": [0.2, 0.3], "rate": [2.0, 3.0], name: values}
    model = clone(MODEL).set_params(parameters_init={"visits": given})
    with pytest.raises(ValueError, match=f"'{name}' in parameters_init .*{message}"):
        model.fit(data[1])
