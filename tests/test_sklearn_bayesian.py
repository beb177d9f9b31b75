"""scikit-learn's own tests of its Bayesian mixture, with our class in its place."""

import importlib.util
from pathlib import Path

import pytest
import sklearn.mixture

from skem import BayesianGaussianMixture

DOCS = Path(__file__).parents[1] / "docs" / "migration" / "sklearn.rst"
HELPERS = "a private function or method of theirs is what is tested"
# Tests of what is not public.
NOT_RUN = {
    "test_log_dirichlet_norm": HELPERS,
    "test_log_wishart_norm": HELPERS,
    "test_compare_covar_type": HELPERS,
}
# Every test of theirs that ours does not pass.
DIFFERENCES: dict[str, str] = {}
# Fits from many starts; those of ours have the same claims.
SLOW = {
    "test_invariant_translation",
    "test_bayesian_mixture_fit_predict",
    "test_bayesian_mixture_fit_predict_n_init",
    "test_bayesian_mixture_predict_predict_proba",
}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def load():
    """Import their tests anew, with our class in it."""
    spec = importlib.util.find_spec("sklearn.mixture.tests.test_bayesian_mixture")
    if spec is None:
        return {}
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sklearn.mixture, "BayesianGaussianMixture", BayesianGaussianMixture
        )
        spec.loader.exec_module(module)
    return {name: f for name, f in vars(module).items() if name.startswith("test_")}


THEIRS = load()
for name, function in THEIRS.items():
    if name in NOT_RUN:
        continue
    if name in DIFFERENCES:
        mark = pytest.mark.xfail(reason=DIFFERENCES[name], strict=True)
        function = mark(function)
    if name in SLOW:
        function = pytest.mark.slow(function)
    globals()[name] = function


@pytest.mark.parametrize("name", [*DIFFERENCES, *NOT_RUN])
def test_what_is_listed_is_a_test_of_theirs(name):
    if not THEIRS:
        pytest.skip("scikit-learn is installed without its tests")
    assert callable(THEIRS[name])


@pytest.mark.parametrize("reason", [*DIFFERENCES.values(), HELPERS])
def test_every_reason_stands_in_the_documentation(reason):
    if not DOCS.exists():
        pytest.skip("no documentation in this distribution")
    text = " ".join(DOCS.read_text(encoding="utf-8").lower().split())
    assert reason.lower() in text
