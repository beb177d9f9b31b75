"""Mixtures of tables: what users pass in, and what they get."""

import copy
import pickle
import re
import warnings
from dataclasses import replace
from decimal import Decimal
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

import skem
from skem import (
    Family,
    GaussianMixture,
    MixtureIC,
    MixtureModel,
    TableDisplay,
    bootstrap_lrt,
    load,
    sequential_bootstrap_lrt,
)
from skem.exceptions import DegenerateComponentsWarning
from skem.families import Gaussian, LogNormal
from skem.families.degeneracy import degenerate_components

pytestmark = pytest.mark.usefixtures("short_search")

FAMILIES = {
    "income": "lognormal",
    "wait": "exponential",
    "spend": "gamma",
    "visits": "poisson",
    "calls": "negative_binomial",
    "member": "bernoulli",
    "score": "student",
}


# Repeated rows are other rows to draw starts from: with and without weights, both fits
# must find the best optimum. Data of some checks are whole numbers.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:All .* columns have few different whole")
@parametrize_with_checks(
    [MixtureModel(), MixtureModel(2, covariance_type="diag", n_init=3)]
)
def test_estimator_checks(estimator, check):
    check(estimator)


def table_of(z, rng):
    n = len(z)
    return pd.DataFrame(
        {
            "age": rng.normal(np.array([30, 45, 60])[z], 5),
            "height": rng.normal(np.array([170, 165, 175])[z], 6),
            "income": np.exp(rng.normal(np.array([8, 9, 10])[z], 0.3)),
            "wait": rng.exponential(np.array([1, 5, 20])[z]),
            "spend": rng.gamma(np.array([2, 5, 9])[z], 2.0),
            "visits": rng.poisson(np.array([1, 5, 20])[z]),
            "calls": rng.negative_binomial(3, 3 / (3 + np.array([2, 10, 30])[z])),
            "member": rng.random(n) < np.array([0.1, 0.5, 0.9])[z],
            "plan": pd.Categorical.from_codes(
                np.where(rng.random(n) < 0.7, z, rng.integers(3, size=n)),
                ["free", "basic", "pro"],
            ),
            "score": np.array([0, 3, 9])[z] + rng.standard_t(3, n),
        }
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(7)
    z = rng.integers(3, size=600)
    return table_of(z, rng), z


@pytest.fixture(scope="module")
def model(data):
    return MixtureModel(3, families=FAMILIES, random_state=0).fit(data[0])


def test_parameters_are_found_again(data, model):
    table, z = data
    assert adjusted_rand_score(z, model.predict(table)) > 0.97
    order = np.argsort(model.parameters_["age"]["mean"])
    found = {
        name: {key: value[order] for key, value in laws.items()}
        for name, laws in model.parameters_.items()
    }
    # About 200 rows each: within four standard errors.
    np.testing.assert_allclose(found["age"]["mean"], [30, 45, 60], atol=1.5)
    np.testing.assert_allclose(found["income"]["mean"], [8, 9, 10], atol=0.1)
    np.testing.assert_allclose(found["wait"]["mean"], [1, 5, 20], rtol=0.3)
    np.testing.assert_allclose(found["spend"]["shape"], [2, 5, 9], rtol=0.4)
    np.testing.assert_allclose(found["visits"]["rate"], [1, 5, 20], rtol=0.3)
    np.testing.assert_allclose(found["calls"]["mean"], [2, 10, 30], rtol=0.3)
    np.testing.assert_allclose(found["calls"]["size"], [3, 3, 3], rtol=0.6)
    np.testing.assert_allclose(
        found["member"]["probability"], [0.1, 0.5, 0.9], atol=0.15
    )
    np.testing.assert_allclose(found["score"]["location"], [0, 3, 9], atol=0.5)
    plan = model.categories_["plan"].tolist()
    likeliest = [plan[c] for c in found["plan"]["proportions"].argmax(axis=1)]
    assert likeliest == ["free", "basic", "pro"]
    # Weights, two means and variances and a covariance, and of the other families.
    assert model.n_parameters_ == 2 + 3 * (5 + 2 + 1 + 2 + 1 + 2 + 1 + 2 + 3)
    assert (np.diff(model.weights_) <= 0).all()


def test_score_is_the_bound_and_criteria_follow_from_it(data, model):
    table, _ = data
    n, p = len(table), model.n_parameters_
    loglik = model.score_samples(table).sum()
    assert model.lower_bound_ == pytest.approx(loglik / n, abs=1e-12)
    assert model.bic(table) == pytest.approx(-2 * loglik + p * np.log(n))
    assert model.aic(table) == pytest.approx(-2 * loglik + 2 * p)
    entropy = np.log(model.predict_proba(table).max(axis=1)).sum()
    assert model.icl(table) == pytest.approx(model.bic(table) - 2 * entropy)


def test_density_of_a_row_is_the_product_of_its_columns(data, model):
    table, _ = data
    row = table.iloc[[5]]
    value = row.iloc[0]
    total = []
    for k in range(3):
        law = {
            name: {key: v[k] for key, v in laws.items()}
            for name, laws in model.parameters_.items()
        }
        ((names, covariances),) = (
            (names, c) for names, c in model.covariances_.items() if len(names) == 2
        )
        mean = [law[name]["mean"] for name in names]
        a, sd = law["income"].values()
        shape, spent = law["spend"].values()
        mu, size = law["calls"].values()
        member = law["member"]["probability"]
        code = model.categories_["plan"].tolist().index(value["plan"])
        total.append(
            np.log(model.weights_[k])
            + stats.multivariate_normal(mean, covariances[k]).logpdf(
                value[list(names)].astype(float)
            )
            + stats.lognorm(sd, scale=np.exp(a)).logpdf(value["income"])
            + stats.expon(scale=law["wait"]["mean"]).logpdf(value["wait"])
            + stats.gamma(shape, scale=spent / shape).logpdf(value["spend"])
            + stats.poisson(law["visits"]["rate"]).logpmf(value["visits"])
            + stats.nbinom(size, size / (size + mu)).logpmf(value["calls"])
            + np.log(member if value["member"] else 1 - member)
            + np.log(law["plan"]["proportions"][code])
            + stats.t(*(law["score"][x] for x in ("df", "location", "scale"))).logpdf(
                value["score"]
            )
        )
    expected = np.logaddexp.reduce(total)
    assert model.score_samples(row)[0] == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(
        model.component_log_density(row)[0], total - np.log(model.weights_), rtol=1e-9
    )


def test_log_densities_of_components_are_numbers_and_make_those_of_rows(data, model):
    table = data[0].copy()
    table.loc[3, ["age", "visits", "plan"]] = None
    table.loc[5, "age"], table.loc[6, "height"] = 1e7, -1e160
    each = model.component_log_density(table)
    assert np.isfinite(each).all()
    near = np.arange(len(table)) != 6
    found = logsumexp(each[near], axis=1, b=model.weights_)
    np.testing.assert_allclose(found, model.score_samples(table[near]), rtol=1e-9)
    resp = np.exp(each[near] - found[:, None]) * model.weights_
    # Far away their differences lose digits.
    expected = model.predict_proba(table[near])
    np.testing.assert_allclose(
        np.delete(resp, 5, axis=0), np.delete(expected, 5, axis=0), atol=1e-9
    )


def test_a_missing_cell_leaves_its_column_out(data, model):
    row = data[0].iloc[[3]]
    other = row.copy()
    for name in ("income", "visits", "score", "calls"):
        row = row.assign(**{name: np.nan})
    complete = model.score_samples(other)
    assert np.isfinite(model.score_samples(row)).all()
    assert model.score_samples(row)[0] != pytest.approx(complete[0])
    nothing = data[0].iloc[[3]].astype(object)
    nothing[:] = None
    assert model.score_samples(nothing)[0] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(model.predict_proba(nothing)[0], model.weights_)


@pytest.mark.slow
def test_gaps_are_fitted_and_filled(data):
    table, z = data
    rng = np.random.default_rng(3)
    gaps = table.astype({"visits": float, "calls": float, "member": object})
    gaps = gaps.mask(rng.random(table.shape) < 0.2)
    model = MixtureModel(3, families=FAMILIES, random_state=0).fit(gaps)
    assert adjusted_rand_score(z, model.predict(gaps)) > 0.9
    full = model.impute(gaps)
    assert not full.isna().any().any()
    seen = ~gaps.isna()
    for name in ("age", "visits", "score"):
        there = seen[name]
        np.testing.assert_allclose(full[name][there], gaps[name][there])
        # Better than the mean of the column, which knows nothing of clusters.
        error = (full[name] - table[name])[~there].std()
        assert error < 0.8 * table[name].std()
    assert (full["plan"] == table["plan"])[~seen["plan"]].mean() > 0.6


@pytest.mark.parametrize("edit", [np.array, list, "in place"])
def test_edited_weights_had_split_the_mixture(data, model, edit, tmp_path):
    table, _ = data
    edited = copy.deepcopy(model)
    if edit == "in place":
        edited.weights_[:] = [0.7, 0.2, 0.1]
    else:
        edited.weights_ = edit([0.7, 0.2, 0.1])
    # By Bayes' theorem, of probabilities with other weights.
    expected = model.predict_proba(table) * [0.7, 0.2, 0.1] / model.weights_
    expected /= expected.sum(axis=1, keepdims=True)
    edited.save(tmp_path / "edited.json")
    for each in (edited, load(tmp_path / "edited.json"), edited.marginal(list(table))):
        np.testing.assert_allclose(each.weights_, [0.7, 0.2, 0.1])
        np.testing.assert_allclose(each.predict_proba(table), expected, atol=1e-12)
        assert 650 < np.bincount(each.sample(1000, random_state=0)[1])[0] < 750
    np.testing.assert_allclose(edited.summary().weights, [0.7, 0.2, 0.1])


@pytest.mark.parametrize(
    "edit",
    [
        lambda model: model.parameters_["age"]["mean"].fill(0),
        lambda model: model.parameters_["age"].update(mean=np.zeros(3)),
        lambda model: model.parameters_.pop("age"),
        lambda model: model.parameters_.__setitem__("age", {}),
        lambda model: setattr(model, "parameters_", {}),
        lambda model: next(iter(model.covariances_.values())).fill(1),
        lambda model: model.covariances_.clear(),
        lambda model: setattr(model, "covariances_", {}),
    ],
)
def test_edits_of_parameters_had_been_ignored(model, edit):
    for each in (model, pickle.loads(pickle.dumps(model))):
        with pytest.raises((TypeError, ValueError, AttributeError), match="read-only"):
            edit(each)


def test_a_copy_of_parameters_is_a_start_that_may_be_edited(data, model):
    table, _ = data
    start = copy.deepcopy(model.parameters_)
    start = {name: start[name] for name in ("age", "visits")}
    for laws in start.values():
        for values in laws.values():
            values[:] = values[::-1].copy()
    own = clone(model).set_params(parameters_init=start).fit(table)
    np.testing.assert_allclose(own.weights_, model.weights_[::-1], atol=0.01)
    same = clone(clone(model).set_params(parameters_init=model.parameters_))
    np.testing.assert_allclose(same.fit(table).weights_, model.weights_, atol=0.01)


@pytest.mark.parametrize("kind", [Gaussian, LogNormal])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_gaps_are_drawn_from_their_law_given_the_row(covariance_type, kind, rng):
    z = rng.integers(0, 2, 400)
    logs = rng.normal(size=(400, 2)) @ [[0.8, 0.5], [0.0, 0.6]] + 1.5 * z[:, None]
    X = np.column_stack(
        [
            logs if kind is Gaussian else np.exp(logs),
            rng.poisson(np.where(z, 6, 3)),
            rng.random(400) < 0.2 + 0.6 * z,
            rng.standard_t(3, 400) + 4 * z,
        ]
    )
    pairs = [(kind(covariance_type), [0, 1]), ("poisson", [2])]
    pairs += [("bernoulli", [3]), ("student", [4])]
    model = MixtureModel(2, families=pairs, random_state=0).fit(X)
    n, x = 4000, 1.2
    value = x if kind is Gaussian else np.exp(x)
    rows = np.tile([value, *[np.nan] * 4], (n, 1))
    drawn = model.impute(rows, sample=True, random_state=0)
    (group,) = model.covariances_
    means = np.column_stack([model.parameters_[name]["mean"] for name in group])
    Sigma, p = model.covariances_[group], model.parameters_
    if covariance_type == "diag":
        Sigma = Sigma[:, None] * np.eye(2)
    Sigma = np.broadcast_to(Sigma, (2, 2, 2))
    r = model.weights_ * stats.norm.pdf(x, means[:, 0], np.sqrt(Sigma[:, 0, 0]))
    r /= r.sum()
    slope = Sigma[:, 0, 1] / Sigma[:, 0, 0]
    given = stats.norm(
        means[:, 1] + slope * (x - means[:, 0]),
        np.sqrt(Sigma[:, 1, 1] - slope * Sigma[:, 0, 1]),
    )
    student = stats.t(*(p["x4"][key] for key in ("df", "location", "scale")))
    found = drawn[:, 1] if kind is Gaussian else np.log(drawn[:, 1])
    np.testing.assert_array_equal(drawn[:, 0], value)
    for values, law in ((found, given), (drawn[:, 4], student)):
        test = stats.kstest(values, lambda v, law=law: law.cdf(v[:, None]) @ r)
        assert test.pvalue > 0.01
    # Means within four standard errors; the product needs one component for a row.
    rate, share = p["x2"]["rate"], p["x3"]["probability"]
    for values, expected in (
        (drawn[:, 2], rate @ r),
        (drawn[:, 3], share @ r),
        (drawn[:, 2] * drawn[:, 3], (rate * share) @ r),
        (drawn[:, 2] * found, (rate * given.mean()) @ r),
    ):
        assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(n)
    again = model.impute(rows, sample=True, random_state=0)
    np.testing.assert_array_equal(again, drawn)
    np.testing.assert_array_equal(model.impute(X, sample=True), X)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_log_normal_gaps_are_filled_by_conditional_means(covariance_type, rng):
    """They had been filled by exp of the mean of logarithms, which is far below."""
    z = rng.integers(0, 2, 200)
    logs = rng.normal(size=(200, 2)) @ [[0.8, 0.5], [0.0, 0.6]] + 2.5 * z[:, None]
    X = np.column_stack([np.exp(logs), rng.poisson(np.where(z, 9, 3))])
    X[::9, 0] = np.nan
    pairs = [(LogNormal(covariance_type), [0, 1]), ("poisson", [2])]
    model = MixtureModel(2, families=pairs, random_state=0).fit(X)
    for row in ([2.0, np.nan, 5.0], [np.nan, np.nan, 5.0]):
        x = np.exp(np.linspace(-12, 16, 4001))
        grid = np.tile(row, (len(x), 1))
        grid[:, 1] = x
        density = np.exp(model.score_samples(grid))
        # By the trapezoid rule on log x, which is exact to rounding.
        expected = (density * x**2).sum() / (density * x).sum()
        assert model.impute([row])[0, 1] == pytest.approx(expected, rel=1e-6)
    assert not np.isnan(model.impute(X)).any()


def test_log_normal_means_out_of_range_are_filled_by_numbers(rng):
    x = np.exp(rng.normal(0, 50, size=(60, 1)))
    model = MixtureModel(families="lognormal").fit(x)
    assert 1e300 < model.impute([[np.nan]])[0, 0] < np.inf
    constant = MixtureModel(families="lognormal").fit(np.full((9, 1), 7.0))
    assert constant.impute([[np.nan]])[0, 0] == pytest.approx(7.0, rel=1e-6)


def test_sample_is_a_table_of_the_same_kind(data, model):
    X, y = model.sample(500, random_state=0)
    assert list(X.columns) == list(data[0].columns)
    assert (X.dtypes == data[0].dtypes).all()
    assert y.shape == (500,)
    assert adjusted_rand_score(y, model.predict(X)) > 0.9


@pytest.mark.parametrize("families", ["categorical", "poisson"])
def test_weights_are_repeated_rows(families, rng):
    X = rng.integers(4, size=(40, 3)).astype(float)
    weight = rng.integers(0, 4, size=40)
    options = dict(families=families, random_state=0, tol=1e-8)
    weighted = MixtureModel(**options).fit(X, sample_weight=weight)
    repeated = MixtureModel(**options).fit(np.repeat(X, weight, axis=0))
    for name, laws in repeated.parameters_.items():
        for key, values in laws.items():
            np.testing.assert_allclose(
                weighted.parameters_[name][key], values, rtol=1e-8
            )
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_)


def rare(rng):
    """Rows with weights; those of the last two, whose values are rare, are zero."""
    table = pd.DataFrame(
        {
            "answer": ["u", "v"] * 40 + ["rare", None],
            "plan": pd.Categorical(list("abcd") * 20 + ["rare", "a"]),
            "grade": [1, 2, 3, 4] * 20 + [2.5, 9],
            "flag": [0, 1] * 40 + [2, 1],
            "age": rng.normal(size=82),
        }
    )
    return table, np.r_[rng.uniform(0.5, 2, size=80), 0, 0]


RARE_FAMILIES = {"grade": "categorical", "flag": "bernoulli"}


def test_an_unknown_category_is_told_beside_those_that_are_known(rng):
    table, weight = rare(rng)
    model = MixtureModel(1, families=RARE_FAMILIES).fit(table, sample_weight=weight)
    text = table[:80].assign(grade=[str(each) for each in [1, 2, 3, 4] * 20])
    known = r"'1', .* in column 'grade'; the fit has seen \[1, 2, 3, 4\]\. With"
    with pytest.raises(ValueError, match=known):
        model.predict(text)
    many = pd.DataFrame({"letter": list("abcdefg") * 5})
    several = MixtureModel(1).fit(many)
    with pytest.raises(ValueError, match=r"'c', 'd', 'e'\] and 2 others\."):
        several.predict(many.assign(letter="z"))


@pytest.mark.parametrize(
    ("seen", "given"), [(1, "1"), (1, "1.0"), ("1", 1), (True, "True")]
)
def test_categories_of_another_type_had_been_gaps_without_a_word(seen, given):
    table = pd.DataFrame({"code": [seen, "other"] * 20, "b": list("uuvv") * 10})
    model = MixtureModel(1, handle_unknown="missing").fit(table)
    new = pd.DataFrame({"code": [given], "b": ["u"]})
    with pytest.warns(UserWarning, match=f"such as {given!r} .* has seen {seen!r}: "):
        model.predict(new)
    # What is not known in any type is a gap.
    model.predict(new.assign(code="z"))


@pytest.mark.parametrize("answers", ["categorical", "bernoulli"])
def test_a_category_of_rows_without_weight_is_none(answers, rng):
    table, weight = rare(rng)
    families = {**RARE_FAMILIES, "answer": answers}
    options = {"n_components": 2, "families": families, "random_state": 0}
    weighted = MixtureModel(**options).fit(table, sample_weight=weight)
    some, heavy = table[:80], weight[:80]
    left_out = MixtureModel(**options).fit(some, sample_weight=heavy)
    assert weighted.n_parameters_ == left_out.n_parameters_
    for name, labels in left_out.categories_.items():
        np.testing.assert_array_equal(weighted.categories_[name], labels)
        assert weighted.categories_[name].dtype == labels.dtype
    assert weighted.bic(table, weight) == pytest.approx(left_out.bic(some, heavy))
    assert weighted.summary(table, weight).bic == weighted.bic(table, weight)
    np.testing.assert_allclose(
        weighted.standard_errors(table, weight).weights,
        left_out.standard_errors(some, heavy).weights,
    )
    np.testing.assert_array_equal(weighted.labels_[:80], left_out.labels_)
    assert len(weighted.labels_) == 82
    with pytest.raises(ValueError, match="Found unknown categories"):
        weighted.predict(table)
    with pytest.raises(ValueError, match=r"unknown categories \['rare'\]"):
        weighted.score(table, sample_weight=weight + 1)
    again = clone(weighted).set_params(warm_start=True, handle_unknown="missing")
    again.fit(some, sample_weight=heavy).fit(table, sample_weight=weight)
    np.testing.assert_array_equal(again.labels_, again.predict(table))


REFUSED = {
    "poisson": [-1, 1.5],
    "negative_binomial": [-2, 0.5],
    "gamma": [-2, 0],
    "exponential": [-3, -1],
    "lognormal": [-1, 0],
}


@pytest.mark.parametrize("family", REFUSED)
def test_values_of_rows_without_weight_may_be_any(family, rng):
    """A family refused what it was not to be fitted to."""
    bad = REFUSED[family]
    X = np.r_[bad, 1.0 + rng.poisson(4, 300)][:, None]
    X = np.c_[X, rng.normal(size=302)]
    weight = np.r_[0.0, 0.0, np.ones(300)]
    families = [(family, [0]), ("gaussian", [1])]
    model = MixtureModel(2, families=families, random_state=0)
    found = clone(model).fit(X, sample_weight=weight)
    expected = clone(model).fit(X[2:])
    for name, own in expected.parameters_.items():
        for parameter, values in own.items():
            got = found.parameters_[name][parameter]
            np.testing.assert_allclose(got, values)
    assert len(found.labels_) == len(X)
    score = found.score(X, sample_weight=weight)
    assert score == pytest.approx(found.score(X[2:]))
    streams = [clone(model), clone(model)]
    for _ in range(2):
        streams[0].partial_fit(X, sample_weight=weight)
        streams[1].partial_fit(X[2:])
    means = [stream.parameters_["x1"]["mean"] for stream in streams]
    np.testing.assert_allclose(*means)
    # With weight, or where all rows are asked of, it is refused as before.
    with pytest.raises(ValueError, match=f"in row 1, which the family '{family}'"):
        clone(model).fit(X, sample_weight=np.r_[0, np.ones(301)])
    with pytest.raises(ValueError, match=r"such as -.* in row 0"):
        found.predict(X)


def test_text_of_rows_without_weight_makes_no_categories(rng):
    x = rng.normal(size=40)
    table = pd.DataFrame({"x": [*x, "n/a", None], "c": [*"ab" * 20, 1, "a"]})
    weight = np.r_[np.ones(40), 0, 0]
    own = MixtureModel(1).fit(table, sample_weight=weight)
    assert own.families_ == {"x": "gaussian", "c": "categorical"}
    left_out = MixtureModel(1).fit(table[:40])
    assert own.bic(table, weight) == pytest.approx(left_out.bic(table[:40]))
    assert len(own.labels_) == 42
    with pytest.raises(
        ValueError, match="such as 'n/a' in row 40; the fit has seen numb"
    ):
        own.predict(table)
    stream = MixtureModel(1).partial_fit(table[:30])
    stream.partial_fit(table, sample_weight=weight)
    assert stream.families_ == own.families_


def test_known_labels_stay_and_number_the_components(rng):
    z = rng.integers(2, size=200)
    X = (rng.random((200, 6)) < np.array([0.2, 0.8])[z][:, None]).astype(float)
    labels = np.where(rng.random(200) < 0.3, 1 - z, -1)
    model = MixtureModel(2, families="bernoulli", random_state=0).fit(X, labels=labels)
    assert adjusted_rand_score(z, model.predict(X)) > 0.6
    # Component 0 has the ones, as it was told.
    p = np.array([law["probability"] for law in model.parameters_.values()])
    assert (p[:, 0] > p[:, 1]).all()
    # What is known adds log w_k p_k(x), and is certain.
    log_density, resp = model.score_samples(X), model.predict_proba(X)
    own = np.log(resp[np.arange(200), labels])
    loglik = (log_density + np.where(labels < 0, 0, own)).sum()
    certainty = np.where(labels < 0, np.log(resp.max(axis=1)), 0).sum()
    bic = model.n_parameters_ * np.log(200) - 2 * loglik
    assert model.bic(X, labels=labels) == pytest.approx(bic)
    assert model.icl(X, labels=labels) == pytest.approx(bic - 2 * certainty)
    with pytest.raises(ValueError, match="labels should be in the range"):
        model.fit(X, labels=np.full(200, 5))


def test_equal_rows_are_merged_without_a_change(rng):
    X = rng.integers(3, size=(500, 3))
    labels = np.full(500, -1)
    one = MixtureModel(2, families="categorical", random_state=0, tol=1e-4)
    merged = clone(one).fit(X)
    # A column of many values, the same for every row but for its digits.
    apart = clone(one).set_params(
        families={
            0: "categorical",
            1: "categorical",
            2: "categorical",
            3: "exponential",
        }
    )
    apart.fit(np.column_stack([X, np.ones(500)]), labels=labels)
    assert merged.lower_bound_ == pytest.approx(apart.lower_bound_ + 1, abs=1e-5)


def test_auto_goes_by_what_columns_hold():
    frame = pd.DataFrame(
        {
            "text": ["a", "b", None, "b"],
            "bool": [True, False, True, True],
            "int": [1, 2, 3, 4],
            "float": [0.5, np.nan, 2, 3],
            "objects": np.array([1, 2.5, None, 3], dtype=object),
            "nullable": pd.array([1, None, 3, 4], dtype="Int64"),
            "decimal": [Decimal("1.5"), None, Decimal("NaN"), Decimal(3)],
        }
    )
    model = MixtureModel(covariance_type="diag").fit(frame)
    kinds = ["categorical"] * 2 + ["gaussian"] * 5
    assert list(model.families_.values()) == kinds
    assert model.categories_["text"].tolist() == ["a", "b"]
    assert model.categories_["bool"].tolist() == [False, True]
    assert model.parameters_["nullable"]["mean"][0] == pytest.approx(8 / 3)
    assert model.parameters_["decimal"]["mean"][0] == pytest.approx(2.25)
    array = MixtureModel().fit(frame[["text", "int"]].to_numpy())
    assert array.families_ == {"x0": "categorical", "x1": "gaussian"}
    assert array.sample(3)[0].dtype == object


@pytest.mark.parametrize("other", ["text", "bytes", "bools"])
@pytest.mark.parametrize("box", [list, tuple])
def test_a_list_has_the_types_of_its_cells(other, box, rng):
    pair = {"text": ("a", "b"), "bytes": (b"a", b"b"), "bools": (False, True)}[other]
    x = rng.normal(size=40)
    X = np.array([[v, pair[int(v > 0)], i] for i, v in enumerate(x)], dtype=object)
    X[3, 0] = np.nan
    rows = box(map(box, X))
    own, model = (MixtureModel(2, random_state=0).fit(each) for each in (rows, X))
    assert own.families_ == model.families_
    assert own.families_ == {"x0": "gaussian", "x1": "categorical", "x2": "gaussian"}
    assert list(own.categories_["x1"]) == list(pair)
    assert own.lower_bound_ == model.lower_bound_
    np.testing.assert_array_equal(own.predict_proba(rows), model.predict_proba(X))
    np.testing.assert_array_equal(own.impute(rows), model.impute(X))


def test_lists_of_pairs_make_groups(rng):
    X = rng.normal(size=(50, 4))
    pairs = [("gaussian", [0, 1]), ("gaussian", [2, 3])]
    model = MixtureModel(2, families=pairs, random_state=0).fit(X)
    assert list(model.covariances_) == [("x0", "x1"), ("x2", "x3")]
    assert all(c.shape == (2, 2, 2) for c in model.covariances_.values())
    assert model.n_parameters_ == 1 + 2 * (4 + 3 + 3)


class FakeSeries:
    """What of a polars series is used."""

    def __init__(self, values):
        self.values = values

    def to_numpy(self):
        return np.array(self.values)


class FakePolars:
    """What of a polars frame is used."""

    def __init__(self, columns):
        self.data = columns
        self.columns = list(columns)
        self.shape = (len(next(iter(columns.values()))), len(columns))

    def __len__(self):
        return self.shape[0]

    def get_column(self, name):
        return FakeSeries(self.data[name])


def test_frames_of_polars_are_read_by_columns():
    columns = {"plan": ["a", "b", None, "a"], "n": [1.0, 2.0, np.nan, 4.0]}
    ours = MixtureModel(families={1: "poisson"}).fit(FakePolars(columns))
    theirs = MixtureModel(families={1: "poisson"}).fit(pd.DataFrame(columns))
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_)


@pytest.mark.parametrize(
    ("column", "families", "message"),
    [
        (pd.date_range("2020", periods=4), "auto", "'x' has dates"),
        (
            pd.date_range("2020", periods=4, tz="UTC"),
            "auto",
            "'x' has dates, and families are of numbers and categories",
        ),
        (pd.to_timedelta([1, 2, 3, None], "D"), "auto", "'x' has durations"),
        (
            pd.period_range("2020", periods=4, freq="D"),
            "auto",
            "'x' has dates, .* Leave the column out, or turn them into numbers first",
        ),
        (pd.interval_range(0, 4), "auto", r"'x' has the dtype interval\[int64, right"),
        ([0.0, 1, 2, 3], "lognormal", "'x' has values that are not positive"),
        ([-1.0, 0, 2, 3], "gamma", "such as -1 in row 0, .* cannot take.$"),
        (
            [1, 2, 0, 3],
            "gamma",
            "such as 0 in row 2, which the .* The family 'hurdle_gamma' takes zeros",
        ),
        ([4, np.nan, 2, -3], "exponential", "negative values, such as -3 in row 3"),
        ([-1.0, 1, 2, 3], "poisson", "'x' has negative values, such as -1 in row 0"),
        (
            [1, 0.5, 2.5, 3],
            "negative_binomial",
            "not whole numbers, such as 0.5 in row 1",
        ),
        ([0, 1, 2, 3], "bernoulli", "other than 0 and 1, such as 2 in row 2, which"),
        ([1, 2, 2, 1], "bernoulli", "The family 'categorical' takes any numbers for"),
        (list("abca"), "bernoulli", "'x' has 3 categories"),
        (
            list("abca"),
            "gamma",
            "'x' has categories, such as 'a' in row 0, which the f",
        ),
        ([1, 2, "12,0", None], "poisson", "such as '12,0' in row 2, which the family"),
        (list("12x4"), "poisson", "'x' has categories, such as 'x' in row 2, which"),
        ([np.nan] * 4, "auto", r"Feature 0 \('x'\) of X has no value at all"),
        ([np.inf, 1, 2, 3], "auto", "infinity or a value too large"),
        ([1, 2, 3, 4], "cauchy", "Unknown family 'cauchy'"),
        ([1, 2, 3, 4], {"y": "poisson"}, "'y', which is no column"),
        ([1, 2, 3, 4], 3, "families must be 'auto'"),
    ],
)
def test_bad_columns_are_named_and_nothing_changes(column, families, message):
    model = MixtureModel(families=families)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(pd.DataFrame({"x": column}))
    assert vars(model) == before
    with pytest.raises(NotFittedError):
        model.predict([[0]])


@pytest.mark.parametrize("n", [20, 19])
@pytest.mark.parametrize("make", [int, str])
def test_a_few_cells_that_are_no_numbers_are_told(make, n):
    ages = [*map(make, range(n)), None]
    ages[7] = "45y"
    frame = pd.DataFrame({"age": ages, "b": np.arange(n + 1) % 7})
    message = f"'age' is taken for categories: {n - 1} of its {n} .* '45y' in row 7"
    for estimator in (MixtureModel(1), MixtureIC((1, 2), random_state=0)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator.fit(frame)
        told = [each for each in caught if "taken for" in str(each.message)]
        assert len(told) == (n == 20)
        for each in told:
            assert re.search(message, str(each.message))
            assert each.category is UserWarning and each.filename == __file__
        assert estimator.families_["age"] == "categorical"


@pytest.mark.each_value
@pytest.mark.parametrize("kind", [str, object, "category"])
@pytest.mark.parametrize("half", [30, 31])
def test_categories_that_name_rows_are_told(kind, half, rng):
    """A column of them would make one cluster of all rows; a family is a decision."""
    ids = np.r_[np.arange(half), rng.integers(half, size=60 - half)]
    names = pd.Series([f"u{i}" for i in ids] + [None] * 40).astype(kind)
    frame = pd.DataFrame({"x": rng.normal(size=100), "id": names})
    if kind is str:
        frame = frame[:60]
    message = "Column 'id' is taken for categories: its 60 cells are of 31 categories"
    search = MixtureIC((1, 2), n_init=1, max_iter=2, random_state=0)
    for estimator in (MixtureModel(1), search):
        for families, told in (("auto", half == 31), ({"id": "categorical"}, False)):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                clone(estimator).set_params(families=families).fit(frame)
            found = [str(w.message) for w in caught if "taken for" in str(w.message)]
            assert len(found) == told
            assert all(text.startswith(message) for text in found)
            assert all(w.filename == __file__ for w in caught)


@pytest.mark.parametrize(
    "frame",
    [
        {"a": [*"0123456789" * 2]},
        {"a": pd.Categorical([*range(19), "x"])},
        {"a": [True, False] * 10},
    ],
)
def test_columns_of_categories_are_taken_without_a_warning(frame):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MixtureModel(1).fit(pd.DataFrame(frame))
        odd = pd.DataFrame({"a": [*range(39), "x"]})
        MixtureModel(1, families={"a": "categorical"}).fit(odd)


def codes(rng, n=100, **columns):
    """Return answers coded from 1, as poLCA has them, and other columns."""
    coded = {name: rng.integers(1, 4, size=n) for name in "ABC"}
    return pd.DataFrame(coded | columns)


def test_a_table_of_codes_that_is_taken_for_numbers_is_told(rng):
    frame = codes(rng)
    frame.loc[3, "B"] = np.nan
    for estimator in (MixtureModel(1), MixtureIC((1, 2), n_init=1, random_state=0)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator.fit(frame)
        assert told_of_codes(caught) == [__file__]


def told_of_codes(caught):
    """Return the files that warnings of codes point at."""
    message = (
        "All 3 columns have few different whole numbers, such as 1, 2 and 3, and are "
        "fitted as Gaussian. If these are codes, take families='categorical'; if "
        "counts, 'poisson'; if numbers, 'gaussian', which ends this warning."
    )
    return [each.filename for each in caught if str(each.message) == message]


def test_rows_without_weight_have_no_say_on_codes(rng):
    frame, weight = codes(rng).astype(float), np.ones(100)
    frame.loc[3, "B"], weight[3] = 2.5, 0
    model = MixtureModel(1)
    with pytest.warns(UserWarning, match="All 3 columns have few different whole"):
        model.fit(frame, sample_weight=weight)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(frame)
        # Too few rows are left.
        model.fit(codes(rng), sample_weight=np.arange(100) < 20)


def test_streams_and_tests_warn_of_codes_once(rng):
    frame = codes(rng, 400)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = MixtureModel(2, random_state=0)
        for start in range(0, 400, 20):
            model.partial_fit(frame[start : start + 20])
    assert told_of_codes(caught) == [__file__]
    few = {"n_boot": 1, "random_state": 0}
    mixture = MixtureModel(n_init=1, max_iter=5)
    for test in (
        partial(bootstrap_lrt, k0=1),
        partial(sequential_bootstrap_lrt, max_components=3, alpha=0.6),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            test(mixture, frame[:100], **few)
        assert told_of_codes(caught) == [__file__]


@pytest.mark.parametrize(
    "change",
    [
        {"D": np.linspace(0, 1, 100)},
        {"D": np.arange(100) % 11},
        {"D": np.arange(100) % 3 + 2},
        {"D": np.zeros(100)},
        {"A": list("ab") * 50},
        {"A": np.arange(100) % 3 - 1},
        {"A": np.arange(100) % 3 / 2},
    ],
)
def test_other_numbers_are_taken_for_numbers_without_a_warning(change, rng):
    few = {"n_init": 1, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MixtureModel(1, **few).fit(codes(rng).assign(**change))
        MixtureModel(1, **few).fit(codes(rng)[["A", "B"]])
        MixtureModel(1, **few).fit(codes(rng, 20))
        MixtureModel(1, families="gaussian", **few).fit(codes(rng))
        MixtureModel(1, families={"A": "categorical"}, **few).fit(codes(rng))


@pytest.mark.parametrize(
    "x", [["x"] * 50, pd.Categorical(["x"] * 50, categories=["w", "x"]), [*"wx"] * 25]
)
def test_a_pair_of_categories_may_have_one_alone(x, tmp_path):
    frame = pd.DataFrame({"a": x, "b": np.linspace(0, 1, 50)})
    weight = (frame["a"] == "x").to_numpy(float)
    model = MixtureModel(2, families={"a": "bernoulli"}, random_state=0)
    model.fit(frame, sample_weight=weight)
    assert model.categories_["a"].tolist() == ["x"]
    np.testing.assert_array_equal(model.parameters_["a"]["probability"], 1)
    same = MixtureModel(2, families={"a": "categorical"}, random_state=0)
    same.fit(frame, sample_weight=weight)
    assert model.n_parameters_ == same.n_parameters_
    own = frame[weight > 0]
    np.testing.assert_array_equal(model.score_samples(own), same.score_samples(own))
    assert "a = x" in str(model.summary())
    assert "a = x" in str(model.standard_errors(own))
    TableDisplay.from_estimator(model)
    model.save(tmp_path / "model.json")
    found = load(tmp_path / "model.json")
    np.testing.assert_array_equal(found.score_samples(own), model.score_samples(own))
    assert set(found.sample(5)[0]["a"]) == {"x"}
    again = MixtureModel(2, families={"a": "bernoulli"}, random_state=0)
    again.set_params(
        parameters_init=copy.deepcopy(model.parameters_), weights_init=[0.5, 0.5]
    )
    again.fit(own)
    with pytest.raises(ValueError, match=r"unknown categories \['w'\] in column 'a'"):
        model.predict(frame.assign(a="w"))


def test_unknown_categories_are_an_error_or_missing():
    frame = pd.DataFrame({"a": list("xyxyxxyy"), "b": range(8)})
    model = MixtureModel(2, random_state=0).fit(frame)
    new = pd.DataFrame({"a": ["z"], "b": [3]})
    with pytest.raises(ValueError, match=r"unknown categories \['z'\] in column 'a'"):
        model.predict(new)
    model.set_params(handle_unknown="missing")
    gap = new.assign(a=None)
    np.testing.assert_allclose(model.score_samples(new), model.score_samples(gap))


@pytest.mark.parametrize(
    ("families", "x"),
    [
        ("poisson", np.repeat([3.0, 1e12], 10)),
        ("negative_binomial", np.repeat([3.0, 1e12], 10)),
        ("gamma", np.full(20, 2.0)),
        pytest.param("student", np.zeros(20), marks=pytest.mark.slow),
        ("categorical", np.zeros(20)),
        ("gaussian", np.zeros(20)),
    ],
)
@pytest.mark.filterwarnings("ignore:The parameters of the mixture are not identified")
def test_degenerate_columns_give_numbers(families, x):
    model = MixtureModel(3, families=families, random_state=0).fit(x[:, None])
    assert np.isfinite(model.score_samples(x[:, None])).all()
    np.testing.assert_allclose(model.predict_proba(x[:, None]).sum(axis=1), 1)


@pytest.mark.parametrize(
    ("levels", "n_components", "numbers"),
    [
        ((2, 2, 2), 2, None),
        ((2, 2, 2), 3, (11, 8, 7)),
        ((3, 3), 2, (9, 9, 8)),
        ((2, 2, 2, 2), 3, None),
        ((4, 1), 2, (7, 4, 3)),
    ],
)
def test_latent_classes_that_are_not_identified_are_told(
    levels, n_components, numbers, rng
):
    X = np.column_stack([rng.integers(c, size=400) for c in levels])
    model = MixtureModel(n_components, families="categorical", random_state=0)
    numbers = numbers and re.escape(
        "{} free ones, and a table of {} cells determines at most {}. Use fewer".format(
            *numbers
        )
    )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        model.fit(X)
        MixtureModel(**model.get_params()).partial_fit(X).partial_fit(X)
    told = [str(each.message) for each in told if "identified" in str(each.message)]
    assert len(told) == (0 if numbers is None else 2)
    assert all(re.search(numbers, each) for each in told)
    # Numbers identify it, and so do rows that are known.
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".* not identified")
        model.fit(X, labels=np.arange(400) % n_components)
        families = dict.fromkeys(range(len(levels) - 1), "categorical")
        X = np.c_[X[:, :-1], rng.normal(size=400)]
        model.set_params(families=families).fit(X)


def test_far_rows_belong_to_the_nearest_component():
    X = np.r_[np.arange(10.0), 100 + np.arange(10.0)][:, None]
    model = MixtureModel(2, covariance_type="tied", random_state=0).fit(X)
    far = model.predict([[-1e200], [1e200]])
    assert far.tolist() == model.predict([[0], [110]]).tolist()
    assert np.isfinite(model.score_samples([[1e300]])).all()


def test_too_few_steps_warn_and_models_are_pickled(data, model):
    table, _ = data
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        MixtureModel(2, max_iter=1, random_state=0).fit(table[["age", "plan"]][:50])
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(table), model.predict(table))


def test_large_tables_are_searched_on_a_part(rng):
    z = rng.integers(3, size=30_000)
    X = rng.normal(size=(30_000, 2)) + 3 * z[:, None]
    model = MixtureModel(3, covariance_type="diag", random_state=0).fit(X)
    assert adjusted_rand_score(z, model.predict(X)) > 0.9
    assert model.n_iter_ < 30


def test_summary_has_means_and_proportions(model):
    text = str(model.summary())
    for row in ("age: mean", "plan = pro", "member = True", "score: df", "weight"):
        assert row in text
    assert "<table>" in model.summary()._repr_html_()


def test_summary_says_which_means_are_those_of_logarithms(rng):
    X = np.column_stack([rng.normal(40, 9, 99), rng.lognormal(10, 1, 99)])
    table = pd.DataFrame(X, columns=["age", "income"])
    model = MixtureModel(families={"age": "gaussian", "income": "lognormal"}).fit(table)
    assert set(model.parameters_["income"]) == {"mean", "standard_deviation"}
    lines = [line.split() for line in str(model.summary()).splitlines()]
    labels = [" ".join(words[:-1]) for words in lines if words and ":" in words[0]]
    assert labels == [
        "age: mean",
        "age: standard_deviation",
        "income: mean of log",
        "income: standard_deviation of log",
    ]


def test_summary_of_data_has_sizes_and_criteria(model, data):
    table, _ = data
    weight = np.linspace(0.5, 1.5, len(table))
    found = model.summary(table, sample_weight=weight)
    labels = model.predict(table)
    sizes = [weight[labels == k].sum() for k in range(model.n_components)]
    np.testing.assert_allclose(found.sizes, sizes)
    loglik = model.score(table, sample_weight=weight) * weight.sum()
    np.testing.assert_allclose(found.log_likelihood, loglik)
    assert found.bic == model.bic(table, weight) and found.icl == model.icl(
        table, weight
    )
    assert (
        "BIC" in str(found) and "size" in str(found) and "<td>" in found._repr_html_()
    )
    with pytest.raises(ValueError, match="weights of X, which is None"):
        model.summary(sample_weight=weight)


class VonMises(Family):
    """Angles about a direction: T(x) = [cos x, sin x]; see the guide."""

    name = "von_mises"

    def statistics(self, x):
        return np.stack([np.cos(x), np.sin(x)])


def test_an_incomplete_family_says_what_it_lacks():
    with pytest.raises(TypeError, match="abstract"):
        VonMises()


@pytest.mark.parametrize("key", [("a", "b"), None, True, 1.5, slice(0, 2)])
def test_what_names_no_column_is_told(key):
    X = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [1.0, 3.0, 4.0]})
    keys = [[("gaussian", key)]]
    if not isinstance(key, slice):
        keys.append({key: "gaussian"})
    if isinstance(key, tuple):
        keys.pop(0)
    for families in keys:
        with pytest.raises(ValueError, match="one column is expected"):
            MixtureModel(1, families=families).fit(X)


def test_components_without_rows_are_told():
    X = np.random.default_rng(0).normal(np.repeat([0.0, 9.0], 40), 1)[:, None]
    labels = np.repeat([0, 1], 40)
    model = MixtureModel(3, random_state=0)
    with pytest.warns(DegenerateComponentsWarning, match=r"Components \[2\] rest on"):
        found = model.fit_predict(X, labels=labels)
    assert model.degenerate_components_.tolist() == [2]
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_array_equal(model.labels_, model.predict(X))
    model.set_params(n_components=2).fit(X)
    assert len(model.degenerate_components_) == 0


@pytest.mark.parametrize(
    ("family", "covariance_type"),
    [
        ("gaussian", "full"),
        ("gaussian", "tied"),
        ("gaussian", "VEE"),
        pytest.param("student", "full", marks=pytest.mark.slow),
        ("gamma", "full"),
        ("poisson", "full"),
        pytest.param("negative_binomial", "full", marks=pytest.mark.slow),
        ("categorical", "full"),
    ],
)
def test_degenerate_components_are_few_rows_or_coincide(family, covariance_type):
    rng = np.random.default_rng(0)
    X = 1.0 + rng.poisson(np.repeat([[2.0, 3.0], [20.0, 30.0]], 40, axis=0))
    model = MixtureModel(
        2, families=family, covariance_type=covariance_type, random_state=0
    ).fit(X)
    product, point = model._product, model._point
    assert degenerate_components(product, point, 80.0).tolist() == []
    assert degenerate_components(product, point, 0.5).tolist() == [0, 1]
    three = np.array([0, 1, 0])
    thrice = replace(product.ordered(point, three), weights=np.full(3, 1 / 3))
    assert degenerate_components(product, thrice, 80.0).tolist() == [0, 2]


def test_probabilities_are_features():
    X = pd.DataFrame({"a": [0.0, 0.1, 0.2, 9.0, 9.1, 9.3], "b": list("xxxyyy")})
    model = MixtureModel(2, random_state=0).set_output(transform="pandas")
    found = model.fit_transform(X)
    assert list(found.columns) == ["mixturemodel0", "mixturemodel1"]
    np.testing.assert_array_equal(found, model.predict_proba(X))


@pytest.mark.parametrize("container", ["array", "pandas"])
def test_single_precision_is_kept_and_gives_what_double_does(rng, container):
    z = rng.integers(2, size=400)
    X = np.column_stack(
        [
            rng.normal(3 * z),
            np.exp(rng.normal(2 * z)),
            rng.negative_binomial(3, 0.5 - 0.4 * z),
            rng.integers(0, 2 + z),
        ]
    ).astype(np.float32)
    X[rng.random(X.shape) < 0.1] = np.nan
    tables = [X, X.astype(float)]
    if container == "pandas":
        tables = [pd.DataFrame(table, columns=list("abcd")) for table in tables]
    families = {1: "gamma", 2: "negative_binomial", 3: "categorical"}
    single, double = (
        MixtureModel(2, families=families, random_state=0).fit(table)
        for table in tables
    )
    assert single.lower_bound_ == double.lower_bound_
    np.testing.assert_array_equal(
        single.predict_proba(tables[0]), double.predict_proba(tables[1])
    )
    np.testing.assert_array_equal(single.impute(tables[0]), double.impute(tables[1]))
    assert single._map(tables[0]).values.dtype == np.float32
    mixed = pd.DataFrame({"a": X[:, 0], "b": X[:, 1].astype(float)})
    assert MixtureModel().fit(mixed)._map(mixed).values.dtype == np.float64


@pytest.mark.parametrize(
    "family", ["poisson", "exponential", "gamma", "negative_binomial"]
)
def test_outliers_are_no_pseudo_observations(family, rng):
    """Of six sentinels the pooled mean is 20 000: components were drawn there."""
    z = rng.integers(0, 2, 300)
    X = 1.0 + rng.poisson(np.array([3, 20])[z][:, None], (300, 3))
    means = [X[6:][z[6:] == k, 0].mean() for k in range(2)]
    X[:6, 0] = 999_999
    mixture = MixtureModel(3, families=family, random_state=0).fit(X)
    assert adjusted_rand_score(z[6:], mixture.predict(X)[6:]) > 0.95
    name = "rate" if family == "poisson" else "mean"
    found = np.sort(mixture.parameters_["x0"][name])
    np.testing.assert_allclose(found, [*means, 999_999], rtol=0.1)


@pytest.mark.parametrize("far", [1e12, 9.97e36, 1e100])
def test_sentinels_are_as_far_as_they_are(far, rng, tmp_path):
    """They were where ten million standard deviations end, with all that is beyond."""
    x = rng.normal(size=(300, 1))
    x[:6] = far
    mixture = MixtureModel(2, families="gaussian", random_state=0).fit(x)
    assert mixture.parameters_["x0"]["mean"] == pytest.approx([x[6:].mean(), far])
    there, beyond = mixture.score_samples([[far], [1.1 * far]])
    assert there > -10 > beyond
    mixture.save(tmp_path / "far.json")
    again = skem.load(tmp_path / "far.json").score_samples([[far]])
    assert again == pytest.approx(there)


def test_a_table_of_few_values_beside_rounding_is_a_gaussian_mixture(rng):
    x = 1 + 1e-10 * rng.normal(size=1000)
    x[:50] = rng.uniform(10, 50, 50)
    X = np.c_[x, rng.normal(size=1000)]
    table = MixtureModel(2, families="gaussian", random_state=0).fit(X)
    mixture = GaussianMixture(2, random_state=0).fit(X)
    assert table.lower_bound_ == pytest.approx(mixture.lower_bound_)
    means = table.parameters_["x0"]["mean"]
    assert means == pytest.approx(mixture.means_[:, 0], rel=1e-3)


def test_as_many_rows_are_drawn_as_a_whole_number_says():
    model = MixtureModel(families="bernoulli", random_state=0).fit([[0], [1], [1]])
    X, y = model.sample(3.0)
    assert len(X) == len(y) == 3
    for n_samples, reason in ((2.5, "whole number"), (0, "at least one sample")):
        with pytest.raises(ValueError, match=reason):
            model.sample(n_samples)


@pytest.mark.parametrize("kind", ["category", "object", "array"])
def test_imputing_leaves_categories_that_are_not_known(kind):
    """They are missing when rows are scored, but a person wrote them there."""
    table = pd.DataFrame({"n": [1.0, 2, 9, 8] * 9, "area": ["u", "u", "v", "v"] * 9})
    table["area"] = table["area"].astype("object" if kind == "array" else kind)
    new = pd.DataFrame({"n": [9.0, np.nan, 1.0], "area": ["abroad", "u", None]})
    if kind == "array":
        table, new = table.to_numpy(), new.to_numpy()
    model = MixtureModel(2, handle_unknown="missing", random_state=0).fit(table)
    found = np.asarray(model.impute(new), dtype=object)
    assert found[:, 1].tolist() == ["abroad", "u", "u"]
    assert found[0, 0] == 9
    assert found[1, 0] == pytest.approx(1.5, abs=0.3)


def test_a_summary_says_what_is_of_logarithms():
    """A mean of logarithms beside zeros was called a mean."""
    amounts = np.exp(np.linspace(0, 2, 40))
    table = pd.DataFrame({"all": amounts, "some": amounts * (np.arange(40) % 4 > 0)})
    families = {"all": "lognormal", "some": "hurdle_lognormal"}
    text = str(MixtureModel(families=families).fit(table).summary())
    assert "all: mean of log " in text
    assert "some: mean of log " in text
    assert "some: standard_deviation of log " in text
    assert "some: zero_probability  0.250" in text
    never = MixtureModel(families="hurdle_lognormal").fit(table[["all"]])
    line = next(x for x in str(never.summary()).splitlines() if "zero_prob" in x)
    assert float(line.split()[-1]) == 0


@pytest.mark.parametrize("dtype", ["int8", "uint8", "UInt8", "int64"])
def test_draws_beyond_an_integer_type_do_not_wrap_around(dtype):
    """Counts of a mean near 127 had come back as negative ones."""
    rng = np.random.default_rng(0)
    most = {"int8": 127, "int64": 2**62}.get(dtype, 255)
    rate = 120 if dtype == "int8" else 240
    table = pd.DataFrame({"n": np.minimum(rng.poisson(rate, 100), most)})
    table = table.astype(dtype)
    model = MixtureModel(families={"n": "poisson"}).fit(table)
    drawn = model.sample(500, random_state=0)[0]["n"]
    assert drawn.min() > rate / 2
    assert drawn.mean() == pytest.approx(table["n"].mean(), rel=0.02)
    assert (drawn.max() > most) == (dtype != "int64")
    # All that fit into the type have it.
    assert model.sample(2, random_state=0)[0]["n"].dtype == table["n"].dtype
    table.loc[::5, "n"] = pd.NA if dtype == "UInt8" else table["n"].max()
    filled = model.impute(table, sample=True, random_state=0)
    assert filled["n"].min() > rate / 2


def test_rows_without_weight_have_no_say_on_columns():
    """Neither on what they are of, nor as examples of what is wrong with them."""
    weight = [0, 1, 1, 1]
    table = pd.DataFrame({"a": ["b", "c", "c", "d"]})
    with pytest.raises(ValueError, match="has categories, such as 'c' in row 1"):
        MixtureModel(families="gaussian").fit(table, sample_weight=weight)
    table = pd.DataFrame({"a": ["b", 1.0, np.inf, 2.0]})
    with pytest.raises(ValueError, match=r"infinity .*, in column 'a'"):
        MixtureModel().fit(table, sample_weight=weight)


def test_of_many_rows_categories_have_the_weights_of_their_rows(monkeypatch, rng):
    X = rng.integers(3, size=(200, 1)).astype(float)
    weight = np.where(X[:, 0] == 2, 5.0, 1.0)
    model = MixtureModel(families="categorical", pseudo_observations=50)
    expected = model.fit(X, sample_weight=weight).score_samples(X)
    monkeypatch.setattr("skem._inputs.families.ROWS_IN_BLOCKS", 50)
    np.testing.assert_allclose(
        model.fit(X, sample_weight=weight).score_samples(X), expected
    )


def test_a_fit_tells_how_high_its_searches_have_come(rng):
    z = rng.integers(3, size=300)
    X = np.column_stack([rng.poisson(3 + 9 * z), rng.normal(4 * z), z % 2])
    weight = rng.integers(1, 4, 300)
    families = {0: "poisson", 1: "gaussian", 2: "bernoulli"}
    model = MixtureModel(3, families=families, n_init=4, random_state=0)
    model.fit(X, sample_weight=weight)
    bounds = model.search_bounds_
    assert bounds.shape == (4,)
    assert bounds[0] == model.lower_bound_
    assert (np.diff(bounds) <= 0).all()
    # Groups that are apart have one good optimum, which most searches find.
    assert np.count_nonzero(weight.sum() * (bounds[0] - bounds) < 0.1) >= 2
    again = clone(model).set_params(n_init=1).fit(X)
    assert again.search_bounds_.tolist() == [again.lower_bound_]
    again.set_params(warm_start=True).fit(X)
    assert again.search_bounds_.tolist() == [again.lower_bound_]
    assert not hasattr(again.partial_fit(X), "search_bounds_")


def test_draws_given_some_columns_are_those_of_the_conditional(data, model):
    given = {"age": 45.0, "plan": "basic", "visits": 5}
    table, labels = model.sample(3000, random_state=0, given=given)
    assert list(table.columns) == list(data[0].columns)
    assert (table["age"] == 45).all()
    assert (table["plan"] == "basic").all()
    assert (table["visits"] == 5).all()
    part = model.conditional(given)
    others, same = part.sample(3000, random_state=0)
    np.testing.assert_array_equal(labels, same)
    for name in others:
        np.testing.assert_array_equal(table[name], others[name])
    # The height of those of this age: from the regression on it.
    ((_, covariances),) = (
        (names, c) for names, c in model.covariances_.items() if "height" in names
    )
    means = model.parameters_["height"]["mean"] + covariances[:, 0, 1] / covariances[
        :, 0, 0
    ] * (45 - model.parameters_["age"]["mean"])
    expected = part.weights_ @ means
    assert table["height"].mean() == pytest.approx(expected, abs=0.5)
    with pytest.raises(ValueError, match="no category 'gold'"):
        model.sample(given={"plan": "gold"})
    with pytest.raises(ValueError, match="at least one column without a value"):
        model.sample(given=table.iloc[0].tolist())


def test_the_region_of_highest_density_has_its_mass(model):
    level = model.hdr_level(0.9, n_samples=20_000, random_state=0)
    share = model.score_samples(model.sample(20_000, random_state=1)[0]) >= level
    # Five standard errors of both shares.
    assert share.mean() == pytest.approx(0.9, abs=5 * np.sqrt(2 * 0.09 / 20_000))
    rates = MixtureModel(families="poisson").fit([[0], [1], [2], [3], [4]])
    level = rates.hdr_level(0.6, random_state=0)
    inside = np.flatnonzero(rates.score_samples(np.arange(9)[:, None]) >= level)
    # Of Poisson(2): 1 and 2 have 0.541, and 0.722 with 3.
    assert inside.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="The 'prob' parameter of"):
        model.hdr_level(1.0)


def test_verbose_prints_a_line_for_each_search_and_batch(rng, capsys):
    z = rng.integers(2, size=200)
    X = np.column_stack([rng.poisson(2 + 9 * z), rng.random(200) < 0.2 + 0.6 * z])
    options = dict(families={0: "poisson", 1: "bernoulli"}, n_init=3, random_state=0)
    model = MixtureModel(2, **options).fit(X)
    assert capsys.readouterr().out == ""
    model = MixtureModel(2, verbose=1, **options).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("Search: mean log-likelihood -") for line in lines)
    values = sorted((float(line.split()[-1]) for line in lines), reverse=True)
    np.testing.assert_allclose(values, model.search_bounds_, atol=2e-6)
    model.set_params(warm_start=True).fit(X)
    (line,) = capsys.readouterr().out.splitlines()
    assert line == f"Run from the given parameters: {lines[0].partition(': ')[2]}"
    model.partial_fit(X)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[:2] == ["Iteration", str(model.n_iter_)]
    assert float(line.split()[-1]) == pytest.approx(model.lower_bound_, abs=1e-6)


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_the_width_of_steps_takes_nothing_from_slopes(rng, covariance_type, tmp_path):
    """Imputed values, draws and conditional laws are those of least squares."""
    x = np.column_stack([rng.integers(0, 2, 800), rng.integers(1, 6, 800)]).astype(
        float
    )
    y = 3 * x[:, 0] - x[:, 1] + rng.normal(size=800)
    model = MixtureModel(covariance_type=covariance_type).fit(np.column_stack([x, y]))
    model.save(tmp_path / "model.json")
    A = np.column_stack([np.ones(800), x])
    line = np.linalg.lstsq(A, y)[0]
    for one in (model, load(tmp_path / "model.json")):
        rows = np.column_stack([x, np.full(800, np.nan)])
        np.testing.assert_allclose(one.impute(rows)[:, 2], A @ line, atol=0.01)
        away = one.impute(rows, sample=True, random_state=0)[:, 2] - A @ line
        assert np.std(away) == pytest.approx(np.std(y - A @ line), rel=0.07)
        law = one.conditional({"x0": 1.0, "x1": 2.0}).parameters_["x2"]
        assert law["mean"][0] == pytest.approx(line @ [1, 1, 2], abs=0.01)
        spread = np.std(y - A @ line)
        assert law["standard_deviation"][0] == pytest.approx(spread, rel=0.01)
