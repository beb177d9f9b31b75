"""Data frames of Dask and Arrow, and what is none: read as those of pandas are."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from skem import (
    BayesianGaussianMixture,
    GaussianMixture,
    GaussianMixtureImputer,
    GaussianMixtureRegressor,
    MixtureDiscriminantAnalysis,
    MixtureModel,
    StudentMixture,
)
from skem._inputs.frames import arrow_codes

pytestmark = pytest.mark.usefixtures("short_search")

OF_NUMBERS = [GaussianMixture, BayesianGaussianMixture, StudentMixture]
ALL = [*OF_NUMBERS, MixtureModel]
FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(90, 2)), columns=["a", "b"])


@pytest.mark.parametrize("kind", ALL)
def test_streams_of_lazy_frames_had_no_names(kind):
    dd = pytest.importorskip("dask.dataframe")
    lazy = dd.from_pandas(FRAME, npartitions=3)
    streamed = kind(2, random_state=0).partial_fit(lazy)
    assert streamed.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="The feature names should match those"):
        streamed.partial_fit(lazy[["b", "a"]])
    streamed.partial_fit(lazy).partial_fit(FRAME)
    own = kind(2, random_state=0)
    for _ in range(3):
        own.partial_fit(FRAME)
    assert streamed.score(FRAME) == pytest.approx(own.score(FRAME))


def test_what_looks_at_values_had_no_names_of_lazy_frames():
    dd = pytest.importorskip("dask.dataframe")
    lazy = dd.from_pandas(FRAME, npartitions=3)
    imputer = GaussianMixtureImputer(1).fit(lazy)
    assert imputer.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="The feature names should match those"):
        imputer.transform(lazy[["b", "a"]])


@pytest.fixture
def pa():
    return pytest.importorskip("pyarrow")


def test_gaps_of_dictionaries_had_become_categories(pa):
    kinds = pa.array(["v", "u", None, "v", "u", "v"] * 20)
    table = pa.table({"n": [0.0, 1, 2, 10, 11, 12] * 20, "k": kinds})
    coded = table.set_column(1, "k", kinds.dictionary_encode())
    # Chunks have dictionaries of their own.
    chunked = pa.concat_tables([coded, coded[1:3], coded[3:]])
    for arrow in (coded, coded.to_batches()[0], chunked):
        frame = arrow.to_pandas()
        ours, theirs = (MixtureModel(2, random_state=0).fit(X) for X in (arrow, frame))
        np.testing.assert_allclose(
            ours.parameters_["k"]["proportions"], theirs.parameters_["k"]["proportions"]
        )
        assert ours.categories_["k"].tolist() == ["v", "u"]
        assert ours.feature_names_in_.tolist() == ["n", "k"]
        np.testing.assert_array_equal(ours.predict(frame), theirs.predict(arrow))
    one = MixtureModel(1).fit(coded)
    np.testing.assert_allclose(
        one.parameters_["k"]["proportions"], [[0.6, 0.4]], rtol=1e-2
    )
    plain = MixtureModel(2, random_state=0).fit(table)
    assert plain.lower_bound_ == pytest.approx(
        MixtureModel(2, random_state=0).fit(coded).lower_bound_
    )


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("whole", [False, True])
def test_dictionaries_of_numbers_are_read_as_pandas_reads_them(kind, whole, pa):
    numbers = [1, 2, None, 1, 3, 5] if whole else [1.5, 2.0, None, 1.5, 3.0, 5.0]
    table = pa.table({"n": [0.0, 1, 2, 10, 11, 12] * 20, "k": pa.array(numbers * 20)})
    table = table.set_column(1, "k", table["k"].dictionary_encode())
    ours, theirs = (kind(2, random_state=0).fit(X) for X in (table, table.to_pandas()))
    assert ours.score(table) == pytest.approx(theirs.score(table.to_pandas()))
    np.testing.assert_allclose(ours.weights_, theirs.weights_, rtol=1e-6)


def test_columns_of_every_type_are_read_as_those_of_pandas(pa):
    values = {
        "half": pa.array(np.array([1.5, 2.5, 4, 7] * 6, "f2")),
        "single": pa.array(np.arange(24) % 5, pa.float32()),
        "gaps": pa.array([1, 2, None, 3] * 6),
        "unsigned": pa.array(np.arange(24), pa.uint64()),
        "truth": pa.array([True, None, False, True] * 6),
        "decimal": pa.array([Decimal("1.25"), None, Decimal(2), Decimal(3)] * 6),
    }
    table = pa.table(values)
    frame = pd.DataFrame({name: column.to_pylist() for name, column in values.items()})
    options = {"n_components": 1, "reg_covar": 1.0}
    ours, theirs = (GaussianMixture(**options).fit(X) for X in (table, frame))
    np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-6)
    ours, theirs = (MixtureModel(1).fit(X) for X in (table, frame))
    assert ours.families_ == theirs.families_
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-6)


def test_batches_of_records_make_a_stream_with_names(pa):
    table = pa.Table.from_pandas(FRAME)
    streamed, own = (GaussianMixture(2, random_state=0) for _ in range(2))
    for batch in table.to_batches(max_chunksize=30):
        streamed.partial_fit(batch)
        own.partial_fit(batch.to_pandas())
    # The order of sums in memory is another one.
    np.testing.assert_allclose(streamed.means_, own.means_, rtol=1e-6)
    assert streamed.feature_names_in_.tolist() == ["a", "b"]


DAY = datetime.datetime(2020, 1, 1)
ODD = {
    "timestamp": ([DAY] * 6, "dates", "has dates"),
    "date": ([DAY.date()] * 6, "dates", "has dates"),
    "duration": ([datetime.timedelta(1)] * 6, "durations", "has durations"),
    "time": ([datetime.time(1)] * 6, "objects of type time", "is a time: the argument"),
    "text": (["u"] * 6, "text, such as 'u'", None),
    "list": ([[1.0, 2.0]] * 6, "objects of type ", "is a ndarray: the argument"),
    "struct": ([{"x": 1}] * 6, "objects of type dict", "is a dict: the argument"),
}


@pytest.mark.parametrize("odd", ODD)
def test_the_column_of_a_table_that_is_not_of_numbers_is_named(odd, pa):
    values, message, of_tables = ODD[odd]
    decimals = pa.array([Decimal("1.5") * i for i in range(6)])
    table = pa.table({"n": np.arange(6.0), "d": decimals, "culprit": values})
    for X in (table, table.select(["culprit"])):
        with pytest.raises((TypeError, ValueError), match=f"'culprit' .* {message}"):
            GaussianMixture(1).fit(X)
    if of_tables is not None:
        message = f"olumn 'culprit' .*{of_tables}"
        with pytest.raises((TypeError, ValueError), match=message):
            MixtureModel(1).fit(table)


def test_labels_and_weights_may_be_columns_of_arrow(pa):
    groups = pa.array([*(["u"] * 45), *(["v"] * 45)])
    table = pa.Table.from_pandas(FRAME)
    own = MixtureDiscriminantAnalysis(1).fit(FRAME, groups.to_pylist())
    for y in (groups, groups.dictionary_encode()):
        assert MixtureDiscriminantAnalysis(1).fit(table, y).score(
            table, y
        ) == own.score(FRAME, groups.to_pylist())
    weight = np.arange(90) % 4 + 1.0
    ours = GaussianMixture(1).fit(table, sample_weight=pa.array(weight))
    theirs = GaussianMixture(1).fit(FRAME, sample_weight=weight)
    np.testing.assert_allclose(ours.means_, theirs.means_)
    with pytest.raises(ValueError, match="sample_weight contains NaN"):
        GaussianMixture(1).fit(
            table, sample_weight=pa.array([1.0, 2.0, None] * 30).dictionary_encode()
        )


def test_targets_may_be_a_table_of_arrow(pa):
    y = pd.DataFrame({"t": np.tile([1.0, 2.0, np.nan], 30), "u": FRAME.a + FRAME.b})
    table = pa.Table.from_pandas(y)
    table = table.set_column(0, "t", table["t"].dictionary_encode())
    ours, theirs = (GaussianMixtureRegressor(1).fit(FRAME, each) for each in (table, y))
    np.testing.assert_allclose(ours.predict(FRAME), theirs.predict(FRAME), rtol=1e-6)
    assert ours.mixture_.feature_names_in_.tolist() == ["a", "b", "t", "u"]


class FakeSeries:
    """What of a polars series is used."""

    def __init__(self, values):
        self.values = values

    def head(self, n):
        return FakeSeries(self.values[:n])

    def to_numpy(self):
        return self.values


class FakePolars:
    """What of a polars frame is used."""

    columns = ("day",)
    dtypes = ("Date",)

    def get_column(self, name):
        return FakeSeries(np.arange("2020-01-01", "2020-01-13", dtype="M8[D]"))

    def __getitem__(self, key):
        return self.get_column(None).to_numpy()

    def __array__(self, dtype=None, copy=None):
        return self[0][:, None].astype(dtype)


def test_dates_of_polars_had_been_fitted_as_days():
    with pytest.raises(TypeError, match="Column 'day' of X has dates"):
        GaussianMixture(1).fit(FakePolars())


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_the_cause_is_named_where_there_is_no_array(kind, method):
    rows = FRAME.to_numpy()
    fit = getattr(kind(2), method)
    with pytest.raises(TypeError, match=r"np\.matrix is not supported"):
        fit(np.asmatrix(rows))
    for iterator in ((row for row in rows), map(list, rows), iter(rows)):
        with pytest.raises(TypeError, match=r"and should be an array .* `partial_fit`"):
            fit(iterator)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("kind", ALL)
def test_a_lazy_array_of_one_dimension_was_told_to_be_empty(kind):
    da = pytest.importorskip("dask.array")
    dd = pytest.importorskip("dask.dataframe")
    lazy = da.from_array(FRAME.to_numpy())
    with pytest.raises(ValueError, match=r"got 1D array instead\. Reshape your data e"):
        kind(2).fit(lazy[:, 0])
    with pytest.raises(ValueError, match="dim 3"):
        kind(2).fit(lazy[None])
    frame = dd.from_pandas(FRAME, npartitions=3)
    fitted = kind(2, random_state=0).fit(frame)
    for method in (kind(2).fit, fitted.predict):
        with pytest.raises(ValueError, match="Expected "):
            method(frame["a"])


@pytest.mark.parametrize("kind", ALL)
def test_streams_say_how_many_rows_they_need(kind):
    streamed = kind(3).partial_fit(FRAME[:1])
    for method in (streamed.predict, streamed.score, streamed.predict_proba):
        with pytest.raises(NotFittedError, match="has seen 1 row, and 3 are needed"):
            method(FRAME)
    with pytest.raises(NotFittedError, match=r"Call 'fit'"):
        kind(3).predict(FRAME)


def test_streams_say_that_a_column_has_no_value():
    X = FRAME[:20].assign(b=np.nan)
    streamed = MixtureModel(2).partial_fit(X)
    with pytest.raises(NotFittedError, match="20 rows, and a column without a value"):
        streamed.predict(FRAME)


def test_a_value_of_a_dictionary_may_be_missing():
    pa = pytest.importorskip("pyarrow")
    column = pa.DictionaryArray.from_arrays([1, 0, None, 2], ["a", None, "b"])
    codes, labels = arrow_codes(column)
    assert codes.tolist() == [-1, 0, -1, 1]
    assert labels == ["a", "b"]


@pytest.mark.parametrize("kind", [*ALL, GaussianMixtureImputer])
def test_what_holds_data_and_is_no_array_is_told_what_to_become(kind):
    row = {"a": 1.0, "b": 2.0}
    fitted = kind(1).fit(FRAME)
    method = fitted.transform if kind is GaussianMixtureImputer else fitted.predict
    for X, message in (
        (row, r"X is a dict, .* `pandas\.DataFrame\(\[X\]\)` of a single row"),
        ([row, row], r"X is a list of rows with names, .* `pandas\.DataFrame\(X\)`"),
        (iter([[1.0, 2.0]]), r"X is a list_iterator, .* make a list of them"),
    ):
        for call in (kind(1).fit, method):
            with pytest.raises(TypeError, match=message):
                call(X)


def test_lazy_frames_of_polars_are_told_to_be_collected():
    polars = pytest.importorskip("polars")
    lazy = polars.DataFrame({"a": [1.0, 2.0]}).lazy()
    for kind in ALL:
        with pytest.raises(TypeError, match=r"X is a LazyFrame, .* `X\.collect\(\)`"):
            kind(1).fit(lazy)


@pytest.mark.filterwarnings("ignore:X has feature names")
def test_imputed_frames_of_polars_had_become_arrays():
    polars = pytest.importorskip("polars")
    mixture = GaussianMixture(1).fit(FRAME.to_numpy())
    filled = mixture.impute(polars.DataFrame({"a": [None, 1.0], "b": [0.5, 0.5]}))
    assert isinstance(filled, polars.DataFrame)
    expected = mixture.impute([[np.nan, 0.5], [1.0, 0.5]])
    assert filled.columns == ["a", "b"]
    np.testing.assert_array_equal(filled.to_numpy(), expected)


@pytest.mark.parametrize("kind", ALL)
def test_imputed_frames_keep_names_that_are_numbers(kind):
    table = FRAME.set_axis([10, 20], axis=1).set_axis(range(90, 0, -1))
    gaps = table.mask(np.random.default_rng(0).random(table.shape) < 0.2)
    filled = kind(1).fit(table).impute(gaps)
    assert filled.columns.equals(table.columns) and filled.index.equals(table.index)
    assert filled.notna().all(axis=None)
    pd.testing.assert_frame_equal(filled.where(gaps.notna()), gaps)
