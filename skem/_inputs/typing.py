"""Types of what users pass in, and scikit-learn's decorators with types."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

SharedCovarianceType = Literal["full", "tied", "diag", "spherical"]
"""Those that scikit-learn has, too."""
CovarianceType = Literal[
    "full", "tied", "diag", "spherical",
    "EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE",
    "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV",
]  # fmt: skip
Algorithm = Literal["auto", "em", "squarem", "lbfgs"]
InitParams = Literal["kmeans", "k-means++", "random", "random_from_data"]
Criterion = Literal["bic", "aic", "icl"]
WeightPriorType = Literal["dirichlet_process", "dirichlet_distribution"]
ErrorMethod = Literal["sandwich", "survey", "hessian", "opg", "bootstrap"]
Auto = Literal["auto"]
AutoOrAll = Literal["auto", "all"]
RandomState = int | np.random.RandomState | None

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:

    def available_if(check: Callable[[Any], bool]) -> Callable[[F], F]:
        """Type of scikit-learn's decorator: a method keeps its signature."""

    def validate_params(
        constraints: dict[str, Any], *, prefer_skip_nested_validation: bool
    ) -> Callable[[F], F]:
        """Type of scikit-learn's decorator: a function keeps its signature."""
else:
    from sklearn.utils.metaestimators import available_if

    from skem._inputs.sklearn import validate_params

__all__ = [
    "Algorithm",
    "Auto",
    "AutoOrAll",
    "CovarianceType",
    "Criterion",
    "ErrorMethod",
    "InitParams",
    "RandomState",
    "SharedCovarianceType",
    "WeightPriorType",
    "available_if",
    "validate_params",
]
