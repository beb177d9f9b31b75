"""Names that scikit-learn keeps to itself and that estimators outside of it need.

They are imported here: a version that moves one is met in one place. The two of
k-means are in `core/mixture/seeds.py`, as `core` imports nothing from here.
"""

from sklearn.base import _fit_context as fit_context
from sklearn.utils._array_api import _convert_to_numpy as convert_to_numpy
from sklearn.utils._array_api import get_namespace_and_device
from sklearn.utils._mask import _get_mask as missing_mask
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import (
    Interval,
    MissingValues,
    validate_parameter_constraints,
    validate_params,
)
from sklearn.utils._param_validation import StrOptions as UnorderedStrOptions
from sklearn.utils.validation import (
    _check_feature_names_in as check_feature_names_in,
)
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _num_samples as num_samples

try:
    from sklearn.utils._repr_html.estimator import _VisualBlock as VisualBlock
except ImportError:  # before scikit-learn 1.7
    from sklearn.utils._estimator_html_repr import _VisualBlock as VisualBlock
try:
    from sklearn.utils._array_api import move_to
except ImportError:  # before scikit-learn 1.9
    move_to = None

__all__ = [
    "Interval",
    "MissingValues",
    "UnorderedStrOptions",
    "VisualBlock",
    "check_feature_names_in",
    "check_matplotlib_support",
    "check_sample_weight",
    "convert_to_numpy",
    "fit_context",
    "get_namespace_and_device",
    "missing_mask",
    "move_to",
    "num_samples",
    "validate_parameter_constraints",
    "validate_params",
]
