"""Estimators with mixtures inside in files: what they keep beside these, checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skem._estimators.calibration import MOST_DRAWS
from skem._inputs.validation import check_weights
from skem._saving.files import (
    UnreadableError,
    are_names,
    decoded_all,
    decoded_part,
    encoded_all,
    is_array,
    is_count,
    is_float,
    made_of,
    part_of,
)

NAMES = "feature_names_in_"


def document(estimator: Any) -> dict[str, Any]:
    """Return the parts of the document that are an estimator's own."""
    kept = {"n_features_in_": "count", **estimator._in_file}
    values = {name: getattr(estimator, name) for name in kept}
    if hasattr(estimator, NAMES):
        values[NAMES] = np.asarray(getattr(estimator, NAMES), dtype=object)
    return {
        "parameters": encoded_all(estimator.get_params(deep=False), "parameter"),
        "attributes": encoded_all(values, "attribute"),
        "state": {"mixtures": [part_of(each) for each in estimator._inner]},
    }


def mixture(kind: type, document: dict[str, Any]) -> Any:
    """Return the estimator of a document, checked."""
    estimator = made_of(kind, document["parameters"])
    kept = {"n_features_in_": "count", **estimator._in_file}
    values = decoded_all(document["attributes"])
    if unknown := values.keys() - kept.keys() - {NAMES}:
        raise UnreadableError(f"{kind.__name__} has no attribute {min(unknown)!r}")
    if missing := kept.keys() - values.keys():
        raise ValueError(f"{min(missing)} is missing")
    d = values["n_features_in_"]
    for name, value in values.items():
        if not FITS["names" if name == NAMES else kept[name]](value, d):
            raise ValueError(f"{name} is not of the right type and shape")
    state = document["state"]
    if not isinstance(state, dict) or state.keys() != {"mixtures"}:
        raise ValueError("state should have mixtures")
    inner = state["mixtures"]
    if not isinstance(inner, list):
        raise ValueError("mixtures should be a JSON array")
    vars(estimator).update(values)
    estimator._become([decoded_part(each) for each in inner])
    return estimator


def _are_labels(value: Any, _: int) -> bool:
    """Whether they are of one type, and each is more than the one before."""
    fits = are_names(value) or is_array(value, (np.size(value),), "ifbu")
    return fits and bool((value[1:] > value[:-1]).all())


def _are_shares(value: Any, _: int) -> bool:
    fits = is_array(value, (np.size(value),))
    if fits:
        check_weights(value, len(value))
    return fits


FITS: dict[str, Callable[[Any, Any], bool]] = {
    "count": lambda value, d: is_count(value) and value > 0,
    "draws": lambda value, d: is_count(value) and 0 < value <= MOST_DRAWS,
    "seed": lambda value, d: is_count(value) and value < 2**32,
    "float": lambda value, d: is_float(value) and not np.isnan(value),
    "share": lambda value, d: is_float(value) and 0 <= value <= 1,
    "flag": lambda value, d: isinstance(value, bool),
    "mask": lambda value, d: is_array(value, (d,), "b"),
    "labels": _are_labels,
    "shares": _are_shares,
    "names": lambda value, d: are_names(value) and len(value) == d,
}
"""What attributes are, of estimators of so many features."""
