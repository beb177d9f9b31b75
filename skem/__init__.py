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
)
from skem._merge import MergedComponents, merge_components
from skem._versions import show_versions
from skem.bayesian_mixture import BayesianGaussianMixture
from skem.discriminant import MixtureDiscriminantAnalysis
from skem.gaussian_mixture import GaussianMixture
from skem.imputer import GaussianMixtureImputer
from skem.model_selection import GaussianMixtureIC
from skem.outlier import MixtureOutlierDetector
from skem.regressor import GaussianMixtureRegressor

__all__ = [
    "BayesianGaussianMixture",
    "BootstrapLRT",
    "ConvergenceDisplay",
    "CriterionDisplay",
    "GaussianMixture",
    "GaussianMixtureIC",
    "GaussianMixtureImputer",
    "GaussianMixtureRegressor",
    "MergedComponents",
    "MixtureDiscriminantAnalysis",
    "MixtureDisplay",
    "MixtureOutlierDetector",
    "QuantileDisplay",
    "SequentialBootstrapLRT",
    "StandardErrors",
    "bootstrap_lrt",
    "merge_components",
    "sequential_bootstrap_lrt",
    "show_versions",
]
__version__ = "0.1.0"
