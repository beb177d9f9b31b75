"""Mixtures of scikit-learn: turned into ours and back, and code written for them."""

from __future__ import annotations

import warnings
from copy import copy
from typing import Any
from weakref import WeakSet

import numpy as np
import sklearn.mixture
from sklearn.utils.validation import check_is_fitted

from skem._inputs.array_api import numpy_of
from skem._inputs.callers import users_level
from skem._inputs.validation import kind_of
from skem.core.gaussian.covariance import SHAPES
from skem.core.gaussian.parameters import Parameters

DENSITY = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
)
"""Attributes of a mixture that both have, arrays of the library of the data."""
OF_A_FIT = (
    "converged_",
    "n_iter_",
    "lower_bound_",
    "lower_bounds_",
    "n_features_in_",
    "feature_names_in_",
)
"""Attributes that both have, beside the parameters."""
OF_A_POSTERIOR = (
    "covariance_type",
    "weight_concentration_prior_type",
    "weight_concentration_prior",
    "mean_precision_prior",
    "mean_prior",
    "degrees_of_freedom_prior",
    "covariance_prior",
    "random_state",
)
"""Parameters of a Bayesian mixture that both have, but those of a fit."""
POSTERIOR = (
    "weight_concentration_prior_",
    "mean_precision_prior_",
    "mean_prior_",
    "degrees_of_freedom_prior_",
    "covariance_prior_",
    "weight_concentration_",
    "mean_precision_",
    "degrees_of_freedom_",
    *DENSITY,
)
"""Attributes of a Bayesian mixture that both have."""
HOOKS = (
    "_check_parameters",
    "_compute_lower_bound",
    "_e_step",
    "_estimate_log_prob",
    "_estimate_log_prob_resp",
    "_estimate_log_weights",
    "_estimate_weighted_log_prob",
    "_get_parameters",
    "_initialize",
    "_initialize_parameters",
    "_m_step",
)
"""Private methods that scikit-learn's mixture calls, and ours does not have."""


def parameters_of(peer: Any) -> tuple[Parameters, np.ndarray]:
    """Return parameters and covariances of a fitted mixture of scikit-learn's."""
    if not isinstance(peer, sklearn.mixture.GaussianMixture):
        raise TypeError(
            "from_sklearn takes a fitted sklearn.mixture.GaussianMixture, but got an "
            f"object of type {kind_of(peer)}. Of parameters in another form, "
            "from_parameters makes a mixture."
        )
    check_is_fitted(peer, "means_")
    structure = SHAPES[peer.covariance_type]
    weights, means, covariances, roots = (
        np.array(numpy_of(getattr(peer, name)))
        for name in ("weights_", "means_", "covariances_", "precisions_cholesky_")
    )
    cholesky = structure.upper_factor(roots)
    return Parameters(weights, means, cholesky), covariances


def copy_of_a_fit(source: Any, target: Any) -> None:
    """Copy what is there of `OF_A_FIT`."""
    for name in OF_A_FIT:
        if hasattr(source, name):
            setattr(target, name, copy(getattr(source, name)))


def copy_posterior(source: Any, target: Any) -> None:
    """Copy what is there of posterior and prior."""
    for name in POSTERIOR:
        value = getattr(source, name)
        copied = tuple(map(np.array, value)) if isinstance(value, tuple) else value
        copied = copied.copy() if isinstance(copied, np.ndarray) else copied
        setattr(target, name, copied)


def peer_of(
    mixture: Any, parameters: Parameters, covariances: np.ndarray
) -> sklearn.mixture.GaussianMixture:
    """Return scikit-learn's mixture of the same parameters."""
    structure = SHAPES[mixture.covariance_type]
    peer = sklearn.mixture.GaussianMixture(
        len(parameters.weights),
        covariance_type=structure.peer,
        random_state=mixture.random_state,
    )
    attributes = mixture._parameter_attributes(parameters, covariances)
    for name in DENSITY:
        setattr(peer, name, attributes[name])
    peer.n_features_in_ = parameters.shape[1]
    copy_of_a_fit(mixture, peer)
    return peer


_told: WeakSet[type] = WeakSet()


def warn_of_hooks(kind: type, ours: type) -> None:
    """Say once of a subclass that hooks of scikit-learn's are not called."""
    if kind is ours or kind in _told:
        return
    above = set(kind.__mro__) - set(ours.__mro__)
    found = [name for name in HOOKS if any(name in vars(each) for each in above)]
    if not found:
        return
    _told.add(kind)
    warnings.warn(
        f"{kind.__name__} defines {', '.join(found)}, which scikit-learn's "
        "GaussianMixture calls, but skem's does not: they have no effect. Derive from "
        "sklearn.mixture.GaussianMixture where they are needed.",
        UserWarning,
        stacklevel=users_level(),
    )
