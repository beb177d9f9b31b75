"""GaussianMixtureImputer: as a transformer, and what it imputes."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skem import GaussianMixture, GaussianMixtureImputer
from skem.datasets import load_faithful

pytestmark = pytest.mark.usefixtures("short_search")

X = load_faithful().data
FRAME = pd.DataFrame(X, columns=["eruptions", "waiting"])


@pytest.mark.slow
@parametrize_with_checks(
    [
        GaussianMixtureImputer(1),
        GaussianMixtureImputer(2, covariance_type="diag", add_indicator=True),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.fixture
def holed():
    rows = X[:60].copy()
    rows[::3, 1] = rows[1::7, 0] = np.nan
    return rows


def test_values_are_those_of_the_mixture(holed):
    imputer = GaussianMixtureImputer(2, random_state=0).fit(X)
    mixture = GaussianMixture(2, random_state=0).fit(X)
    np.testing.assert_allclose(
        imputer.transform(holed), mixture.impute(holed), rtol=1e-12
    )
    drawing = GaussianMixtureImputer(2, sample_posterior=True, random_state=0).fit(X)
    drawn = drawing.transform(holed)
    np.testing.assert_array_equal(drawn, mixture.impute(holed, True, 0))
    assert (drawn != imputer.transform(holed)).any()


def test_imputed_cells_are_nearer_than_by_a_line(rng):
    """Of clusters with a regression each, one line knows nothing."""
    labels = rng.integers(2, size=2000)
    x = rng.normal(size=2000) + 4 * labels
    rows = np.column_stack([x, np.where(labels, -2 * (x - 4), 2 * x)])
    rows += 0.1 * rng.normal(size=rows.shape)
    test = rows[1000:].copy()
    test[:, 1] = np.nan
    errors = [
        np.std(
            GaussianMixtureImputer(K, random_state=0)
            .fit(rows[:1000])
            .transform(test)[:, 1]
            - rows[1000:, 1]
        )
        for K in (1, 2)
    ]
    assert errors[1] < 0.5 * errors[0]


def test_frames_and_names_go_in_and_out(holed):
    imputer = GaussianMixtureImputer(2, random_state=0).fit(FRAME)
    assert imputer.get_feature_names_out().tolist() == ["eruptions", "waiting"]
    assert list(imputer.mixture_.feature_names_in_) == ["eruptions", "waiting"]
    frame = pd.DataFrame(holed, columns=FRAME.columns, index=range(100, 160))
    out = imputer.set_output(transform="pandas").transform(frame)
    assert list(out.columns) == ["eruptions", "waiting"]
    assert out.index.equals(frame.index)
    nullable = frame.astype("Float64")
    pd.testing.assert_frame_equal(imputer.transform(nullable), out)


def test_missing_may_be_a_number():
    imputer = GaussianMixtureImputer(2, missing_values=-1, random_state=0).fit(X)
    plain = GaussianMixtureImputer(2, random_state=0).fit(X)
    np.testing.assert_array_equal(
        imputer.transform([[2.0, -1]]), plain.transform([[2.0, np.nan]])
    )


@pytest.mark.parametrize("gap", [np.nan, pd.NA])
def test_nan_beside_a_number_that_is_missing_is_an_error(gap):
    imputer = GaussianMixtureImputer(1, missing_values=-1)
    rows = FRAME.astype("Float64")
    rows.iloc[1, 1] = gap
    with pytest.raises(ValueError, match="Input X contains NaN"):
        imputer.fit(rows)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        imputer.fit(FRAME).transform(rows)


@pytest.mark.parametrize("nan", [np.float32("nan"), pd.NA])
def test_every_nan_stands_for_a_missing_value(holed, nan):
    plain = GaussianMixtureImputer(1).fit(X)
    other = GaussianMixtureImputer(1, missing_values=nan).fit(X)
    np.testing.assert_array_equal(other.transform(holed), plain.transform(holed))


def test_single_precision_is_kept(holed):
    imputer = GaussianMixtureImputer(1).fit(X.astype(np.float32))
    assert imputer.transform(holed.astype(np.float32)).dtype == np.float32


def test_it_is_a_step_of_a_pipeline(holed):
    pipeline = make_pipeline(StandardScaler(), GaussianMixtureImputer(2))
    assert np.isfinite(pipeline.fit(X).transform(holed)).all()


@pytest.mark.parametrize(
    ("params", "rows", "message"),
    [
        ({}, [[0.0], [np.inf]], "Input X contains infinity"),
        ({"n_components": 3}, [[0.0], [1.0]], "n_components = 3, n_samples = 2"),
        ({"missing_values": "none"}, X, "The 'missing_values' parameter"),
        ({}, [[np.nan], [np.nan]], "X should have at least one feature with a value"),
    ],
)
def test_bad_input_is_told_and_changes_nothing(params, rows, message):
    imputer = GaussianMixtureImputer(1).fit(X)
    fitted = {name: v for name, v in vars(imputer).items() if name.endswith("_")}
    with pytest.raises(ValueError, match=message):
        imputer.set_params(**params).fit(rows)
    assert {name: vars(imputer)[name] for name in fitted} == fitted


class TestMissingValues:
    """Fits to rows that are not complete."""

    def test_what_was_missing_in_the_fit_is_filled_in(self, holed):
        imputer = GaussianMixtureImputer(2, random_state=0)
        filled = imputer.fit_transform(holed)
        assert np.isfinite(filled).all()
        observed = ~np.isnan(holed)
        np.testing.assert_array_equal(filled[observed], holed[observed])

    def test_columns_tell_what_was_missing(self, holed):
        imputer = GaussianMixtureImputer(2, add_indicator=True, random_state=0)
        out = imputer.fit_transform(holed)
        np.testing.assert_array_equal(out[:, 2:], np.isnan(holed))
        assert imputer.get_feature_names_out().tolist() == [
            "x0",
            "x1",
            "missingindicator_x0",
            "missingindicator_x1",
        ]

    def test_features_without_values_are_left_out_or_zero(self, holed):
        rows = np.column_stack([holed, np.full(len(holed), np.nan)])
        without = GaussianMixtureImputer(2, random_state=0).fit(rows)
        assert without.transform(rows).shape == (60, 2)
        assert without.get_feature_names_out().tolist() == ["x0", "x1"]
        kept = GaussianMixtureImputer(2, keep_empty_features=True, random_state=0)
        out = kept.fit_transform(rows)
        np.testing.assert_array_equal(out[:, 2], 0)
        np.testing.assert_array_equal(out[:, :2], without.transform(rows))
        rows[::2, 2] = 7
        out = kept.transform(rows)
        np.testing.assert_array_equal(out[:, 2], np.nan_to_num(rows[:, 2]))
        np.testing.assert_array_equal(out[:, :2], without.transform(rows))

    def test_missing_cells_of_old_faithful(self, rng):
        # One of both at most: of a row without any value nothing is known.
        missing = rng.integers(5, size=len(X))[:, None] == [0, 1]
        rows = np.where(missing, np.nan, X)
        filled = GaussianMixtureImputer(2, random_state=0).fit_transform(rows)
        error = (filled - X)[missing] / np.broadcast_to(X.std(axis=0), X.shape)[missing]
        # Of standard deviations; the mean of the column has 1.
        assert np.sqrt(np.mean(error**2)) < 0.5


def test_a_row_of_weight_zero_is_a_row_left_out(rng):
    X = rng.normal(size=(150, 3))
    X[10:, 2] = np.nan
    X[20:40, 0] = np.nan
    X[:5, 1] = np.nan
    weight = np.r_[np.zeros(10), np.ones(140)]
    weighted = GaussianMixtureImputer(2, random_state=0, add_indicator=True)
    alone = clone(weighted).fit(X[10:])
    weighted.fit(X, sample_weight=weight)
    assert weighted.get_feature_names_out().tolist() == (
        alone.get_feature_names_out().tolist()
    )
    np.testing.assert_allclose(weighted.transform(X), alone.transform(X), rtol=1e-9)
