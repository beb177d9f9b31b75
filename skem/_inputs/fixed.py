"""What users say of the parts of a mixture that a fit must leave as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.fixed import Fixed

PARTS = {
    "weights": "weights_init",
    "means": "means_init",
    "covariances": "precisions_init",
}
"""Names of what may be fixed, and of the parameters that give its values."""
FIELDS = {
    "weights": "weights",
    "means": "means",
    "covariances": "precisions_cholesky",
}
"""The fields of `Parameters`."""


def check_fixed(fixed: Any, n_components: int) -> dict[str, np.ndarray]:
    """Validate what is fixed: a mask of components for each part of which any is."""
    if fixed is None:
        return {}
    each = fixed
    if isinstance(fixed, str):
        each = {fixed: True}
    elif not isinstance(fixed, Mapping):
        each = {name: True for name in fixed}
    masks = {}
    for name, chosen in each.items():
        if name not in PARTS:
            raise ValueError(
                f"The 'fixed' parameter must name parts among {list(PARTS)}. Got "
                f"{name!r} instead."
            )
        mask = np.asarray(chosen)
        if mask.dtype != bool or mask.shape not in ((), (n_components,)):
            raise ValueError(
                f"What is fixed of the {name} should be a bool, or bools of shape "
                f"{(n_components,)}, but got {chosen!r}."
            )
        masks[name] = np.array(np.broadcast_to(mask, n_components))
    return {name: mask for name, mask in masks.items() if mask.any()}


def fixed_parts(
    masks: dict[str, np.ndarray],
    given: dict[str, np.ndarray],
    structure: Structure,
    n_components: int,
    n_features: int,
    *,
    noise: bool = False,
) -> Fixed | None:
    """Return what is fixed, in units of the data; weights that are not given are 1/K.

    Raises `ValueError` if something has no value, or is not a component's own.
    """
    if not masks:
        return None
    K, d = n_components, n_features
    for name, mask in masks.items():
        if name != "weights" and FIELDS[name] not in given:
            raise ValueError(
                f"fixed={name!r} needs their values: {PARTS[name]} is None."
            )
        own = structure.n_parameters(2, d) == 2 * structure.n_parameters(1, d)
        if name == "covariances" and not own and not mask.all():
            raise ValueError(
                "Components share parameters of their covariances if covariance_type "
                f"is {structure.name!r}: fix all of the covariances, or none."
            )
    none = np.zeros(K, bool)
    equal = Fixed.equal_weights(structure, K, d, noise)
    parameters = replace(equal.parameters, **given)
    weights = parameters.weights
    if noise:
        parameters = replace(parameters, weights=weights / weights.sum())
    return Fixed(
        parameters,
        masks.get("weights", none),
        masks.get("means", none),
        masks.get("covariances", none),
        noise,
    )


def wholly_fixed(masks: dict[str, np.ndarray], given: dict[str, np.ndarray]) -> bool:
    """Whether all that is given is fixed, so that it is no start."""
    whole = {FIELDS[name] for name, mask in masks.items() if mask.all()}
    return set(given) <= whole
