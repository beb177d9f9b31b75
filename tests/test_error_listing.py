"""Standard errors and intervals as tables: printed, and as data frames."""

import copy
import pickle
import sys

import numpy as np
import pytest

from skem import GaussianMixture, MixtureModel, StandardErrors, StudentMixture
from skem._errors.listing import ALL, Key, Listing
from skem.core.gaussian.covariance import SHAPES

pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.usefixtures("short_search")

K, d = 2, 3
NAMES = ["length", "width", "depth"]


@pytest.fixture
def X(rng):
    centers = np.repeat([[0.0, 0.0, 0.0], [8.0, 8.0, 8.0]], 60, axis=0)
    return pd.DataFrame(centers + rng.normal(size=(120, d)), columns=NAMES)


@pytest.fixture
def table(rng):
    kind = np.repeat([0, 1], 100)
    return pd.DataFrame(
        {
            "age": rng.normal(30 + 30 * kind, 5),
            "income": np.exp(rng.normal(kind, 0.5)),
            "visits": rng.poisson(2 + 10 * kind),
            "plan": np.where(rng.random(200) < 0.2 + 0.6 * kind, "pro", "free"),
            "smokes": rng.random(200) < 0.5,
        }
    )


def of_table(table, **params):
    families = {"income": "lognormal", "visits": "poisson", "smokes": "bernoulli"}
    model = MixtureModel(K, families=families, random_state=0, **params).fit(table)
    return model, model.standard_errors(table)


@pytest.mark.parametrize("estimator", [GaussianMixture, StudentMixture])
@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical", "EEI"])
def test_rows_are_those_of_the_arrays(estimator, structure, X):
    mixture = estimator(K, covariance_type=structure, random_state=0).fit(X)
    errors = mixture.standard_errors(X)
    intervals = errors.confidence_interval(0.9)
    frame = intervals.to_frame()
    for k in range(K):
        own = frame[frame["component"] == k].set_index("parameter")
        weight = own.loc["weight"]
        assert weight["estimate"] == mixture.weights_[k]
        assert weight["error"] == errors.weights[k]
        assert weight["lower"] == intervals.weights.lower[k]
        means = own.loc["mean"]
        assert list(means["feature"]) == NAMES
        np.testing.assert_array_equal(means["estimate"], mixture.means_[k])
        np.testing.assert_array_equal(means["upper"], intervals.means.upper[k])
        if estimator is StudentMixture:
            assert own.loc["df", "error"] == errors.df[k]
            assert not set(frame["parameter"]) & {"variance", "covariance"}
    shared, matrices = SHAPES[structure].shared, SHAPES[structure].matrices
    moments = {"variance", "covariance", "scale matrix"}
    rows = frame[frame["parameter"].isin(moments)]
    assert frame["component"].dtype == "Int64"
    assert rows["component"].isna().all() == shared
    assert shared or set(rows["component"]) == set(range(K))
    for row in rows.itertuples():
        place = () if shared else (row.component,)
        if row.feature != "all":
            named = [NAMES.index(name) for name in row.feature.split(", ")]
            place += (named[0], named[-1]) if matrices else (named[0],)
            if estimator is GaussianMixture:
                assert row.parameter == ["variance", "covariance"][len(named) - 1]
        assert row.estimate == mixture.covariances_[place]
        assert row.error == errors.covariances[place]
        assert row.lower == intervals.covariances.lower[place]
    size = d * (d + 1) // 2 if matrices else np.prod(mixture.covariances_.shape[1:])
    assert len(rows) == size * (1 if shared else K)


def test_rows_of_a_table_are_those_of_its_parameters(table):
    model, errors = of_table(table)
    intervals = errors.confidence_interval()
    frame = intervals.to_frame().set_index(["component", "parameter", "feature"])
    for (name, key), label, parameter in [
        (("age", "mean"), "age", "mean"),
        (("income", "mean"), "income", "mean of log"),
        (("visits", "rate"), "visits", "rate"),
        (("smokes", "probability"), "smokes = True", "probability"),
    ]:
        for k in range(K):
            row = frame.loc[(k, parameter, label)]
            assert row["estimate"] == model.parameters_[name][key][k]
            assert row["error"] == errors.parameters[name][key][k]
            assert row["upper"] == intervals.parameters[name][key].upper[k]
    proportions = model.parameters_["plan"]["proportions"]
    found = frame.loc[(1, "proportion", "plan = pro"), "estimate"]
    assert found == proportions[1, 1]
    assert len(frame) == K * (1 + 2 + 2 + 1 + 2 + 1)


def test_text_has_the_method_the_level_and_the_names(X, table):
    mixture = GaussianMixture(K, random_state=0).fit(X)
    text = str(mixture.standard_errors(X, method="hessian"))
    assert text.startswith("Standard errors by the Hessian\n\n  component  parameter")
    assert "length, width" in text
    # By place, if features have no names.
    Z = X.to_numpy()
    assert "x0, x1" in str(GaussianMixture(K).fit(Z).standard_errors(Z))
    refits = mixture.standard_errors(X, method="bootstrap", n_boot=3, random_state=0)
    title = "Standard errors by the bootstrap, 3 refits"
    assert str(refits).splitlines()[0] == title
    intervals = str(refits.confidence_interval(0.9)).splitlines()[0]
    assert (
        intervals == "90 % intervals, from standard errors by the bootstrap, 3 refits"
    )
    _, errors = of_table(table)
    text = str(errors.confidence_interval())
    assert text.startswith("95 % intervals, from standard errors by the sandwich\n")
    assert max(map(len, text.splitlines())) <= 80


def test_text_of_many_rows_leaves_some_out(rng):
    X = rng.normal(size=(300, 12))
    errors = GaussianMixture(1).fit(X).standard_errors(X)
    text = str(errors)
    # 1 weight, 12 means, 60 of 78 entries, a gap, and five lines about them.
    assert len(text.splitlines()) == 1 + 12 + 60 + 1 + 5
    assert text.endswith("to_frame() has all rows.")
    assert "\n        ...  ...  " in text
    assert len(errors.to_frame()) == 1 + 12 + 78


def test_numbers_that_are_not_known_are_printed(rng):
    X = rng.normal(size=(40, 1))
    mixture = GaussianMixture(1, fixed="weights").fit(X)
    estimates = mixture.standard_errors(X).estimates
    errors = StandardErrors(
        np.array([0.0]),
        np.array([[np.nan]]),
        np.array([[[np.inf]]]),
        estimates=estimates,
    )
    rows = [line.split() for line in str(errors).splitlines()[3:]]
    assert [row[-1] for row in rows] == ["0.00", "nan", "inf"]
    assert "inf" in str(errors.confidence_interval())


def test_each_row_has_the_digits_that_its_error_lets_it_have(rng):
    X = np.append(rng.normal(0, 1e-4, 60), rng.normal(100, 9, 60))[:, None]
    errors = GaussianMixture(2, random_state=0).fit(X).standard_errors(X)
    decimals = {
        row[-1].partition(".")[2]
        for row in map(str.split, str(errors).splitlines())
        if "mean" in row
    }
    assert sorted(map(len, decimals))[0] == 2
    assert sorted(map(len, decimals))[1] >= 6


def test_frames_sort_and_can_be_saved(X, tmp_path):
    mixture = GaussianMixture(K, covariance_type="tied", random_state=0).fit(X)
    frame = mixture.standard_errors(X).to_frame()
    ordered = frame.sort_values(["component", "parameter"])
    assert ordered["component"].isna().tail(6).all()
    pytest.importorskip("pyarrow")
    frame.to_parquet(tmp_path / "errors.parquet")
    found = pd.read_parquet(tmp_path / "errors.parquet")
    pd.testing.assert_frame_equal(found, frame)


def test_results_stay_tuples(X, table):
    mixture = GaussianMixture(K, random_state=0).fit(X)
    errors = mixture.standard_errors(X)
    assert repr(errors).startswith("StandardErrors(weights=array(")
    _, of_columns = of_table(table)
    assert repr(of_columns).startswith("TableStandardErrors(weights=array(")
    for result in (errors, of_columns):
        for each in (result, result.confidence_interval()):
            assert isinstance(each, tuple)
            assert tuple(each) == tuple(each[:])
            for twin in (pickle.loads(pickle.dumps(each)), copy.deepcopy(each)):
                assert str(twin) == str(each)
                assert repr(twin) == repr(each)


def test_without_estimates_the_text_is_that_of_the_tuple(X):
    mixture = GaussianMixture(K, random_state=0).fit(X)
    errors = mixture.standard_errors(X)
    for bare in (StandardErrors(*errors), errors._replace(weights=errors.weights)):
        assert str(bare) == repr(bare)
        with pytest.raises(ValueError, match="have no estimates"):
            bare.to_frame()


def test_frames_need_pandas(X, monkeypatch):
    mixture = GaussianMixture(K, random_state=0).fit(X)
    errors = mixture.standard_errors(X)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="to_frame requires pandas"):
        errors.to_frame()
    assert "length" in str(errors)


def listed(features, estimates, errors):
    """Return the cells of means, one of a component."""
    rows = [Key(k, "mean", features) for k in range(len(estimates))]
    values = {"estimate": np.array(estimates), "error": np.array(errors)}
    text = Listing("errors", [rows], values).text()
    return [line.split()[-2:] for line in text.splitlines()[3:]]


def test_what_has_no_error_has_the_digits_of_the_closest_of_its_kind():
    found = listed(("a",), [1.23456, 2.34567, 3.45678], [0.001, 0.1, np.inf])
    assert [estimate for estimate, _ in found] == ["1.23456", "2.346", "3.45678"]
    # Or of its own, if no other has one: whether below zero or above.
    assert listed(("a",), [-12.3456], [np.inf])[0][0] == "-12.3"


def test_sixty_rows_are_shown_as_they_are():
    assert len(listed(("a",), np.ones(60), np.ones(60))) == 60


def test_names_take_one_line_and_have_a_longest_length():
    keys = [Key(ALL, "mean", ("first\nname" + 40 * "a", "b"))]
    values = {"estimate": np.ones(1), "error": np.ones(1)}
    _, _, head, row = Listing("errors", [keys], values).text().splitlines()
    assert len(row) == len(head) < 80
    # What stands for all components is where their numbers are.
    assert row.startswith("        all  mean       first nam...aaaaaaaa, b  ")


def test_entries_may_be_given_by_name():
    arrays = {
        "weights": np.ones(1),
        "means": np.zeros((1, 2)),
        "covariances": np.eye(2),
    }
    errors = StandardErrors(**arrays, method="opg")
    assert errors._asdict() == arrays
    assert errors.method == "opg"
    assert errors._replace(means=1.0).means == 1.0
    with pytest.raises(TypeError, match="StandardErrors has no attribute 'methods'"):
        StandardErrors(*arrays.values(), methods="opg")
    with pytest.raises(TypeError, match="missing 1 required"):
        StandardErrors(*errors[:2])
