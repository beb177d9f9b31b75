"""Errors that name the column which is not of numbers."""

import numpy as np
import pandas as pd
import pytest

from skem import (
    GaussianMixture,
    GaussianMixtureIC,
    GaussianMixtureImputer,
    GaussianMixtureRegressor,
)

pytestmark = pytest.mark.usefixtures("short_search")

N = 12
NUMBERS = np.random.default_rng(0).normal(size=(N, 2))
BAD = {
    "text": (["abc"] * N, ValueError, "has text, such as 'abc'"),
    "arrow": (pd.array(["u"] * N, dtype="string"), ValueError, "has text, such as 'u'"),
    "late": ([1.5] * (N - 1) + ["x"], ValueError, "has text, such as 'x'"),
    "categories": (pd.Categorical(["a", "b"] * 6), ValueError, "has categories, such"),
    "dates": (pd.date_range("2020", periods=N), TypeError, "has dates, and"),
    "zones": (pd.date_range("2020", periods=N, tz="UTC"), TypeError, "has dates, and"),
    "periods": (pd.period_range("2020", periods=N), TypeError, "has dates, and"),
    "durations": (
        pd.to_timedelta(np.arange(N), unit="s"),
        TypeError,
        "has durations, and a mixture takes real numbers. Leave the column out",
    ),
    "complex": ([1j] * N, ValueError, "has complex numbers, and"),
    "objects": ([{}] * N, TypeError, "has objects of type dict, and"),
}


def frame(values):
    return pd.DataFrame(NUMBERS, columns=["a", "b"]).assign(culprit=values)


@pytest.mark.parametrize("bad", BAD)
def test_the_column_of_a_frame_is_named(bad):
    values, kind, message = BAD[bad]
    with pytest.raises(kind, match=f"Column 'culprit' of X {message}"):
        GaussianMixture().fit(frame(values))


@pytest.mark.parametrize("bad", BAD)
def test_it_is_named_beside_nullable_numbers(bad):
    values, kind, message = BAD[bad]
    X = frame(values).astype({"a": "Float64"})
    with pytest.raises(kind, match=f"Column 'culprit' of X {message}"):
        GaussianMixture().fit(X)


@pytest.mark.parametrize(
    "X", [frame(["abc"] * N).to_numpy(), frame(["abc"] * N).to_numpy().tolist()]
)
def test_the_column_of_an_array_is_numbered_after_the_words_of_scikit_learn(X):
    wanted = "could not convert string to float: 'abc'. Column 2 of X has text"
    with pytest.raises(ValueError, match=wanted):
        GaussianMixture().fit(X)


def test_dates_alone_are_no_numbers_either():
    dates = np.arange("2020-01-01", "2020-01-13", dtype="M8[D]").reshape(6, 2)
    with pytest.raises(TypeError, match="Column 0 of X has dates"):
        GaussianMixture().fit(dates)
    with pytest.raises(TypeError, match="Column 'a' of X has dates"):
        GaussianMixture().fit(pd.DataFrame(dates, columns=["a", "b"]))


@pytest.mark.parametrize(
    "estimator",
    [GaussianMixtureIC(1), GaussianMixtureImputer(1), GaussianMixtureRegressor(1)],
    ids=lambda each: type(each).__name__,
)
def test_other_estimators_name_it_too(estimator):
    with pytest.raises(ValueError, match="Column 'culprit' of X has text"):
        estimator.fit(frame(["abc"] * N), NUMBERS[:, 0])


def test_predictions_name_it_too():
    mixture = GaussianMixture().fit(frame(1.0 * np.arange(N)))
    with pytest.raises(ValueError, match="Column 'culprit' of X has text"):
        mixture.predict(frame(["abc"] * N))


@pytest.mark.parametrize(
    "estimator", [GaussianMixture(2), GaussianMixtureIC([1]), GaussianMixtureImputer(1)]
)
def test_infinite_values_did_not_name_the_column(estimator):
    table = pd.DataFrame(NUMBERS.copy(), columns=["a", "b"])
    table.loc[3, "a"], table.loc[5, "b"] = np.nan, -np.inf
    with pytest.raises(ValueError, match=r"contains infinity .*, in column 'b'"):
        estimator.fit(table)
    with pytest.raises(ValueError, match=r"contains infinity .*, in column 1"):
        estimator.fit(NUMBERS).fit(table.to_numpy())


# Dask makes text of other objects.
@pytest.mark.parametrize("bad", [bad for bad in BAD if bad != "objects"])
def test_lazy_frames_name_it_too(bad):
    dd = pytest.importorskip("dask.dataframe")
    values, kind, message = BAD[bad]
    message = f"Column 'culprit' of X {message}"
    lazy = dd.from_pandas(frame(values), npartitions=2)
    mixture = GaussianMixture()
    before = dict(vars(mixture))
    with pytest.raises(kind, match=message):
        mixture.fit(lazy)
    assert vars(mixture) == before
    mixture.fit(frame(1.0 * np.arange(N)))
    with pytest.raises(kind, match=message):
        np.asarray(mixture.predict(lazy))
    with pytest.raises(kind, match=message):
        mixture.score(lazy)


def test_what_can_be_read_as_numbers_is_read_and_other_errors_stay():
    values = [None, 2, "3.5", True] * 3
    for column in (
        values,
        pd.Categorical([1, 2] * 6),
        pd.array([1, None] * 6, "Int64"),
    ):
        GaussianMixture(reg_covar=1.0).fit(frame(column))
    mixture = GaussianMixture().fit(NUMBERS)
    with pytest.raises(ValueError, match="X has 3 features, but GaussianMixture is"):
        mixture.predict(frame(1.0).to_numpy())
    with pytest.raises(ValueError, match=r"could not convert string to float: 'a'$"):
        mixture.fit(["a", "b"])


@pytest.mark.parametrize("one", [lambda t: t["a"], lambda t: t.iloc[0]])
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_a_single_column_or_row_is_told_of_as_by_scikit_learn(one):
    table = pd.DataFrame(NUMBERS, columns=["a", "b"])
    for method in (GaussianMixture().fit, GaussianMixture().fit(table).predict):
        with pytest.raises(ValueError, match=r"Expected (a 2-dim|2D array)"):
            method(one(table))
