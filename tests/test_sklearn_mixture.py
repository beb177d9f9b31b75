"""scikit-learn's own tests of its mixture, with our class in its place."""

import importlib.util
import inspect
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import sklearn.mixture
from sklearn.mixture import _gaussian_mixture

from skem import GaussianMixture

DOCS = Path(__file__).parents[1] / "docs" / "migration" / "sklearn.rst"
MODULES = ("test_gaussian_mixture", "test_mixture")


class Difference(NamedTuple):
    """Why a test fails, in the words of docs/migration/sklearn.rst.

    What hangs on the last bit of a float may pass on another machine.
    """

    reason: str
    strict: bool = True


# Every test of theirs that ours does not pass.
DIFFERENCES = {
    "test_check_weights": Difference(
        "the error for weights out of range names the largest one as the largest"
    ),
    "test_gaussian_mixture_fit_convergence_warning": Difference(
        "the `ConvergenceWarning` tells how much is left, in other words"
    ),
    "test_multiple_init": Difference(
        "the default of `n_init` looks for a better optimum than ``n_init=5`` does"
    ),
    "test_monotonic_likelihood": Difference(
        "at the optimum `score` may fall by its last digit", strict=False
    ),
    "test_gaussian_mixture_precisions_init_diag": Difference(
        "in single precision a fit from the same start, rounded, may end a step "
        "earlier or later",
        strict=False,
    ),
}

HELPERS = "a private function or method of theirs is what is tested"
OF_LIBRARIES = "test_gaussian_mixture_array_api_compliance"
COMPUTED_HERE = "all starts, k-means too, are there for arrays of other libraries"
# Tests of what is not public, or not here.
NOT_RUN = {
    "test_suffstat_sk_full": HELPERS,
    "test_suffstat_sk_tied": HELPERS,
    "test_suffstat_sk_diag": HELPERS,
    "test_gaussian_suffstat_sk_spherical": HELPERS,
    "test_compute_log_det_cholesky": HELPERS,
    "test_gaussian_mixture_log_probabilities": HELPERS,
    "test_gaussian_mixture_precisions_init": HELPERS,
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": HELPERS,
    # Run below, for fewer libraries.
    OF_LIBRARIES: HELPERS,
    "test_gaussian_mixture_raises_where_array_api_not_implemented": COMPUTED_HERE,
}

# Fits from many starts; those of ours have the same claims.
SLOW = {
    "test_init",
    "test_gaussian_mixture_fit_best_params",
    "test_gaussian_mixture_fit_predict",
    "test_gaussian_mixture_fit_predict_n_init",
}

# Before scikit-learn 1.7 the error of an ill-defined covariance had another text.
if "scale the input data" not in inspect.getsource(_gaussian_mixture):
    NOT_RUN["test_regularisation"] = "the text is that of later versions"

# Theirs does not warn as errors, and fits with few steps on purpose.
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::skem.exceptions.DegenerateComponentsWarning",
)


def load(name):
    """Import a module of their tests anew, with our class in it."""
    spec = importlib.util.find_spec(f"sklearn.mixture.tests.{name}")
    if spec is None:
        return {}
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn.mixture, "GaussianMixture", GaussianMixture)
        spec.loader.exec_module(module)
    return {name: f for name, f in vars(module).items() if name.startswith("test_")}


THEIRS = {name: f for module in MODULES for name, f in load(module).items()}
for name, function in THEIRS.items():
    if name in NOT_RUN:
        continue
    if name in DIFFERENCES:
        reason, strict = DIFFERENCES[name]
        # What may pass or fail says nothing: it is not run.
        mark = pytest.mark.xfail(reason=reason, strict=strict, run=strict)
        function = mark(function)
    elif name in SLOW:
        function = pytest.mark.slow(function)
    globals()[name] = function


@pytest.fixture(params=[np.float64, np.float32])
def global_dtype(request):
    return request.param


@pytest.fixture
def global_random_seed():
    return 42


@pytest.mark.skipif(OF_LIBRARIES not in THEIRS, reason="of scikit-learn 1.8")
@pytest.mark.parametrize("library", ["array_api_strict", "torch"])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("given", [False, True])
def test_arrays_of_other_libraries(monkeypatch, library, covariance_type, given):
    pytest.importorskip(library)
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    compliance = THEIRS[OF_LIBRARIES]
    device = "cpu" if library == "torch" else None
    for dtype in ("float64", "float32"):
        compliance("random", covariance_type, library, device, dtype, given)


@pytest.mark.parametrize("name", [*DIFFERENCES, *NOT_RUN])
def test_what_is_listed_is_a_test_of_theirs(name):
    # Those of one version are not all in another one.
    if name not in THEIRS:
        pytest.skip(f"scikit-learn {sklearn.__version__} has no {name}")
    assert callable(THEIRS[name])


@pytest.mark.parametrize(
    "reason", [*(each.reason for each in DIFFERENCES.values()), HELPERS, COMPUTED_HERE]
)
def test_every_reason_stands_in_the_documentation(reason):
    if not DOCS.exists():
        pytest.skip("no documentation in this distribution")
    text = " ".join(DOCS.read_text(encoding="utf-8").lower().split())
    assert reason.lower() in text
