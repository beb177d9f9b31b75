"""Standard errors where rows were drawn in groups, and may depend on each other."""

import numpy as np
import pytest

from skem import GaussianMixture, MixtureModel, StudentMixture

KINDS = [GaussianMixture, StudentMixture, MixtureModel]
DOUBLE = "ignore:The mixture is not at a maximum"


def clusters_of(rng, n=300):
    """Rows of two clusters far apart, the first of them larger."""
    labels = (rng.random(n) < 0.4).astype(int)
    return np.array([[0.0, 0.0], [60.0, 50.0]])[labels] + rng.normal(size=(n, 2))


def fitted(kind, X, **options):
    if kind is StudentMixture:
        options["df"] = 8.0
    return kind(2, random_state=0, tol=1e-8).set_params(**options).fit(X)


def listed(errors):
    return errors.to_frame()["error"].to_numpy()


def of_means(values):
    """Of components, by columns (K, d): estimates, or errors."""
    if hasattr(values, "means"):
        return values.means
    if hasattr(values, "means_"):
        return values.means_
    laws = getattr(values, "parameters", None) or values.parameters_
    return np.transpose([laws[name]["mean"] for name in ("x0", "x1")])


def households(rng, n_groups=80):
    """Groups of one to six rows of one cluster, which have more in common."""
    sizes = rng.integers(1, 7, n_groups)
    groups = np.repeat(rng.permutation(n_groups), sizes)
    labels = (rng.random(n_groups) < 0.4)[groups]
    X = np.array([[0.0, 0.0], [60.0, 50.0]])[labels.astype(int)]
    X = X + rng.normal(size=(n_groups, 2))[groups]
    return X + rng.normal(size=X.shape), groups


@pytest.mark.parametrize("kind", [GaussianMixture, MixtureModel])
def test_errors_are_those_of_sums_over_groups(kind, rng):
    """Of clusters that are known, √(G/(G − 1) Σ (Σ (x − μ))²) / n."""
    X, groups = households(rng)
    order = rng.permutation(len(X))
    X, groups = X[order], groups[order]
    mixture = fitted(kind, X)
    errors = mixture.standard_errors(X, groups=[f"family {g}" for g in groups])
    labels, G = mixture.predict(X), len(np.unique(groups))

    def error_of(values, count):
        sums = np.array([values[groups == g].sum(axis=0) for g in range(G)])
        return np.sqrt(G / (G - 1) * np.square(sums).sum(axis=0)) / count

    first = (labels == 0).astype(float)
    np.testing.assert_allclose(
        errors.weights, error_of(first - first.mean(), len(X)), rtol=1e-4
    )
    for k in range(2):
        own = (labels == k)[:, None]
        mean = X[own[:, 0]].mean(axis=0)
        np.testing.assert_allclose(
            of_means(errors)[k], error_of(own * (X - mean), own.sum()), rtol=1e-4
        )
    assert errors.n_groups == G
    plain = mixture.standard_errors(X)
    assert plain.n_groups is None
    # Members of a household are not as many answers as they are.
    assert (errors.weights > 1.5 * plain.weights).all()
    assert str(errors).startswith(f"Standard errors by the sandwich, {G} groups of")
    level = str(errors.confidence_interval()).splitlines()[0]
    assert level.endswith(f"by the sandwich, {G} groups of rows")


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_groups_of_one_row_are_rows(kind, gaps, rng):
    X = clusters_of(rng)
    if gaps:
        X[rng.random(len(X)) < 0.2, 1] = np.nan
    mixture, n = fitted(kind, X), len(X)
    expected = listed(mixture.standard_errors(X)) * np.sqrt(n / (n - 1))
    found = mixture.standard_errors(X, groups=np.arange(n))
    np.testing.assert_allclose(listed(found), expected, rtol=1e-9)


@pytest.mark.filterwarnings(DOUBLE)
@pytest.mark.parametrize("method", ["sandwich", "survey"])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_repeated_rows_of_a_group(kind, method, rng):
    X, groups = households(rng)
    counts = rng.integers(0, 4, len(X))
    rows = np.repeat(X, counts, axis=0)
    mixture = fitted(kind, rows)
    repeated = mixture.standard_errors(
        rows, method=method, groups=np.repeat(groups, counts)
    )
    weighted = mixture.standard_errors(X, counts, method=method, groups=groups)
    np.testing.assert_allclose(listed(weighted), listed(repeated), rtol=1e-5)
    assert weighted.n_groups == len(np.unique(groups[counts > 0]))


@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture])
def test_the_bootstrap_draws_weights_of_groups(kind, rng):
    X, groups = households(rng)
    mixture = fitted(kind, X)
    errors = mixture.standard_errors(
        X, method="bootstrap", groups=groups, n_boot=100, random_state=0
    )
    ratio = of_means(errors) / of_means(mixture.standard_errors(X, groups=groups))
    assert (np.abs(ratio - 1) < 0.2).all(), ratio
    assert str(errors).splitlines()[0].endswith("100 refits, 80 groups of rows")


@pytest.mark.parametrize("kind", [GaussianMixture, MixtureModel])
def test_errors_vary_as_the_estimates_of_other_households_do(kind):
    means, errors = [], []
    for seed in range(40):
        X, groups = households(np.random.default_rng(seed))
        mixture = kind(2, random_state=0).fit(X)
        place = of_means(mixture)
        # Which of the clusters is larger varies.
        order = np.argsort(place[:, 0])
        means.append(place[order])
        errors.append(of_means(mixture.standard_errors(X, groups=groups))[order])
    ratio = np.median(errors, axis=0) / np.std(means, axis=0)
    assert (np.abs(ratio - 1) < 0.25).all(), ratio


@pytest.mark.parametrize("kind", [GaussianMixture, MixtureModel])
def test_bad_groups_are_said(kind, rng):
    X = clusters_of(rng, 60)
    mixture = fitted(kind, X)
    names = ["a", "b"] * 30

    def errors(groups, **options):
        return mixture.standard_errors(X, groups=groups, **options)

    with pytest.raises(ValueError, match=r"groups.shape == \(59,\), expected \(60,\)"):
        errors(names[1:])
    for missing in (None, np.nan):
        with pytest.raises(ValueError, match="groups contains missing values"):
            errors([missing, *names[1:]])
    with pytest.raises(ValueError, match="all strings, or all numbers"):
        errors(np.array([1, *names[1:]], object))
    with pytest.raises(ValueError, match="at least two"):
        errors(names, sample_weight=[1, 0] * 30)
    for method in ("hessian", "opg"):
        with pytest.raises(ValueError, match=f"'{method}' supposes that rows are ind"):
            errors(names, method=method)


def test_groups_of_dask_collections_are_refused(rng):
    da = pytest.importorskip("dask.array")
    X = clusters_of(rng, 60)
    mixture = fitted(GaussianMixture, X)
    with pytest.raises(ValueError, match="Groups need the rows in an array"):
        mixture.standard_errors(da.from_array(X), groups=[0, 1] * 30)
    lazy = fitted(MixtureModel, X)
    found = lazy.standard_errors(da.from_array(X, chunks=20), groups=[0, 1] * 30)
    expected = lazy.standard_errors(X, groups=[0, 1] * 30)
    np.testing.assert_allclose(listed(found), listed(expected))


def test_groups_may_be_of_any_type_that_names_them(rng):
    pd = pytest.importorskip("pandas")
    X = clusters_of(rng, 60)
    mixture = fitted(GaussianMixture, X)
    numbers = np.arange(60) // 3
    names = [f"family {i}" for i in numbers]
    expected = listed(mixture.standard_errors(X, groups=numbers))
    for groups in (
        names,
        tuple(numbers.tolist()),
        numbers / 7,
        pd.Series(names, dtype="category"),
        pd.Series(names, dtype="string"),
        pd.Series(numbers, dtype="Int64"),
        pd.Timestamp("2020-02-28") + pd.to_timedelta(numbers, "D"),
    ):
        found = mixture.standard_errors(X, groups=groups)
        np.testing.assert_allclose(listed(found), expected)
    for groups in (pd.Series(names, dtype="string"), pd.Series(numbers, dtype="Int64")):
        with pytest.raises(ValueError, match="groups contains missing values"):
            mixture.standard_errors(X, groups=groups.mask(numbers == 2))
