"""The compiled pass against its NumPy twin: every tail, layout, type and kind."""

import pickle
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from skem.core.blocks.arrays import BLOCK_BYTES, ArrayBlocks, Block
from skem.core.blocks.threads import Workers, Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.quadratic import Pairs
from skem.core.gaussian.ties import Atoms, Ties
from skem.core.mixture.expectation import Expectation, total_statistics
from skem.core.passes.forms import NEGLIGIBLE, Centred, Expanded, Form
from skem.core.passes.fused import MAX_CENTRED_FEATURES, QUADRATICS, Fused, totals
from skem.kernels import native

LIBRARIES = native.runnable()
ROUNDING = {"f8": 1e-12, "f4": 1e-5}
"""Relative to the sums of the absolute values of what is added up."""
SHORT = "f4 f2 >f4 >f2 i2 i1 u2 u1 >i2 >u2 ?".split()
"""Types of data whose values single precision can hold."""
TYPES = [*SHORT, *"f8 >f8 i8 i4 u8 u4 >i8 >i4 >u8 >u4".split()]
LAYOUTS = ["C", "F", "columns", "rows", "backwards", "unaligned", "repeated"]
WEIGHTS = ["none", "positive", "zeros", "strided", "unaligned", "tiny", "vast"]
OFFSET = 20.0
"""Of all data, so that they fit into unsigned integers."""

searched = settings(
    derandomize=True,
    deadline=None,
    max_examples=40,
    phases=set(Phase) - {Phase.explain},
)


@pytest.fixture(
    params=LIBRARIES
    or [pytest.param(None, marks=pytest.mark.skip("no library was compiled"))],
    ids=lambda library: f"level-{library.level}" if library else "none",
    scope="module",
)
def library(request):
    return request.param


@contextmanager
def kernel(library):
    """Let this library run; the NumPy twin for None."""
    with patch.object(native, "library", lambda: library):
        yield


def in_layout(values, layout):
    """Return equal values in another place; `repeated` has the first row alone."""
    if layout == "F":
        return np.asfortranarray(values)
    if layout == "columns":
        wide = np.zeros((len(values), 2 * values.shape[1] + 1), values.dtype)
        wide[:, 1::2] = values
        return wide[:, 1::2]
    if layout == "rows":
        return np.repeat(values, 3, axis=0)[::3]
    if layout == "backwards":
        return values[::-1, ::-1].copy()[::-1, ::-1]
    if layout == "unaligned":
        memory = np.empty(values.nbytes + 1, np.uint8)
        moved = memory[1:].view(values.dtype).reshape(values.shape)
        moved[:] = values
        return moved
    if layout == "repeated":
        return np.broadcast_to(values[:1], values.shape)
    return values


def in_type(values, dtype):
    """Round to a type; of integers to what fits into each of them."""
    if dtype == "?":
        return values > OFFSET
    if dtype[-2] in "iu":
        values = np.clip(np.round(values), 0, 120)
    return values.astype(dtype)


def random_cholesky(rng, kind, mixtures, K, d):
    """Return factors of precisions, of condition numbers below about a hundred."""
    structure = STRUCTURES[kind]
    factors = rng.normal(size=(*mixtures, K, d, 2 * d))
    matrices = factors @ np.swapaxes(factors, -1, -2) / (2 * d) + 0.1 * np.eye(d)
    covariances = {
        "full": matrices,
        "tied": matrices[..., 0, :, :],
        "diag": np.einsum("...ii->...i", matrices),
        "spherical": np.einsum("...ii->...", matrices) / d,
    }[kind]
    return structure.factor(covariances)[0]


@dataclass(frozen=True)
class Case:
    """What a pass is given, and in which form it is computed."""

    expectation: Expectation
    block: Block
    computing: str

    @property
    def tolerance(self):
        """Rounding of what cancels in a logit, Σ_i P_ii (|z_i| + |μ_i|)²."""
        form, data = self.expectation.form, self.block.data
        structure, parameters = form.structure, form.parameters
        z = self.expectation.coordinates.load(data, np.empty(data.shape))
        precisions = structure.precision_diagonals(
            parameters.precisions_cholesky, parameters.shape
        )
        largest = np.abs(parameters.means) + np.abs(z).max(axis=1)
        terms = (precisions * largest**2).sum(axis=-1).max()
        return ROUNDING[self.computing] * max(1, terms / 30)

    def again(self):
        """Return the same, not yet computed by any kernel."""
        form, coordinates = self.expectation.form, self.expectation.coordinates
        return Expectation(form, coordinates)

    def replaced(self, **changes):
        return Case(self.expectation, self.block._replace(**changes), self.computing)

    def by(self, library, method, *arguments):
        """Return what a method gives under a kernel, in memory of its own."""
        with kernel(library):
            expectation = self.again()
            assert (expectation._fused is None) == (library is None)
            value = getattr(expectation, method)(self.block, Workspace(), *arguments)
        return tuple(map(np.copy, value)) if isinstance(value, tuple) else value


def atoms_of(X, ties, rng):
    """Yield no atoms, one or a few of some features, or many of the last one."""
    d = X.shape[1]
    first = {"one": 0, "few": 0, "atoms": d - 1}.get(ties, d)
    for feature in range(first, d, 2):
        values = np.unique(X[:, feature].astype(float))
        few = {"one": slice(1), "few": slice(1 + feature % 4)}
        values = values[few.get(ties, slice(None, None, 2))]
        yield Atoms(feature, values.astype(X.dtype), rng.uniform(0, 0.5, len(values)))


def make_case(
    n: int = 150,
    K: int = 3,
    d: int = 2,
    kind: str = "full",
    form: Any = Expanded,
    types: tuple[str, str] = ("f8", "f8"),
    layout: str = "C",
    weights: str = "none",
    ties: str = "none",
    mixtures: tuple[int, ...] = (),
    emptied: bool = False,
    separation: float = 2.0,
    seed: int = 0,
) -> Case:
    """Return a mixture or a stack with data; types are to compute in, and of data."""
    rng = np.random.default_rng(seed)
    computing, dtype = types
    structure = STRUCTURES[kind]
    cholesky = random_cholesky(rng, kind, mixtures, K, d)
    proportions = rng.dirichlet(np.full(K, 5.0), size=mixtures)
    means = rng.normal(scale=separation / np.sqrt(2), size=(*mixtures, K, d))
    if emptied and K > 1:
        proportions[..., K // 2] = 0
        proportions /= proportions.sum(axis=-1, keepdims=True)
    # One of the mixtures gives the data.
    first = means.reshape(-1, K, d)[0]
    z = first[rng.integers(K, size=n)] + rng.normal(size=(n, d))
    scale = rng.uniform(0.2, 0.5, d) if structure.scales_features else np.full(d, 0.3)
    X = in_layout(in_type(OFFSET + z / scale, dtype), layout)
    shift = np.full(d, 0.5 if dtype == "?" else OFFSET)
    tied = None
    if ties != "none":
        steps = np.where(np.arange(d) % 2, 0.0, 0.3)
        tied = Ties(steps, tuple(atoms_of(X, ties, rng)))
    parameters = Parameters(proportions, means, cholesky)
    expectation = Expectation(
        form(structure, parameters, np.dtype(computing)),
        Coordinates(shift, scale, ties=tied),
    )
    weight = {
        "none": None,
        "positive": rng.uniform(0.1, 2, n),
        "zeros": rng.integers(0, 3, n).astype(float),
        "strided": rng.uniform(0.1, 2, 3 * n)[::-3],
        "unaligned": in_layout(rng.uniform(0.1, 2, (n, 1)), "unaligned")[:, 0],
        "tiny": rng.uniform(1e-61, 1e-60, n),
        "vast": rng.uniform(1e60, 1e61, n),
    }[weights]
    return Case(expectation, Block(0, n, X.T, weight), computing)


SIZES = {
    "n": st.integers(1, 300),
    "K": st.sampled_from([*range(1, 10), 13, 130]),
    "d": st.sampled_from([*range(1, 8), 33, 50]),
    "kind": st.sampled_from(list(STRUCTURES)),
    "form": st.sampled_from([Expanded, Centred]),
    "types": (
        st.sampled_from([("f8", "f8"), ("f4", "f4")])
        | st.tuples(st.just("f8"), st.sampled_from(TYPES))
        | st.tuples(st.just("f4"), st.sampled_from(SHORT))
    ),
    "layout": st.sampled_from(LAYOUTS),
    "weights": st.sampled_from(WEIGHTS),
    "ties": st.sampled_from(["none", "steps", "one", "few", "atoms"]),
    "mixtures": st.sampled_from([(), (), (1,), (3,), (2, 2)]),
    "emptied": st.booleans(),
    "separation": st.sampled_from([0.5, 2.0, 30.0]),
    "seed": st.integers(0, 2**32 - 1),
}
"""Arguments of `make_case`: below, at and above the sizes of registers and tiles."""


def scales(case):
    """Σ v r |T(z − reference)|, and Σ v |T|: of what the sums are a part."""
    form, data, weight = case.expectation.form, case.block.data, case.block.weight
    resp = case.by(None, "responsibilities").astype(float)
    v = np.ones(data.shape[1]) if weight is None else weight
    z = case.expectation.coordinates.load(data, np.empty(data.shape))
    squares = case.expectation.coordinates.squares(data)
    d = len(z)
    own, all_ = np.empty((2, *resp.shape[:-1], 1 + d + form.quadratic.size(d)))
    for k in np.ndindex(resp.shape[:-1]):
        rows = np.abs(z - form.reference[k][:, None])
        quadratic = np.empty((form.quadratic.size(d), rows.shape[1]))
        form.quadratic.expand(rows, quadratic)
        if squares is not None:
            form.quadratic.add_squares(quadratic, squares)
        terms = np.concatenate([np.ones((1, rows.shape[1])), rows, quadratic])
        own[k], all_[k] = terms @ (v * resp[k]), terms @ v
    return own, all_


def assert_statistics_agree(case, library):
    found, expected = (case.by(each, "statistics") for each in (library, None))
    assert found.sums.dtype == expected.sums.dtype == np.float64
    np.testing.assert_array_equal(found.reference, expected.reference)
    assert found.quadratic == expected.quadratic
    own, all_ = scales(case)
    error = np.abs(found.sums - expected.sums)
    # Responsibilities that are negligible may be left out.
    bound = case.tolerance * own + 2 * NEGLIGIBLE * all_
    assert (error <= bound).all(), np.max(error / bound)
    total = all_.flat[0]
    error = np.abs(found.loglik - expected.loglik)
    assert (error <= case.tolerance * (total + np.abs(expected.loglik))).all()


# Far rows of vast weight: a weight divided by their total is beyond all range.
FAR_AND_VAST = {
    **{"n": 2, "K": 1, "d": 1, "kind": "full", "form": Expanded, "layout": "C"},
    **{"types": ("f8", "f8"), "weights": "vast", "ties": "none", "mixtures": (2, 2)},
    **{"emptied": False, "separation": 30.0, "seed": 0},
}


@given(sizes=st.fixed_dictionaries(SIZES))
@example(sizes=FAR_AND_VAST)
@searched
def test_statistics_are_those_of_the_twin(library, sizes):
    assert_statistics_agree(make_case(**sizes), library)


@pytest.mark.parametrize("computing", ["f8", "f4"])
@pytest.mark.parametrize("separation", [0.5, 8.0, 40.0])
@pytest.mark.parametrize("form", [Expanded, Centred])
@pytest.mark.parametrize("kind", ["full", "tied", "diag"])
def test_components_that_are_left_out_have_no_part(
    library, kind, form, separation, computing
):
    # Of clusters that are apart, most; of others none, from the second tile on.
    sizes = {"n": 700, "K": 12, "d": 20, "kind": kind, "form": form}
    for weights in ("none", "positive"):
        case = make_case(
            **sizes,
            types=(computing, computing),
            weights=weights,
            separation=separation,
            emptied=True,
        )
        assert_statistics_agree(case, library)


LONG = SIZES | {
    "d": st.sampled_from([128, 131, 150]),
    "kind": st.sampled_from(["tied", "diag", "spherical"]),
    "form": st.just(Expanded),
    "ties": st.sampled_from(["none", "one"]),
}
"""Sizes of samples that stay rows of features."""


@given(sizes=st.fixed_dictionaries(LONG))
@searched
def test_sums_of_many_features_are_those_of_the_twin(library, sizes):
    assert_statistics_agree(make_case(**sizes), library)


@pytest.mark.parametrize("computing", ["f8", "f4"])
@pytest.mark.parametrize("distance", [1e3, 1e30, 1e160, np.inf, np.nan])
@pytest.mark.parametrize("kind", ["tied", "diag", "spherical"])
def test_far_rows_of_many_features_are_left(library, kind, distance, computing):
    rng = np.random.default_rng(0)
    near = make_case(
        n=301, K=5, d=131, kind=kind, types=(computing, computing), separation=1.0
    )
    far = rng.random(301) < 0.02
    far[[0, 100, -1]] = True
    if computing == "f4" and distance == 1e160:
        distance = 3e37
    case = moved_away(near, far, distance, rng)
    density, _, _ = case.by(library, "classified")
    assert_sums_agree(case, near, library, density, distance)


SORTED = SIZES | {
    "n": st.sampled_from([330, 1501, 9001]),
    "K": st.sampled_from([8, 20]),
    "d": st.sampled_from([5, 8, 13, 17]),
    "kind": st.just("full"),
    "form": st.just(Expanded),
    "ties": st.just("none"),
    "mixtures": st.sampled_from([(), (3,)]),
    "separation": st.sampled_from([5.0, 12.0, 40.0]),
}
"""Sizes of clusters that are apart, of some rows each."""


@given(sizes=st.fixed_dictionaries(SORTED))
@searched
def test_sorted_rows_have_the_sums_of_the_twin(library, sizes):
    assert_statistics_agree(make_case(**sizes), library)


@pytest.mark.parametrize("computing", ["f8", "f4"])
@pytest.mark.parametrize("separation", [0.5, 12.0])
def test_rows_are_sorted_where_clusters_are_apart(library, separation, computing):
    rng = np.random.default_rng(0)
    near = make_case(
        n=2000, K=20, d=12, types=(computing, computing), separation=separation
    )
    far = rng.random(2000) < 0.1
    case = moved_away(near, far, 1e6, rng)
    with kernel(library):
        compiled = case.expectation._fused.compiled
        sums, loglik = np.empty((20, 1 + 12 + 78)), np.empty(1)
        left = compiled.run(case.block, None, Workspace(), sums=sums, loglik=loglik)
    # Samples that are left are in the order in which tiles have them.
    assert (np.diff(left) > 0).all() == (separation < 1)
    np.testing.assert_array_equal(np.sort(left), np.flatnonzero(far))


@pytest.mark.parametrize("computing", ["f8", "f4"])
@pytest.mark.parametrize("distance", [1e3, 1e6, np.inf, np.nan])
def test_far_rows_among_sorted_ones_are_left(library, distance, computing):
    rng = np.random.default_rng(0)
    near = make_case(n=1501, K=20, d=12, types=(computing, computing), separation=12.0)
    far = rng.random(1501) < 0.02
    far[[0, 100, -1]] = True
    case = moved_away(near, far, distance, rng)
    density, _, _ = case.by(library, "classified")
    assert_sums_agree(case, near, library, density, distance)


def test_noise_has_its_part_where_rows_are_sorted(library):
    case = make_case(n=1501, K=20, d=12, separation=12.0)
    form = case.expectation.form
    parameters = replace(form.parameters, weights=0.9 * form.parameters.weights)
    form = replace(form, parameters=parameters, background=np.full(12, 3.0))
    expectation = replace(case.expectation, form=form)
    found, expected = (
        replace(case, expectation=expectation).by(each, "statistics")
        for each in (library, None)
    )
    assert expected.noise > 0
    assert found.noise == pytest.approx(expected.noise, rel=1e-12)
    assert found.loglik == pytest.approx(expected.loglik, rel=1e-12)
    np.testing.assert_allclose(found.counts, expected.counts, rtol=1e-12)


SINGLE = SIZES | {"mixtures": st.just(())}
"""The same of a mixture alone."""


def assert_evaluations_agree(case, library):
    """Log-densities, responsibilities and labels."""
    atol = case.tolerance
    (density, _, resp), (expected, _, twin) = (
        case.by(each, "classified") for each in (library, None)
    )
    np.testing.assert_allclose(density, expected, rtol=atol, atol=atol)
    assert resp.dtype == twin.dtype == case.computing
    np.testing.assert_allclose(resp, twin, rtol=0, atol=atol)
    # Whatever else is asked for, it is computed by the same steps.
    np.testing.assert_array_equal(case.by(library, "log_density"), density)
    np.testing.assert_array_equal(case.by(library, "responsibilities"), resp)

    labels, expected = (case.by(each, "labels") for each in (library, None))
    ordered = np.sort(twin, axis=0)
    clear = len(twin) == 1 or ordered[-1] > ordered[-2] + 3 * atol
    np.testing.assert_array_equal(labels[clear], expected[clear])
    assert ((labels >= 0) & (labels < len(twin))).all()


@given(sizes=st.fixed_dictionaries(SINGLE))
@searched
def test_evaluations_are_those_of_the_twin(library, sizes):
    assert_evaluations_agree(make_case(**sizes), library)


@given(sizes=st.fixed_dictionaries(SIZES | {"mixtures": st.just((2, 2))}))
@searched
def test_responsibilities_of_a_stack_are_those_of_each_mixture(library, sizes):
    case = make_case(**sizes)
    stack = case.by(library, "responsibilities")
    form, coordinates = case.expectation.form, case.expectation.coordinates
    for index in np.ndindex(2, 2):
        one = Case(
            Expectation(form.of_mixture(index), coordinates), case.block, case.computing
        )
        # The stack has one peak for each mixture, and the same steps.
        np.testing.assert_array_equal(stack[index], one.by(library, "responsibilities"))
        together, alone = case.by(library, "statistics"), one.by(library, "statistics")
        np.testing.assert_array_equal(together.sums[index], alone.sums)
        assert together.loglik[index] == alone.loglik


@pytest.mark.each_pair
@pytest.mark.parametrize("computing", ["f8", "f4"])
@pytest.mark.parametrize("form", [Expanded, Centred])
@pytest.mark.parametrize("place", ["C", "F", "wide", "backwards", "other type"])
def test_responsibilities_are_written_wherever_they_are_wanted(
    library, form, computing, place
):
    case = make_case(n=77, K=5, form=form, types=(computing, computing))
    expected = case.by(library, "responsibilities").T
    wide = np.full((2 * 77, 12), 7, computing)
    out = {
        "C": np.empty((77, 5), computing),
        "F": np.empty((77, 5), computing, order="F"),
        "wide": wide[::2, 1:11:2],
        "backwards": wide[76::-1, 9:4:-1],
        "other type": np.empty((77, 5), {"f8": "f4", "f4": "f8"}[computing]),
    }[place]
    case.by(library, "write_responsibilities", out)
    np.testing.assert_array_equal(out, expected.astype(out.dtype))
    if np.shares_memory(out, wide):
        out[:] = 7
        assert (wide == 7).all()


NEAR = st.fixed_dictionaries(
    SINGLE
    | {
        "n": st.integers(3, 300),
        "types": st.sampled_from([("f8", "f8"), ("f4", "f4")]),
        "layout": st.sampled_from(["C", "F"]),
        "separation": st.just(2.0),
    }
)
AWAY = {
    "f8": [40.0, 300.0, 1e4, 1e12, 1e30, 1e154, 1e160, 1e300, np.inf, -np.inf, np.nan],
    "f4": [40.0, 300.0, 1e4, 1e12, 1e18, 1e30, np.inf, -np.inf, np.nan],
}
FINITE = {"f8": 1e100, "f4": 1e15}
"""Distances whose squares, times numbers of order one, are finite."""


def moved_away(case, chosen, distance, rng):
    """Put some of the samples at a distance, on all or one of the features."""
    data = case.block.data.copy()
    which = np.flatnonzero(chosen)
    angles = rng.normal(size=(len(data), len(which)))
    if rng.random() < 0.5:
        angles[1:] = 0
    with np.errstate(invalid="ignore"):
        direction = angles / np.abs(angles).max(axis=0)
        data[:, which] += np.where(direction == 0, 0, distance * direction)
    return case.replaced(data=data)


def assert_sums_agree(case, near, library, density, distance):
    """Statistics of samples of which some were moved away from `near`."""
    eps = float(np.finfo(case.computing).eps)
    n, weight = case.block.data.shape[1], case.block.weight
    weight = np.ones(n) if weight is None else weight
    total = weight.sum()
    with np.errstate(all="ignore"):
        found, expected = (case.by(each, "statistics") for each in (library, None))
    assert found.counts.sum() == pytest.approx(total, rel=1e4 * eps, abs=0)
    most = np.finfo(float).max
    with np.errstate(over="ignore"):
        size = np.minimum(weight @ np.abs(density), most)
    error = np.abs(np.subtract(*np.clip([found.loglik, expected.loglik], -most, most)))
    assert error <= 1e4 * eps * size + total * near.tolerance
    # Squares of others are beyond the range of numbers.
    if abs(distance) < FINITE[case.computing]:
        own, all_ = scales(case)
        error = np.abs(found.sums - expected.sums)
        assert (error <= 1e4 * eps * own + 2 * NEGLIGIBLE * all_).all()


@given(
    sizes=NEAR,
    share=st.sampled_from([0.01, 0.3, 1.0]),
    place=st.integers(0, 10),
    seed=st.integers(0, 2**32 - 1),
)
@searched
def test_far_samples_are_those_of_the_twin_and_harm_no_others(
    library, sizes, share, place, seed
):
    rng = np.random.default_rng(seed)
    near = make_case(**sizes)
    distances = AWAY[near.computing]
    distance = distances[place % len(distances)]
    far = rng.random(near.block.data.shape[1]) < share
    far[rng.integers(len(far))] = True
    case = moved_away(near, far, distance, rng)

    density, _, resp = case.by(library, "classified")
    before, _, resp_before = near.by(library, "classified")
    np.testing.assert_array_equal(density[~far], before[~far])
    np.testing.assert_array_equal(resp[:, ~far], resp_before[:, ~far])
    assert np.isfinite(density).all()
    # Logits that are of the size of their distance are rounded as much.
    eps = float(np.finfo(case.computing).eps)
    np.testing.assert_allclose(resp.sum(axis=0), 1, rtol=200 * eps)

    expected, _, twin = case.by(None, "classified")
    assert (density[far] < -5).all() or not np.isfinite(distance)
    np.testing.assert_allclose(density, expected, rtol=1e4 * eps, atol=near.tolerance)
    labels = case.by(library, "labels")
    ordered = np.sort(twin, axis=0)
    clear = len(twin) == 1 or ordered[-1] > ordered[-2] + 0.1
    np.testing.assert_array_equal(labels[clear], twin.argmax(axis=0)[clear])

    assert_sums_agree(case, near, library, density, distance)


def blocks_of(case, workers):
    block = case.block
    return ArrayBlocks(block.data.T, block.weight, workers, case.expectation.form.dtype)


@given(
    sizes=st.fixed_dictionaries(
        SINGLE | {"types": st.tuples(st.just("f8"), st.sampled_from(TYPES))}
    )
)
@searched
def test_totals_are_those_of_the_twin(library, sizes):
    case = make_case(**sizes)
    structure = case.expectation.form.structure
    arguments = blocks_of(case, Workers()), case.expectation.coordinates, structure
    with kernel(library):
        found = total_statistics(*arguments)
    with kernel(None):
        expected = total_statistics(*arguments)
    assert found.quadratic == expected.quadratic == structure.quadratic
    data = case.block.data
    z = case.expectation.coordinates.load(data, np.empty(data.shape))
    # No product is larger than this, but for the squared norm and shared values.
    largest = len(z) * (1 + np.square(z).max())
    bound = 1e-12 * largest * expected.counts[0]
    assert (np.abs(found.sums - expected.sums) <= bound).all()


@pytest.mark.parametrize("value", [1e160, np.inf, np.nan])
def test_totals_of_what_no_number_can_hold_are_left_to_the_twin(library, value):
    case = make_case(n=9)
    case.block.data[0, 4] = value
    coordinates, quadratic = case.expectation.coordinates, Pairs()
    with kernel(library):
        assert totals(case.block, coordinates, quadratic, Workspace()) is None


@pytest.mark.parametrize("computing", ["f8", "f4"])
@pytest.mark.parametrize("weights", ["none", "zeros"])
def test_statistics_do_not_depend_on_the_number_of_threads(library, computing, weights):
    # Seventeen blocks, the last of which ends within a tile.
    case = make_case(
        n=17 * 600 + 5, K=6, d=3, types=(computing, computing), weights=weights
    )
    found = []
    for n_threads in (1, 2, 4):
        with kernel(library), Workers() as workers:
            workers.n_threads = n_threads
            rows = blocks_of(case, workers)
            values = BLOCK_BYTES // (600 * rows.dtype.itemsize)
            assert len(rows.cuts(values)) > 16
            found.append(rows.fold(case.again().statistics, values))
    for other in found[1:]:
        np.testing.assert_array_equal(other.sums, found[0].sums)
        assert other.loglik == found[0].loglik


def test_pass_stays_in_its_process(library):
    case = make_case()
    with kernel(library):
        expectation = case.again()
        before = expectation.statistics(case.block, Workspace())
        sent = pickle.loads(pickle.dumps(expectation))
        assert "_fused" not in vars(sent)
        after = sent.statistics(case.block, Workspace())
    np.testing.assert_array_equal(after.sums, before.sums)


@pytest.mark.parametrize("reason", ["units", "many features", "another quadratic part"])
def test_twin_computes_what_is_not_compiled(library, reason):
    case = make_case(d=MAX_CENTRED_FEATURES + 1, form=Centred)
    form, coordinates = case.expectation.form, case.expectation.coordinates
    if reason != "many features":
        case = make_case()
        form, coordinates = case.expectation.form, case.expectation.coordinates
    if reason == "units":
        coordinates = replace(coordinates, unit=np.full(2, 2.0))
    if reason == "another quadratic part":
        other = type("Other", (type(form.structure),), {"logit_quadratic": object()})
        form = replace(form, structure=other())
    with kernel(library):
        assert Fused.of(form, coordinates) is None


def test_every_quadratic_part_is_compiled():
    used = {
        type(quadratic)
        for structure in STRUCTURES.values()
        for quadratic in (structure.quadratic, structure.logit_quadratic)
    }
    assert used <= set(QUADRATICS)


@pytest.mark.parametrize("form", [Expanded, Centred])
def test_first_of_equal_components_is_the_label(library, form):
    case = make_case(K=1, d=3, form=form)
    one = case.expectation.form.parameters
    twins = Parameters(
        np.full(5, 0.2),
        np.repeat(one.means, 5, axis=0),
        np.repeat(one.precisions_cholesky, 5, axis=0),
    )
    form = replace(case.expectation.form, parameters=twins)
    case = replace(case, expectation=replace(case.expectation, form=form))
    assert not case.by(library, "labels").any()


@pytest.mark.parametrize(
    "sizes",
    [
        {"d": 1, "form": Expanded},
        {"d": 1, "form": Centred},
        {"d": 64, "form": Expanded, "kind": "diag"},
    ],
    ids=["expanded", "centred", "long"],
)
def test_sums_of_many_samples_are_not_left_in_single_precision(library, sizes):
    n = 200_000
    case = make_case(n=n, K=1, types=("f4", "f4"), **sizes)
    case = case.replaced(weight=np.full(n, 0.1))
    counts = case.by(library, "statistics").counts
    # Added up to the end in single precision, they would be off by 5e-4.
    assert counts.sum() == pytest.approx(0.1 * n, rel=2e-5)


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_rows_with_many_features_are_far_by_nats_for_each(rng, kind):
    """Those that single precision tells apart are not computed one by one."""
    d, b = 200, 300
    structure = STRUCTURES[kind]
    cholesky = random_cholesky(rng, kind, (), 2, d)
    means = rng.normal(size=(2, d))
    parameters = Parameters(np.array([0.4, 0.6]), means, cholesky)
    coordinates = Coordinates(np.zeros(d), np.ones(d))
    # Half as many nats as are far, about, and twice as many.
    quadratic = np.repeat([10.0 * d, 40.0 * d], b // 2)
    directions = rng.normal(size=(d, b))
    white = structure.whiten(cholesky, 0, directions)
    scale = np.sqrt(quadratic / np.square(white).sum(axis=0))
    block = Block(0, b, means[0][:, None] + directions * scale, None)
    single, double = (
        Centred(structure, parameters, np.dtype(dtype)) for dtype in ("f4", "f8")
    )
    assert single.far == 10 * d
    assert double.far == 1e5
    found = Expectation(single, coordinates).log_density(block, Workspace())
    exact = Expectation(double, coordinates).log_density(block, Workspace())
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5 * d)
    with patch.object(Form, "careful", autospec=True, side_effect=Form.careful) as way:
        Expectation(single, coordinates).log_density(block, Workspace())
    ((_, loaded),) = [call.args for call in way.call_args_list]
    assert loaded.z.shape[1] <= b // 2
