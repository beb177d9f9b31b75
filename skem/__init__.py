"""Gaussian mixtures for scikit-learn users: fast, exact and hard to break."""

from skem._bootstrap_lrt import (
    BootstrapLRT,
    SequentialBootstrapLRT,
    bootstrap_lrt,
    sequential_bootstrap_lrt,
)
from skem._confidence import StandardErrors
from skem._display import (
    ConvergenceDisplay,
    CriterionDisplay,
    MixtureDisplay,
    QuantileDisplay,
    TableDisplay,
)
from skem._merge import MergedComponents, merge_components
from skem._versions import show_versions
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
    "MergedComponents",
    "MixtureDiscriminantAnalysis",
    "MixtureDisplay",
    "MixtureIC",
    "MixtureModel",
    "MixtureOutlierDetector",
    "QuantileDisplay",
    "SequentialBootstrapLRT",
    "StandardErrors",
    "TableDisplay",
    "bootstrap_lrt",
    "merge_components",
    "sequential_bootstrap_lrt",
    "show_versions",
]
__version__ = "0.1.0"
