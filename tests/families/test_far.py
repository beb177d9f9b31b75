"""Rows far from all components, and batches of a stream that lie elsewhere."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

import skem
from skem import GaussianMixture, MixtureModel, StudentMixture
from skem.families.gaussian import Gaussian

SIZES = [1e4, 1e6, 1e7, 1e8, 1e10, 1e16, 1e40, 1e100, 1e130]


def both(X, covariance_type):
    """Fit a table and a Gaussian mixture, with components in the same order."""
    groups = [(Gaussian(covariance_type), list(range(X.shape[1])))]
    table = MixtureModel(2, families=groups, random_state=0).fit(X)
    mixture = GaussianMixture(2, covariance_type=covariance_type, random_state=0)
    mixture.fit(X)
    order = slice(None)
    if not np.allclose(table.weights_, mixture.weights_, rtol=1e-2):
        order = slice(None, None, -1)
    np.testing.assert_allclose(table.weights_, mixture.weights_[order], rtol=1e-3)
    return table, mixture, order


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_far_rows_are_those_of_a_gaussian_mixture(covariance_type, gaps, rng):
    """Each feature ended at ten million standard deviations by itself."""
    X = np.r_[rng.normal(size=(200, 3)), 8 + 2 * rng.normal(size=(300, 3))]
    X = X @ rng.normal(size=(3, 3))
    far = rng.normal(size=(30, 3))
    if gaps:
        X[rng.random(X.shape) < 0.1] = np.nan
        far[::2, 1] = far[::3, 2] = np.nan
    table, mixture, order = both(X, covariance_type)
    for size in SIZES:
        found, expected = (m.predict_proba(size * far) for m in (table, mixture))
        np.testing.assert_allclose(found, expected[:, order], atol=1e-5)
        found, expected = (m.score_samples(size * far) for m in (table, mixture))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    with np.errstate(all="raise"):
        for size in (1e160, 1e300):
            found, expected = (m.predict_proba(size * far) for m in (table, mixture))
            np.testing.assert_allclose(found, expected[:, order], atol=1e-5)
            assert np.isfinite(table.score_samples(size * far)).all()


def test_a_far_row_on_the_line_of_a_cluster_is_in_it(rng):
    a, b = rng.normal(size=300), 10 * rng.normal(size=300)
    e = 0.1 * rng.normal(size=(3, 300))
    X = np.r_[np.c_[a, 10 * a + e[0], a + e[1]], np.c_[b, b + e[2], -b]]
    mixture = MixtureModel(2, random_state=0).fit(X)
    plain = GaussianMixture(2, random_state=0).fit(X)
    for size in (1e9, 1e11):
        row = [[size, 10 * size, size]]
        assert mixture.predict(row) == mixture.predict([[1.0, 10, 1]])
        gap = [[size, 10 * size, np.nan]]
        np.testing.assert_allclose(mixture.impute(gap), plain.impute(gap), rtol=1e-6)
        weights = mixture.conditional({0: size, 1: 10 * size}).weights_
        assert weights.max() == pytest.approx(1)
        assert weights.argmax() == mixture.predict([[1.0, 10, 1]])[0]


def test_far_rows_of_mixed_tables_are_labelled_exactly(rng):
    z = rng.integers(0, 2, 400)
    X = np.c_[rng.normal(size=400) + 8 * z, rng.poisson(3 + 17 * z)]
    X = np.c_[X, rng.normal(size=400) * (1 + z)]
    families = {"x0": "gaussian", "x1": "poisson", "x2": "gaussian"}
    frame = pd.DataFrame(X, columns=[*families])
    mixture = MixtureModel(2, families=families, random_state=0).fit(frame)
    laws = mixture.parameters_

    def logit(row, k):
        found = Fraction(0)
        for name, x in zip(("x0", "x2"), row[::2], strict=True):
            own = laws[name]
            mean, sd = own["mean"][k], own["standard_deviation"][k]
            found -= ((Fraction(x) - Fraction(mean)) / Fraction(sd)) ** 2 / 2
        rate = laws["x1"]["rate"][k]
        return found + Fraction(row[1]) * Fraction(np.log(rate)) - Fraction(rate)

    for row in (
        (1e9, 10.0, 0.0),
        (1e9, 1e15, 0.0),
        (-1e6, 1e6, 1e3),
        (3.0, 1e13, 1e9),
        (5.0, 2.0**53, 1.0),
        (4.0, 1e5, -1e100),
    ):
        expected = float(logit(row, 0) > logit(row, 1))
        proba = mixture.predict_proba(pd.DataFrame([row], columns=[*families]))
        assert proba[0, 0] == expected


@pytest.mark.parametrize("family", ["gaussian", "lognormal"])
def test_scores_go_on_beyond_the_rows_of_the_fit(family, rng):
    z = 1 + 1e-9 * rng.normal(size=(300, 1))
    X, far = z, np.array([[1.1], [2.0], [5.0]])
    if family == "lognormal":
        X, far = np.exp(z), np.exp(far)
    mixture = MixtureModel(1, families=family).fit(X)
    own = mixture.parameters_["x0"]
    z, sd = (np.array([0.1, 1.0, 4.0]), own["standard_deviation"][0])
    np.testing.assert_allclose(mixture.score_samples(far), -0.5 * (z / sd) ** 2)


@pytest.mark.parametrize("far", [1e6, 1e8, 1e9, 1e12, 1e90])
def test_a_stream_learns_from_batches_elsewhere(far, rng):
    X = rng.normal(size=(400, 1))
    mixture = MixtureModel(1, families="gaussian", learning_decay=1.0)
    mixture.partial_fit(X).partial_fit(far * (1 + X / 1e3))
    own = mixture.parameters_["x0"]
    whole = np.r_[X, far * (1 + X / 1e3)]
    assert own["mean"] == pytest.approx(whole.mean())
    assert own["standard_deviation"] == pytest.approx(whole.std(), rel=1e-3)


def test_a_stream_of_a_narrow_column_is_that_of_a_gaussian_mixture(rng):
    first = 1e6 + 1e-3 * rng.normal(size=(400, 1))
    second = first + 1e5 + 1000 * rng.normal(size=(400, 1))
    table, mixture = (
        kind(1, learning_decay=1.0, random_state=0).partial_fit(first)
        for kind in (MixtureModel, GaussianMixture)
    )
    table, mixture = table.partial_fit(second), mixture.partial_fit(second)
    mean = table.parameters_["x0"]["mean"]
    assert mean == pytest.approx(np.r_[first, second].mean())
    assert mean == pytest.approx(mixture.means_[0])


@pytest.mark.parametrize("family", ["gaussian", "student"])
@pytest.mark.parametrize("far", [1e160, 1e300])
def test_streams_stay_finite_at_any_size(family, far, rng):
    X = rng.normal(size=(400, 1))
    mixture = MixtureModel(1, families=family, learning_decay=1.0)
    mixture.partial_fit(X).partial_fit(far * (1 + X / 1e3)).partial_fit(X)
    for values in mixture.parameters_["x0"].values():
        assert np.isfinite(values).all()
    assert np.isfinite(mixture.score_samples([[far], [0.0]])).all()


def test_far_tails_of_t_columns_fall_as_those_of_a_t_mixture(rng):
    """Squares that are out of range were all as far as the range is."""
    X = np.r_[rng.standard_t(3, (400, 1)), 9 + 3 * rng.standard_t(3, (400, 1))]
    table = MixtureModel(1, families="student").fit(X)
    mixture = StudentMixture(1).fit(X)
    df = table.parameters_["x0"]["df"][0]
    sizes = np.array([1e100, 1e150, 1e160, 1e300])
    found = table.score_samples(sizes[:, None])
    np.testing.assert_allclose(
        np.diff(found), -(df + 1) * np.diff(np.log(sizes)), rtol=1e-6
    )
    np.testing.assert_allclose(found, mixture.score_samples(sizes[:, None]), rtol=0.02)


def test_files_with_an_edge_are_read(rng, tmp_path):
    """Models were written with the size of values that were taken for an end."""
    mixture = MixtureModel(2, families="gaussian").fit(rng.normal(size=(99, 1)))
    mixture.save(tmp_path / "now.json")
    text = (tmp_path / "now.json").read_text()
    assert '"floor"' in text
    (tmp_path / "then.json").write_text(text.replace('"floor"', '"edge": 1e7, "floor"'))
    found = skem.load(tmp_path / "then.json").score_samples([[1e9]])
    assert found == pytest.approx(mixture.score_samples([[1e9]]))
