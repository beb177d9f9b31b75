"""The summary: its numbers against the methods, and its tables."""

import dataclasses
import re
from copy import deepcopy
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from scipy.special import xlogy
from sklearn.base import clone

import skem
from skem import (
    BayesianGaussianMixture,
    GaussianMixture,
    GaussianMixtureIC,
    MixtureIC,
    MixtureModel,
    StudentMixture,
)
from skem.datasets import load_faithful

pytestmark = pytest.mark.usefixtures("short_search")


@pytest.fixture(scope="module")
def X():
    return load_faithful().data


@cache
def fitted(covariance_type):
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    return mixture.fit(load_faithful().data)


@pytest.fixture
def mixture(structure):
    return deepcopy(fitted(structure.name))


@pytest.fixture(params=[None, "counts", "fractions"])
def weight(request, X, rng):
    return {
        None: None,
        "counts": rng.integers(0, 4, len(X)),
        "fractions": rng.uniform(0.1, 2, len(X)),
    }[request.param]


def known(K=2, d=1, sd=1.0, names=None):
    """Return a mixture of K components in a row, and its summary."""
    means = 3.0 * np.arange(K)[:, None] + np.zeros(d)
    mixture = GaussianMixture.from_parameters(
        np.full(K, 1 / K), means, np.full(K, sd**2), "spherical"
    )
    if names is not None:
        mixture.feature_names_in_ = np.array(names, dtype=object)
    return mixture.summary()


def table(text, title):
    """Return the rows of the table below a title as lists of words."""
    return [
        line.split()
        for line in text.split(f"{title}\n\n")[1].split("\n\n")[0].splitlines()
    ]


# The numbers


@pytest.mark.each_value
def test_numbers_on_data_are_those_of_the_methods(mixture, X, weight):
    summary = mixture.summary(X, sample_weight=weight)
    v = np.ones(len(X)) if weight is None else weight
    # Sums over blocks and over all rows are rounded differently.
    close = {"rtol": 1e-12}
    assert summary.n_samples == pytest.approx(v.sum(), rel=1e-12)
    loglik = mixture.score(X, sample_weight=weight) * v.sum()
    np.testing.assert_allclose(summary.log_likelihood, loglik, **close)
    for name in ["bic", "aic", "icl"]:
        expected = getattr(mixture, name)(X, sample_weight=weight)
        np.testing.assert_allclose(getattr(summary, name), expected, **close)
    resp = mixture.predict_proba(X)
    np.testing.assert_allclose(summary.effective_sizes, v @ resp, **close)
    sizes = np.bincount(mixture.predict(X), weights=v, minlength=3)
    np.testing.assert_allclose(summary.sizes, sizes, **close)
    entropy = -(v @ xlogy(resp, resp)).sum()
    np.testing.assert_allclose(summary.entropy, entropy, rtol=1e-10)
    relative = 1 - entropy / (v.sum() * np.log(3))
    assert summary.relative_entropy == pytest.approx(relative, rel=1e-10)
    label = mixture.predict(X)
    for k in range(3):
        own = label == k
        if v[own].any():
            mean = np.average(resp[own], axis=0, weights=v[own])
            np.testing.assert_allclose(summary.mean_probabilities[k], mean, atol=1e-12)


@pytest.mark.parametrize(
    "estimator",
    [
        GaussianMixture(3, random_state=0),
        StudentMixture(3, n_init=1, random_state=0),
        GaussianMixtureIC(3, covariance_type="full", random_state=0),
        MixtureIC(3, covariance_type="full", random_state=0),
    ],
)
def test_numbers_of_known_components_are_those_of_the_methods(estimator, X):
    weight = np.arange(len(X)) % 3.0
    labels = np.where(np.arange(len(X)) < 60, np.arange(len(X)) % 3, -1)
    mixture = clone(estimator).fit(X, sample_weight=weight, labels=labels)
    summary = mixture.summary(X, weight, labels)
    for name in ["bic", "aic", "icl"]:
        right = getattr(mixture, name)(X, weight, labels)
        assert getattr(summary, name) == pytest.approx(right, rel=1e-12)
    own = np.where(labels >= 0, labels, mixture.predict(X))
    np.testing.assert_allclose(summary.sizes, np.bincount(own, weight, 3))
    assert mixture.summary(X, weight).bic == pytest.approx(mixture.bic(X, weight))
    if not isinstance(estimator, MixtureIC):
        mean = summary.log_likelihood / weight.sum()
        assert mean == pytest.approx(summary.lower_bound, abs=1e-6)


def quantities(summary):
    """Return the lines of the table of the fit, by name."""
    lines = str(summary).split("\nFit\n\n")[1].split("\n\n")[0].splitlines()
    return dict(line.strip().rsplit(maxsplit=1) for line in lines)


@pytest.mark.parametrize(
    ("estimator", "name", "of_each"),
    [
        (GaussianMixture(2, random_state=0), "mean log-likelihood of the fit", True),
        (
            GaussianMixture(2, noise=True, random_state=0),
            "mean log-likelihood of the fit",
            True,
        ),
        (StudentMixture(2, random_state=0), "mean log-likelihood of the fit", True),
        (
            BayesianGaussianMixture(2, random_state=0),
            "evidence lower bound of the fit",
            False,
        ),
    ],
)
def test_the_bound_of_the_fit_is_called_what_it_is(estimator, name, of_each, X):
    mixture = clone(estimator).fit(X)
    summary = mixture.summary(X)
    shown = quantities(summary)
    assert float(shown[name]) == pytest.approx(mixture.lower_bound_, abs=5e-3)
    assert summary.is_evidence is not of_each
    total = float(shown["log-likelihood"])
    if of_each:
        assert mixture.lower_bound_ * len(X) == pytest.approx(total, abs=0.01)
    else:
        # Of all rows, and below the likelihood.
        assert mixture.lower_bound_ < total
        assert "mean log-likelihood of the fit" not in shown


@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture, GaussianMixtureIC])
def test_likelihoods_that_differ_in_labels_are_told_apart(kind, X, tmp_path):
    labels = np.where(np.arange(len(X)) < 60, np.arange(len(X)) % 3, -1)
    mixture = kind(3, random_state=0).fit(X, labels=labels)
    bound, total = "mean log-likelihood of the fit", "log-likelihood"
    with_labels, without = ", with labels", ", without labels"
    assert {bound, total} <= quantities(mixture.summary(X, labels=labels)).keys()
    found = quantities(mixture.summary(X))
    assert {bound + with_labels, total + without} <= found.keys()
    assert bound + with_labels in quantities(mixture.summary())
    # Nothing is known of any row.
    found = quantities(mixture.summary(X, labels=np.full(len(X), -1)))
    assert total + without in found
    mixture.save(tmp_path / "mixture.json")
    other = skem.load(tmp_path / "mixture.json")
    assert str(other.summary(X)) == str(mixture.summary(X))
    mixture.fit(X)
    assert {bound, total} <= quantities(mixture.summary(X)).keys()
    found = quantities(mixture.summary(X, labels=labels))
    assert {bound + without, total + with_labels} <= found.keys()


def test_a_batch_without_labels_is_not_said_to_have_them(X):
    labels = np.arange(len(X)) % 2
    mixture = GaussianMixture(2, random_state=0).fit(X, labels=labels)
    assert mixture.summary().fit_has_labels
    assert not mixture.partial_fit(X).summary().fit_has_labels


def test_a_table_says_which_likelihood_is_with_labels(X):
    labels = np.where(np.arange(len(X)) < 60, np.arange(len(X)) % 2, -1)
    mixture = MixtureModel(2, random_state=0).fit(X, labels=labels)
    bound = f"{mixture.lower_bound_:.6f}"
    text = str(mixture.summary(X, labels=labels))
    assert f"mean log-likelihood (without labels) {bound}" in text
    assert "log-likelihood, with labels" in text
    assert f"mean log-likelihood {bound}" in str(mixture.summary(X))
    assert "with labels" not in str(mixture.summary(X))


def test_parameters_are_those_of_the_mixture(mixture):
    summary = mixture.summary()
    for name in ["weights", "means"]:
        np.testing.assert_array_equal(
            getattr(summary, name), getattr(mixture, f"{name}_")
        )
    assert summary.n_parameters == mixture.n_parameters_
    assert summary.lower_bound == mixture.lower_bound_
    assert summary.converged is True
    assert summary.covariance_type == mixture.covariance_type


def test_deviations_and_correlations_are_those_of_the_covariances(
    structure, make_mixture
):
    made = make_mixture(structure, 3, 4)
    mixture = GaussianMixture.from_parameters(
        made.parameters.weights,
        made.parameters.means,
        made.covariances,
        structure.name,
    )
    summary = mixture.summary()
    deviations = np.sqrt(np.diagonal(made.dense, axis1=1, axis2=2))
    np.testing.assert_allclose(summary.standard_deviations, deviations, rtol=1e-12)
    if not structure.matrices:
        assert summary.correlations.shape == (0, 4, 4)
        return
    assert len(summary.correlations) == (1 if structure.shared else 3)
    for k, found in enumerate(summary.correlations):
        expected = made.dense[k] / np.outer(deviations[k], deviations[k])
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_without_data_nothing_is_said_of_data():
    summary = known()
    for name in [
        "n_samples",
        "sizes",
        "effective_sizes",
        "log_likelihood",
        "bic",
        "aic",
        "icl",
        "entropy",
        "relative_entropy",
        "mean_probabilities",
        "lower_bound",
        "converged",
    ]:
        assert getattr(summary, name) is None
    assert "BIC" not in str(summary)
    assert "converged" not in str(summary)


def test_overlap_is_the_integral_of_the_root_of_both_densities(rng):
    sd = np.array([1.0, 0.2, 3.0])
    means = np.array([0.0, 1.0, 2.0])
    mixture = GaussianMixture.from_parameters(
        [0.2, 0.3, 0.5], means[:, None], sd**2, "spherical"
    )
    t = np.linspace(-40, 40, 100_001)
    density = np.exp(-0.5 * ((t - means[:, None]) / sd[:, None]) ** 2)
    root = np.sqrt(density / (sd[:, None] * np.sqrt(2 * np.pi)))
    # A sum over a grid is exact to rounding for what is smooth and vanishes.
    expected = root @ root.T * (t[1] - t[0])
    np.testing.assert_allclose(mixture.summary().overlap, expected, rtol=1e-10)


def test_overlap_is_the_formula_for_matrices(structure, make_mixture):
    made = make_mixture(structure, 4, 3)
    means = made.parameters.means
    mixture = GaussianMixture.from_parameters(
        made.parameters.weights, means, made.covariances, structure.name
    )
    overlap = mixture.summary().overlap
    for j in range(4):
        for k in range(4):
            middle = (made.dense[j] + made.dense[k]) / 2
            delta = means[j] - means[k]
            _, own = np.linalg.slogdet(made.dense[[j, k]])
            distance = delta @ np.linalg.solve(middle, delta) / 8 + 0.5 * (
                np.linalg.slogdet(middle)[1] - own.mean()
            )
            np.testing.assert_allclose(overlap[j, k], np.exp(-distance), rtol=1e-10)


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1e8, 1e150])
def test_overlap_has_no_units(scale):
    overlap = known(3).overlap
    means = scale * 3.0 * np.arange(3)[:, None]
    other = GaussianMixture.from_parameters(
        np.full(3, 1 / 3), means, np.full(3, scale**2), "spherical"
    )
    np.testing.assert_allclose(other.summary().overlap, overlap, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        np.ones((20, 2)),
        np.column_stack([np.arange(20.0), np.ones(20)]),
        np.vstack([np.random.default_rng(0).standard_normal((20, 2)), [[1e160, 0]]]),
        1e160 * np.random.default_rng(0).standard_normal((20, 2)),
        np.arange(40).reshape(20, 2),
        np.arange(40).reshape(20, 2).astype(np.float32),
    ],
    ids=["constant", "constant column", "far", "huge", "int", "float32"],
)
def test_degenerate_data_have_a_summary(data, structure):
    mixture = GaussianMixture(
        3, covariance_type=structure.name, random_state=0, tol=1.0
    ).fit(data)
    summary = mixture.summary(data)
    assert not re.search(r"\bnan\b", str(summary))
    assert ((summary.overlap >= 0) & (summary.overlap <= 1)).all()
    assert summary.effective_sizes.sum() == pytest.approx(len(data), rel=1e-6)


def test_summary_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        known().bic = 0.0


def test_bad_input_is_refused(mixture, X):
    with pytest.raises(ValueError, match="features"):
        mixture.summary(X[:, :1])
    with pytest.raises(ValueError, match="Negative values"):
        mixture.summary(X, sample_weight=-np.ones(len(X)))
    with pytest.raises(ValueError, match="`sample_weight` are weights of X"):
        mixture.summary(sample_weight=np.ones(len(X)))
    with pytest.raises(ValueError, match="`labels` are components of rows of X"):
        mixture.summary(labels=np.zeros(len(X), int))
    with pytest.raises(ValueError, match="labels should be in the range"):
        mixture.summary(X, labels=np.full(len(X), 3))


# The tables


def test_names_are_those_of_the_fit(X):
    frame = pd.DataFrame(X, columns=["eruptions", "waiting"])
    summary = GaussianMixture(2, random_state=0).fit(frame).summary(frame)
    assert summary.feature_names == ("eruptions", "waiting")
    assert table(str(summary), "Means")[0] == ["component", "eruptions", "waiting"]
    assert known(d=2).feature_names == ("x0", "x1")


def test_fit_is_printed(mixture, X):
    summary = mixture.summary(X)
    rows = {" ".join(words[:-1]): words[-1] for words in table(str(summary), "Fit")}
    assert rows["samples"] == "272"
    assert rows["parameters"] == str(mixture.n_parameters_)
    assert rows["converged"] == "yes"
    assert rows["BIC"] == f"{mixture.bic(X):.2f}"
    assert repr(summary) == str(summary)


def test_sizes_are_whole_numbers_unless_weights_are_not(mixture, X):
    sizes = [row[2] for row in table(str(mixture.summary(X)), "covariances")[1:]]
    assert sum(map(int, sizes)) == 272
    halves = mixture.summary(X[:3], sample_weight=[0.5, 0.25, 0.5])
    sizes = [row[2] for row in table(str(halves), "covariances")[1:]]
    assert all(re.fullmatch(r"\d+\.\d", size) for size in sizes)


@pytest.mark.parametrize(("K", "shown"), [(60, 60), (61, 60)])
def test_many_components_are_abbreviated(K, shown):
    _, *rows = table(str(known(K)), "Means")
    names = [row[0] for row in rows]
    if shown == K:
        assert names == list(map(str, range(K)))
    else:
        assert names == [*map(str, range(30)), "...", *map(str, range(31, 61))]


@pytest.mark.parametrize("d", [20, 21, 500])
def test_many_features_are_abbreviated(d):
    text = str(known(d=d))
    means = text.split("Means\n\n")[1].split("Standard deviations")[0]
    names = re.findall(r"x\d+", means)
    if d == 20:
        assert names == [f"x{j}" for j in range(20)]
    else:
        assert names == [f"x{j}" for j in [*range(10), *range(d - 10, d)]]
        assert "..." in means
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("K", [6, 7])
def test_overlap_of_many_components_is_that_of_the_largest(K):
    text = str(known(K))
    if K == 6:
        rows = table(text, "Overlap of components (Bhattacharyya coefficients)")
        assert len(rows) == 7
        # δ²/8 of means three deviations apart.
        assert rows[2][1] == f"{np.exp(-9 / 8):.4f}"
    else:
        (line,) = [line for line in text.splitlines() if "overlaps" in line]
        assert line.endswith("5 of 21")
    assert "verlap" not in str(known(1))


@pytest.mark.parametrize(("K", "matrices"), [(3, True), (12, False)])
def test_many_correlation_matrices_are_those_of_the_largest(K, matrices):
    mixture = GaussianMixture.from_parameters(
        np.full(K, 1 / K),
        np.arange(6.0 * K).reshape(K, 6),
        np.broadcast_to(np.eye(6) + 0.5, (K, 6, 6)),
    )
    text = str(mixture.summary())
    assert ("Correlations, component 0" in text) == matrices
    assert ("Largest correlations" in text) != matrices


class Tables(HTMLParser):
    """Check that tags are closed in order, and collect header cells."""

    def __init__(self):
        super().__init__()
        self.open, self.headers, self.captions = [], [], []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        if tag == "th":
            assert dict(attributes)["scope"] in ("row", "col")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "th":
            self.headers.append(data)
        if self.open and self.open[-1] == "caption":
            self.captions.append(data)


def test_html_has_the_same_tables(mixture, X):
    summary = mixture.summary(X)
    parser = Tables()
    parser.feed(summary._repr_html_())
    assert not parser.open
    for caption in parser.captions:
        assert caption in str(summary)
    assert {"Means", "Standard deviations", "Fit"} <= set(parser.captions)
    assert "BIC" in parser.headers


def test_names_are_escaped():
    summary = known(d=2, names=["<script>alert(1)</script>", 'a & "b"\x1b'])
    text = summary._repr_html_()
    assert "<script>" not in text
    parser = Tables()
    parser.feed(text)
    assert 'a & "b"?' in parser.headers
    assert "\x1b" not in str(summary)


def test_labels_of_one_component_are_sure_and_those_without_rows_have_no_mean(X):
    one = GaussianMixture(1).fit(X).summary(X)
    assert one.relative_entropy is None
    assert one.mean_probabilities.tolist() == [[1.0]]
    assert "relative entropy" not in str(one)
    apart = GaussianMixture.from_parameters(
        [0.5, 0.5], [[0.0], [9.0]], [1.0, 1.0], covariance_type="spherical"
    )
    found = apart.summary([[0.0], [0.1]])
    np.testing.assert_allclose(found.mean_probabilities[0], [1, 0], atol=1e-9)
    assert np.isnan(found.mean_probabilities[1]).all()
    assert found.relative_entropy == pytest.approx(1)
    assert table(str(found), "rows of each label")[2] == ["1"]


def test_a_table_says_the_same_of_its_labels(X):
    model = MixtureModel(3, random_state=0, covariance_type="diag").fit(X)
    weight = np.arange(len(X)) % 3.0
    found = model.summary(X, weight)
    resp, label = model.predict_proba(X), model.predict(X)
    entropy = -(weight @ xlogy(resp, resp)).sum()
    assert found.entropy == pytest.approx(entropy)
    relative = 1 - entropy / (weight.sum() * np.log(3))
    assert found.relative_entropy == pytest.approx(relative)
    np.testing.assert_allclose(found.effective_sizes, weight @ resp)
    np.testing.assert_allclose(found.sizes, np.bincount(label, weight, 3))
    for k, own in enumerate(found.mean_probabilities):
        mean = np.average(resp[label == k], axis=0, weights=weight[label == k])
        np.testing.assert_allclose(own, mean)
    assert "relative entropy" in str(found)


def test_frames_have_a_row_for_each_component(rng):
    X = np.vstack([rng.normal(size=(60, 2)), rng.normal(9, 2, (40, 2))])
    frame = pd.DataFrame(X, columns=["a", "b"])
    mixture = GaussianMixture(2, random_state=0).fit(frame)
    found = mixture.summary(frame).to_frame()
    assert found.index.name == "component"
    means = ["a: mean", "b: mean"]
    deviations = ["a: standard_deviation", "b: standard_deviation"]
    assert list(found) == [
        "weight",
        "size",
        *np.ravel([*zip(means, deviations, strict=True)]),
    ]
    assert found["size"].tolist() == [60, 40]
    np.testing.assert_array_equal(found[means], mixture.means_)
    variances = np.diagonal(mixture.covariances_, axis1=1, axis2=2)
    np.testing.assert_allclose(found[deviations] ** 2, variances)
    student = StudentMixture(2, random_state=0).fit(X)
    found = student.summary().to_frame()
    assert list(found)[:3] == ["weight", "df", "x0: mean"]
    np.testing.assert_array_equal(found["df"], student.df_)
    assert "x1: scale" in found


def test_frames_of_tables_have_what_is_printed(rng):
    z = rng.integers(2, size=120)
    table = pd.DataFrame(
        {
            "visits": rng.poisson(2 + 9 * z),
            "plan": np.array(["free", "paid", "pro"])[rng.integers(0, 2 + z)],
        }
    )
    model = MixtureModel(2, random_state=0).fit(table)
    found = model.summary(table).to_frame()
    assert list(found) == [
        *("weight", "size", "visits: mean", "visits: standard_deviation"),
        *("plan = free", "plan = paid", "plan = pro"),
    ]
    np.testing.assert_array_equal(found["weight"], model.weights_)
    np.testing.assert_array_equal(
        found.iloc[:, -3:], model.parameters_["plan"]["proportions"]
    )
    printed = str(model.summary(table))
    for name in found:
        assert name in printed
