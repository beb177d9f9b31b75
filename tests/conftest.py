"""What the tests share: one seed, the structures, random mixtures, blocks, threads."""

import os
import sys
from collections import Counter, defaultdict
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import combinations

import pytest

# Processes of pytest-xdist share the cores: more threads would wait for each other.
# Tests that need two ask for them.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import stats
from scipy.special import logsumexp
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from skem.core.blocks.arrays import ArrayBlocks
from skem.core.blocks.threads import Workers
from skem.core.gaussian.covariance import STRUCTURES, Structure
from skem.core.gaussian.parameters import Parameters
from skem.kernels import native

os.environ["MPLBACKEND"] = "agg"


def pytest_report_header():
    return f"skem: passes over data are {native.description()}"


@pytest.hookimpl(wrapper=True)
def pytest_collect_file():
    # Tests have no doctests, and to look for them is to import each file twice.
    return [each for each in (yield) if type(each) is pytest.Module]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for mark, size in {"each_value": 1, "each_pair": 2}.items():
        tests = defaultdict(list)
        for item in items:
            if item.get_closest_marker(mark):
                tests[item.nodeid.partition("[")[0]].append(item)
        for variants in tests.values():
            mark_repeats(variants, size)


def mark_repeats(variants, size):
    """Mark those slow whose combinations of `size` parameters' values others have.

    The others are few, and have each value about as often.
    """
    values = {item: values_of(item) for item in variants}
    covered = {item: set(combinations(values[item], size)) for item in variants}
    left, seen, used = list(variants), set(), Counter()

    def gain(item):
        return len(covered[item] - seen), -sum(used[value] for value in values[item])

    while left and gain(best := max(left, key=gain))[0]:
        seen |= covered[best]
        used.update(values[best])
        left.remove(best)
    for item in left:
        item.add_marker("slow")


def values_of(item):
    """Return the values of a test's parameters; those given together are one."""
    params = item.callspec.params
    together = [mark.args[0] for mark in item.iter_markers("parametrize")]
    together = [
        names.replace(" ", "").split(",") if isinstance(names, str) else names
        for names in together
    ]
    alone = set(params).difference(*together)
    return [
        (*names, *(id(params[name]) for name in names))
        for names in [*together, *([name] for name in sorted(alone))]
    ]


# (K, d, d) matrices -> covariances of a structure, and back to its dense twin.
RESTRICT = {
    "full": lambda matrices: matrices,
    "tied": lambda matrices: matrices[0],
    "diag": lambda matrices: np.diagonal(matrices, axis1=1, axis2=2).copy(),
    "spherical": lambda matrices: (
        np.trace(matrices, axis1=1, axis2=2) / matrices.shape[1]
    ),
}
DENSE = {
    "full": lambda values, K, d: values,
    "tied": lambda values, K, d: np.broadcast_to(values, (K, d, d)),
    "diag": lambda values, K, d: values[:, :, None] * np.eye(d),
    "spherical": lambda values, K, d: values[:, None, None] * np.eye(d),
}


@dataclass(frozen=True)
class Mixture:
    """A mixture with its dense twin, which knows nothing of skem's arithmetic."""

    structure: Structure
    parameters: Parameters
    covariances: np.ndarray
    dense: np.ndarray

    def joint(self, X):
        """Log w_k N(x | μ_k, Σ_k) by scipy.stats, shape (n, K)."""
        weights, means = self.parameters.weights, self.parameters.means
        columns = [
            np.log(weight) + stats.multivariate_normal(mean, covariance).logpdf(X)
            for weight, mean, covariance in zip(weights, means, self.dense, strict=True)
        ]
        return np.stack([np.atleast_1d(column) for column in columns], axis=1)

    def log_density(self, X):
        return logsumexp(self.joint(X), axis=1)

    def responsibilities(self, X):
        joint = self.joint(X)
        return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))

    def sample(self, n, rng):
        labels = rng.choice(len(self.dense), n, p=self.parameters.weights)
        lower = np.linalg.cholesky(self.dense)
        noise = rng.standard_normal((n, self.dense.shape[1]))
        offsets = np.einsum("nij,nj->ni", lower[labels], noise)
        return self.parameters.means[labels] + offsets


def random_matrices(rng, K, d):
    """Positive definite matrices with condition numbers below about a hundred."""
    factors = rng.standard_normal((K, d, 2 * d))
    return factors @ np.swapaxes(factors, 1, 2) / (2 * d) + 0.1 * np.eye(d)


@pytest.fixture(autouse=True)
def no_figure_left():
    """Close the figures that a test has opened: too many, or a new backend, warn."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture
def rng():
    return np.random.default_rng(20150914)


@pytest.fixture
def climbing():
    """A function that takes plain steps, none of which may lower the objective."""

    def climb(em, start, steps):
        here = em.evaluate(start)
        first = here.objective
        for _ in range(steps):
            there = em.evaluate(here.successor)
            assert there.objective >= here.objective - 1e-9 * abs(here.objective)
            here = there
        assert here.objective > first
        return here

    return climb


CARCINOMA = (
    "0000000:34 0000100:2 0100000:6 0100001:1 0100100:4 0100101:5 1000000:2 1010101:1 "
    "1100000:2 1100001:1 1100100:2 1100101:7 1100111:1 1101001:1 1101101:2 1101111:3 "
    "1110101:13 1110111:5 1111101:10 1111111:16"
)


@pytest.fixture(scope="session")
def carcinoma():
    """Which of 118 slides seven pathologists took for carcinoma.

    From Agresti 2002, table 13.1.
    """
    pairs = [item.split(":") for item in CARCINOMA.split()]
    rows = [list(map(float, p)) for p, count in pairs for _ in range(int(count))]
    assert np.sum(rows) == 384
    return np.array(rows)


@pytest.fixture
def X():
    """Return two clusters of 60 and 40 rows."""
    rng = np.random.default_rng(0)
    return np.vstack([rng.normal(0, 1, (60, 2)), rng.normal(5, [1, 2], (40, 2))])


@pytest.fixture(params=STRUCTURES.values(), ids=STRUCTURES)
def structure(request):
    return request.param


@pytest.fixture
def dense():
    """Return the (K, d, d) twin of covariances or precisions of a structure."""
    return lambda structure, values, K, d: DENSE[structure.name](values, K, d)


@pytest.fixture
def make_covariances(rng):
    """Return random covariances of a structure."""
    return lambda structure, K, d: RESTRICT[structure.name](random_matrices(rng, K, d))


@pytest.fixture
def make_mixture(rng, make_covariances, dense):
    """Return a random mixture, its means `separation` standard deviations apart."""

    def make(structure, K, d, separation=3.0):
        covariances = make_covariances(structure, K, d)
        cholesky, failed = structure.factor(covariances)
        assert not failed.any()
        weights = rng.dirichlet(np.full(K, 5.0))
        means = rng.normal(scale=separation / np.sqrt(2), size=(K, d))
        return Mixture(
            structure,
            Parameters(weights, means, cholesky),
            covariances,
            dense(structure, covariances, K, d),
        )

    return make


@pytest.fixture
def make_blocks():
    """Return blocks of an array, computed in float64 unless it is float32."""
    with Workers() as workers:

        def make(X, weight=None):
            dtype = np.dtype(np.float32 if X.dtype == np.float32 else np.float64)
            return ArrayBlocks(X, weight, workers, dtype)

        yield make


@pytest.fixture
def make_problem(make_blocks):
    """Return what a selection among Gaussian mixtures of an array is asked."""
    from skem import GaussianMixture
    from skem._selection.problem import Problem

    def make(X, weight=None, *, components=(1, 2, 3), n_init=8, verbose=0, **options):
        blocks = make_blocks(X, weight)
        how = {
            **{"tol": 1e-2, "max_iter": 100, "algorithm": "auto"},
            **{"reg_covar": "auto", "init_params": "kmeans", "noise": None},
            **options,
        }
        return Problem(
            lambda: nullcontext(blocks),
            GaussianMixture,
            components,
            n_init,
            "bic",
            10.0,
            0,
            how,
            verbose,
        )

    return make


@pytest.fixture
def blas_counts():
    """Return the number of threads of each BLAS library, asked for when called."""
    return lambda: [
        library["num_threads"]
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]


@pytest.fixture
def blas_threads(blas_counts):
    """Let BLAS have n threads, and so Workers; skip where BLAS cannot be told."""

    @contextmanager
    def limit(n):
        with threadpool_limits(n, user_api="blas"):
            if set(blas_counts()) != {n}:
                pytest.skip(f"BLAS cannot be given {n} threads")
            yield

    return limit


@pytest.fixture
def two_threads(blas_threads):
    with blas_threads(2):
        yield


@pytest.fixture
def default_threads(blas_counts):
    """Let BLAS have two threads by itself: limits would tie them to this thread."""
    libraries = [
        library
        for library in ThreadpoolController().lib_controllers
        if library.user_api == "blas"
    ]
    before = [library.get_num_threads() for library in libraries]
    try:
        for library in libraries:
            library.set_num_threads(2)
        if set(blas_counts()) != {2}:
            pytest.skip("BLAS cannot be given 2 threads")
        yield blas_counts()
    finally:
        for library, count in zip(libraries, before, strict=True):
            library.set_num_threads(count)


@pytest.fixture
def short_search(request, monkeypatch):
    """Try few starts and moves in quick tests for which any optimum will do."""
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setattr("skem.core.search.effort.LEAST_TRIED", 2)
        monkeypatch.setattr("skem.core.search.effort.STEP_WORK", 0)
        monkeypatch.setattr("skem.families.search.LIGHT", 0)


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command; return its exit status and what it printed on either stream."""
    from skem.__main__ import main

    monkeypatch.setattr("skem._cli.progress.SILENCE", 3600.0)

    def run(*arguments):
        status = main(list(map(str, arguments)))
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def succeed(run):
    """Return what was printed by a run that has nothing to complain about."""

    def succeed(*arguments):
        status, out, err = run(*arguments)
        assert (status, err) == (0, "")
        return out

    return succeed


@pytest.fixture
def refuse(run):
    """Return the one line of a run that was refused."""

    def refuse(*arguments):
        status, out, err = run(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith("skem: error: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        return err

    return refuse


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path."""

    def write(content, name="data.csv"):
        path = tmp_path / name
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content)
        return path

    return write
