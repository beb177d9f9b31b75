import sys
from importlib import resources

import numpy as np
import pytest

from skem import GaussianMixture
from skem.datasets import load_acidity, load_faithful, load_galaxies

LOADERS = {
    load_faithful: (272, ["eruptions", "waiting"]),
    load_galaxies: (82, ["velocity"]),
    load_acidity: (155, ["acidity"]),
}


@pytest.fixture(params=LOADERS, ids=lambda load: load.__name__)
def load(request):
    return request.param


def test_bunch_has_scikit_learns_keys(load):
    bunch = load()
    n_samples, names = LOADERS[load]
    assert bunch.data.shape == (n_samples, len(names))
    assert bunch.data.dtype == np.float64
    assert np.isfinite(bunch.data).all()
    assert bunch.feature_names == names
    assert bunch.frame is None
    assert bunch.target is None
    assert (resources.files(bunch.data_module) / bunch.filename).is_file()


def test_x_and_y_are_what_fit_takes(load):
    X, y = load(return_X_y=True)
    np.testing.assert_array_equal(X, load().data)
    assert y is None
    assert GaussianMixture().fit(X, y).n_features_in_ == X.shape[1]


def test_frame_has_the_data_and_their_names(load):
    bunch = load(as_frame=True)
    assert bunch.frame is bunch.data
    assert list(bunch.frame.columns) == bunch.feature_names
    np.testing.assert_array_equal(bunch.frame.to_numpy(), load().data)

    X, y = load(as_frame=True, return_X_y=True)
    assert X.equals(bunch.frame)
    assert y is None


def test_pandas_is_needed_for_frames_only(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert load().frame is None
    with pytest.raises(ImportError, match=f"{load.__name__} .* requires pandas"):
        load(as_frame=True)


def test_options_are_keywords(load):
    with pytest.raises(TypeError):
        load(True)


def test_each_load_has_data_of_its_own(load):
    load().data[:] = 0
    assert (load().data > 0).all()


@pytest.mark.parametrize(
    ("load", "sources"),
    [
        (load_faithful, ["Azzalini", "1990", "minutes"]),
        (load_galaxies, ["Postman", "Huchra", "1986", "Roeder", "1990", "km/s"]),
        (load_acidity, ["Crawford", "1994"]),
    ],
)
def test_description_names_sources_and_size(load, sources):
    description = load().DESCR
    for word in [*sources, f"samples: {LOADERS[load][0]}"]:
        assert word in description


def test_faithful_has_the_published_means():
    # R prints 3.488 and 70.897 for `faithful`.
    means = load_faithful().data.mean(axis=0)
    np.testing.assert_allclose(means, [3.488, 70.897], atol=0.0005)


def test_galaxies_are_those_of_the_usual_distribution():
    bunch = load_galaxies()
    assert bunch.data[77, 0] == 26690
    assert "Value 78 is 26690" in bunch.DESCR
    # R prints 20828 for the mean of `galaxies`; 26960 would make it 20831.
    assert round(bunch.data.mean()) == 20828


def test_acidity_is_on_a_logarithmic_scale_above_minus_fifty():
    # The range that exp(acidity) - 50 gives, in microequivalents per litre.
    capacity = np.exp(load_acidity().data) - 50
    assert -50 < capacity.min() < 0
    assert 1000 < capacity.max() < 1500
