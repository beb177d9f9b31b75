"""Gaussian mixtures for scikit-learn users: fast, exact and hard to break."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skem._bootstrap.goodness import GoodnessOfFit, goodness_of_fit
    from skem._bootstrap.lrt import (
        BootstrapLRT,
        SequentialBootstrapLRT,
        bootstrap_lrt,
        sequential_bootstrap_lrt,
    )
    from skem._display import (
        ConvergenceDisplay,
        CriterionDisplay,
        MixtureDisplay,
        QuantileDisplay,
        TableDisplay,
    )
    from skem._errors.confidence import StandardErrors
    from skem._merging.merge import MergedComponents, merge_components
    from skem._report.versions import show_versions
    from skem._saving.files import load
    from skem.bayesian_mixture import BayesianGaussianMixture
    from skem.discriminant import MixtureDiscriminantAnalysis
    from skem.families.family import Family
    from skem.gaussian_mixture import GaussianMixture
    from skem.imputer import GaussianMixtureImputer
    from skem.mixture_ic import MixtureIC
    from skem.mixture_model import MixtureModel
    from skem.model_selection import GaussianMixtureIC
    from skem.outlier import MixtureOutlierDetector
    from skem.regressor import GaussianMixtureRegressor
    from skem.student_mixture import StudentMixture
    from skem.student_mixture_ic import StudentMixtureIC

__all__ = [
    "BayesianGaussianMixture",
    "BootstrapLRT",
    "ConvergenceDisplay",
    "CriterionDisplay",
    "Family",
    "GaussianMixture",
    "GaussianMixtureIC",
    "GaussianMixtureImputer",
    "GaussianMixtureRegressor",
    "GoodnessOfFit",
    "MergedComponents",
    "MixtureDiscriminantAnalysis",
    "MixtureDisplay",
    "MixtureIC",
    "MixtureModel",
    "MixtureOutlierDetector",
    "QuantileDisplay",
    "SequentialBootstrapLRT",
    "StandardErrors",
    "StudentMixture",
    "StudentMixtureIC",
    "TableDisplay",
    "bootstrap_lrt",
    "goodness_of_fit",
    "load",
    "merge_components",
    "sequential_bootstrap_lrt",
    "show_versions",
]
__version__ = "0.1.0"

# Imported when they are first asked for: ``skem --help`` needs none of them.
_HOMES = {
    "_bootstrap.goodness": ["GoodnessOfFit", "goodness_of_fit"],
    "_bootstrap.lrt": [
        *("BootstrapLRT", "bootstrap_lrt"),
        *("SequentialBootstrapLRT", "sequential_bootstrap_lrt"),
    ],
    "_errors.confidence": ["StandardErrors"],
    "_display": [
        *("ConvergenceDisplay", "CriterionDisplay"),
        *("MixtureDisplay", "QuantileDisplay", "TableDisplay"),
    ],
    "_saving.files": ["load"],
    "_merging.merge": ["MergedComponents", "merge_components"],
    "_report.versions": ["show_versions"],
    "bayesian_mixture": ["BayesianGaussianMixture"],
    "discriminant": ["MixtureDiscriminantAnalysis"],
    "families.family": ["Family"],
    "gaussian_mixture": ["GaussianMixture"],
    "imputer": ["GaussianMixtureImputer"],
    "mixture_ic": ["MixtureIC"],
    "mixture_model": ["MixtureModel"],
    "model_selection": ["GaussianMixtureIC"],
    "outlier": ["MixtureOutlierDetector"],
    "regressor": ["GaussianMixtureRegressor"],
    "student_mixture": ["StudentMixture"],
    "student_mixture_ic": ["StudentMixtureIC"],
}
_MODULES = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:
    # Type checkers would take it for a promise of every name.
    def __getattr__(name):
        if name in _MODULES:
            value = getattr(import_module(f"skem.{_MODULES[name]}"), name)
            globals()[name] = value
            return value
        if not name.startswith("_"):
            try:
                return import_module(f"skem.{name}")
            except ModuleNotFoundError as error:
                if error.name != f"skem.{name}":
                    raise
        raise AttributeError(f"module 'skem' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
