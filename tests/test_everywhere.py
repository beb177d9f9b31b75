"""The same rows give the same fit, wherever they come from."""

import numpy as np
import pandas as pd
import pytest

from skem import GaussianMixture

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

pytestmark = pytest.mark.usefixtures("short_search")

N = 200


def clusters(rng):
    y = rng.integers(0, 3, N)
    return np.array([[0, 0], [6, 0], [0, 6.0]])[y] + rng.normal(size=(N, 2))


DATA = {
    "plain": lambda r, X: X,
    "bits": lambda r, X: np.c_[X, r.integers(0, 2, N)],
    "zeros": lambda r, X: np.c_[X, np.where(r.random(N) < 0.5, 0, r.lognormal(size=N))],
    "whole numbers": lambda r, X: np.round(X),
    "constant column": lambda r, X: np.c_[X, np.full(N, 7.0)],
    "collinear columns": lambda r, X: np.c_[X, X @ [1.0, 2.0]],
    "outlier": lambda r, X: np.vstack([X[1:], [[1e6, -1e6]]]),
    "repeated rows": lambda r, X: X[r.integers(0, 60, N)],
    "far from zero": lambda r, X: X + 1e6,
}


def elsewhere(X, weight, tmp_path):
    """Yield a name, the rows in another place, and their weights."""
    yield "Fortran", np.asfortranarray(X), weight
    yield "strided", np.repeat(X, 2, axis=0)[::2], weight
    mapped = np.memmap(tmp_path / "X", X.dtype, "w+", shape=X.shape)
    mapped[:] = X
    yield "memmap", mapped, weight
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
    yield "DataFrame", frame, weight
    if weight is None:
        yield "Dask", da.from_array(X, chunks=(97, X.shape[1])), None
        yield "Dask DataFrame", dd.from_pandas(frame, npartitions=3), None
    else:
        yield "Dask", da.from_array(X, chunks=(97, 1)), da.from_array(weight, 40)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
# Weights take turns, and all data have them among the slow tests.
@pytest.mark.parametrize(
    ("change", "weighted"),
    [
        pytest.param(
            *(change, weighted),
            id=name + ", weighted" * weighted,
            marks=[] if weighted == i % 2 else [pytest.mark.slow],
        )
        for i, (name, change) in enumerate(DATA.items())
        for weighted in (False, True)
    ],
)
def test_fits_are_the_same_wherever_rows_are(change, weighted, tmp_path, rng):
    X = np.ascontiguousarray(change(rng, clusters(rng)), dtype=float)
    weight = rng.integers(0, 4, N).astype(float) if weighted else None
    here = GaussianMixture(3, random_state=0).fit(X, sample_weight=weight)
    for name, rows, there in elsewhere(X, weight, tmp_path):
        found = GaussianMixture(3, random_state=0).fit(rows, sample_weight=there)
        # Where columns are collinear, rounding is all that there is in one direction.
        tolerance = 1e-5 if change is DATA["collinear columns"] else 1e-8
        assert found.lower_bound_ == pytest.approx(
            here.lower_bound_, rel=tolerance, abs=tolerance
        ), name
        for attribute in ("weights_", "means_", "covariances_"):
            actual, expected = getattr(found, attribute), getattr(here, attribute)
            atol = 1000 * tolerance if tolerance > 1e-8 else tolerance
            scale = np.abs(expected).max()
            np.testing.assert_allclose(
                actual / scale, expected / scale, rtol=0, atol=atol, err_msg=name
            )


@pytest.mark.parametrize("change", [DATA["bits"], DATA["zeros"]], ids=["bits", "zeros"])
def test_float32_rows_are_the_same_wherever_they_are(change, tmp_path, rng):
    X = np.ascontiguousarray(change(rng, clusters(rng)), dtype=np.float32)
    here = GaussianMixture(3, random_state=0).fit(X)
    for name, rows, _ in elsewhere(X, None, tmp_path):
        if name == "Dask DataFrame":
            continue
        found = GaussianMixture(3, random_state=0).fit(rows)
        # Blocks are cut elsewhere, and each is rounded by itself.
        assert found.lower_bound_ == pytest.approx(here.lower_bound_, abs=1e-4), name
