"""Student's t of columns in which many rows share values."""

import pickle

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from skem import MixtureModel, load
from skem._inputs import families as _families
from skem._inputs import tables as _table
from skem.core.blocks.threads import Workers
from skem.families.model import Look
from skem.families.product import Product
from skem.families.registry import FAMILIES
from skem.families.search import POOL_ROWS
from skem.families.student import MOST_DF
from skem.families.table_map import TableMap

FAMILIES_OF = [("gaussian", [0, 1]), ("student", [2])]
COLUMNS = {
    "zeros": lambda rng, n: np.where(rng.random(n) < 0.5, 0, rng.lognormal(0, 0.5, n)),
    "fives": lambda rng, n: np.where(rng.random(n) < 0.2, 5, rng.normal(0, 2, n)),
    "bits": lambda rng, n: (rng.random(n) < 0.5).astype(float),
    "steps": lambda rng, n: np.r_[1e6, rng.poisson(3, n - 1)],
    "constant": lambda rng, n: np.full(n, 3.3),
}


def beside_clusters(name, n, seed=0, share=0.3):
    """Two clear clusters of two columns, with a column that tells nothing of them."""
    rng = np.random.default_rng(seed)
    z = (rng.random(n) < share).astype(int)
    x = 4 * z[:, None] + rng.normal(size=(n, 2))
    return np.column_stack([x, COLUMNS[name](rng, n)]), z


def model_of(**options):
    return MixtureModel(2, families=FAMILIES_OF, random_state=0, **options)


def flat(model):
    laws = [v.ravel() for each in model.parameters_.values() for v in each.values()]
    return np.concatenate([model.weights_, *laws])


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("seed", [0, 1])
def test_shared_values_do_not_hide_clusters(name, seed):
    X, z = beside_clusters(name, 500, seed)
    model = model_of().fit(X)
    assert adjusted_rand_score(z, model.predict(X)) > 0.9
    # What users see takes them for points.
    assert model.lower_bound_ == pytest.approx(model.score(X), rel=1e-12)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_a_column_of_one_value_has_one_law():
    X, _ = beside_clusters("constant", 300, share=0.1)
    model = model_of().fit(X)
    law = model.parameters_["x2"]
    np.testing.assert_allclose(law["location"], 3.3)
    assert law["scale"][0] == law["scale"][1] > 0
    assert (law["df"] == MOST_DF).all()
    assert np.isfinite(model.sample(10, random_state=0)[0]).all()


@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_plain_steps_climb_with_widths(gaps, climbing):
    rng = np.random.default_rng(0)
    x = COLUMNS["zeros"](rng, 400)[None]
    x[0, rng.random(400) < gaps] = np.nan
    model = FAMILIES["student"]().look(Look(x, np.ones(400), 3, 0.1, True, 0))
    product = Product((model,), (np.array([0]),)).of(x)
    em = TableMap(product, x, np.ones(400), Workers())
    here = climbing(em, em.labelled(rng.dirichlet(np.ones(3), 400).T), 50)
    # No component is narrower than the zeros are wide.
    square = model.gaussian.coordinates.squares(np.zeros((1, 1)))
    assert (here.parameters.laws[0]["scale"] ** 2 > square / 2).all()


@pytest.mark.usefixtures("short_search")
@pytest.mark.parametrize("name", ["zeros", "fives"])
def test_weights_are_repeated_rows_and_gaps_are_left_out(name):
    X, z = beside_clusters(name, 400)
    rng = np.random.default_rng(1)
    X[rng.random(len(X)) < 0.2, 2] = np.nan
    weight = rng.integers(0, 3, size=len(X))
    repeated = np.repeat(X, weight, axis=0)
    weighted = model_of(tol=1e-6).fit(X, sample_weight=weight.astype(float))
    model = model_of(tol=1e-6).fit(repeated)
    np.testing.assert_allclose(flat(weighted), flat(model), rtol=1e-3, atol=1e-3)
    assert adjusted_rand_score(z, model.predict(X)) > 0.9


@pytest.mark.usefixtures("short_search")
@pytest.mark.parametrize("name", COLUMNS)
def test_streams_keep_widths(name, tmp_path):
    X, z = beside_clusters(name, 2000)
    model = model_of()
    for rows in np.split(X, 5):
        model = pickle.loads(pickle.dumps(model.partial_fit(rows)))
    assert adjusted_rand_score(z, model.predict(X)) > 0.9
    model.save(tmp_path / "model.json")
    other = load(tmp_path / "model.json")
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))


@pytest.mark.usefixtures("short_search")
def test_a_column_of_one_value_has_one_law_in_a_stream():
    X, _ = beside_clusters("constant", 400)
    model = model_of()
    for _ in range(3):
        law = model.partial_fit(X).parameters_["x2"]
        np.testing.assert_allclose(law["location"], 3.3)
        assert law["scale"][0] == law["scale"][1] > 0
        assert (law["df"] == MOST_DF).all()


@pytest.mark.usefixtures("short_search")
def test_a_stream_learns_that_a_column_has_more_than_one_value():
    X, z = beside_clusters("constant", 400)
    model = model_of().partial_fit(X)
    pinned = model.parameters_["x2"]["scale"]
    rng = np.random.default_rng(1)
    for seed in range(20):
        X, z = beside_clusters("constant", 400, seed)
        X[:, 2] += rng.standard_t(3, len(X))
        model.partial_fit(X)
    law = model.parameters_["x2"]
    np.testing.assert_allclose(law["location"], 3.3, atol=0.3)
    # With many equal rows at first it has heavy tails.
    assert (law["scale"] > 20 * pinned).all()
    assert (law["df"] < 2).all()
    assert adjusted_rand_score(z, model.predict(X)) > 0.9


@pytest.mark.usefixtures("short_search")
@pytest.mark.parametrize("name", ["zeros", "constant"])
def test_dask_gives_what_memory_gives(name, monkeypatch):
    da = pytest.importorskip("dask.array")
    monkeypatch.setattr(_table, "ROWS_IN_BLOCKS", 1000)
    monkeypatch.setattr(_families, "ROWS_IN_BLOCKS", 1000)
    X, z = beside_clusters(name, 1500)
    assert len(X) < POOL_ROWS
    model = model_of(tol=1e-4).fit(X)
    own = model_of(tol=1e-4).fit(da.from_array(X, chunks=(400, 2)))
    np.testing.assert_allclose(flat(own), flat(model), rtol=1e-6, atol=1e-8)
    assert adjusted_rand_score(z, model.predict(X)) > 0.9
