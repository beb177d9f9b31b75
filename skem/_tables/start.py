"""Starts that users give: parameters of some columns, by which rows are assigned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import gammaln

from skem._inputs.families import Columns, place_of
from skem._inputs.validation import check_weights
from skem.families.categories import SMALLEST, Categorical
from skem.families.family import Kind
from skem.families.gaussian import Gaussian
from skem.families.hurdle import ZERO, Hurdle
from skem.families.model import Laws, Model
from skem.families.student import Student
from skem.families.table_map import TableMap

GIVEN: dict[type[Kind], tuple[str, ...]] = {
    Gaussian: ("mean", "standard_deviation"),
    Student: ("location", "scale", "df"),
}
"""What may be given of families whose parameters outside are not those inside."""


def given_start(
    em: TableMap, columns: Columns, weights: Any, parameters: Any, K: int
) -> np.ndarray:
    """Return responsibilities (K, n) of rows, by the columns that are given."""
    if not isinstance(parameters, Mapping) or not parameters:
        raise ValueError(
            "parameters_init should be a mapping from columns to their parameters, as "
            f"parameters_ is; got {parameters!r}."
        )
    shares = np.full(K, 1 / K) if weights is None else check_weights(weights, K)
    logits = np.repeat(np.log(np.maximum(shares, SMALLEST))[:, None], em.n_samples, 1)
    names = list(columns.names)
    for column, laws in parameters.items():
        place = place_of(column, names, "parameters_init")
        logits += _logits(em, columns, place, laws, K)
    logits -= logits.max(axis=0)
    resp = np.exp(logits)
    return resp / resp.sum(axis=0)


def _logits(
    em: TableMap, columns: Columns, place: int, given: Any, K: int
) -> np.ndarray:
    """Log-densities of a column, but for what the components share; gaps have zero."""
    name = columns.names[place]
    each = zip(columns.groups, em.product.models, strict=True)
    kind, model = next((kd, m) for (kd, own), m in each if place in own)
    laws = _checked(name, kind, given, K)
    x = em.numbers()[place]
    with np.errstate(all="ignore"):
        if isinstance(kind, Gaussian):
            found = _gaussian(kind, x, laws)
        elif isinstance(kind, Student):
            found = _student(x, laws)
        else:
            found = model.logits(
                _inner(name, kind, model, laws, K), model.rows(x[None])
            )
    return np.where(np.isnan(x), 0.0, np.nan_to_num(found, nan=-1e300))


def _checked(name: str, kind: Kind, given: Any, K: int) -> Laws:
    """Require arrays with the components along the first axis."""
    if not isinstance(given, Mapping) or not given:
        raise ValueError(
            f"parameters_init of column {name!r} should be a mapping from names to "
            f"arrays; got {given!r}."
        )
    laws = {key: np.asarray(value, dtype=float) for key, value in given.items()}
    for key, law in laws.items():
        if law.ndim == 0 or len(law) != K or not np.isfinite(law).all():
            raise ValueError(
                f"{key!r} in parameters_init of column {name!r} should have {K} finite "
                "entries, one for each component."
            )
    names = next((n for type_, n in GIVEN.items() if isinstance(kind, type_)), None)
    if names is not None and not {names[0]} <= laws.keys() <= set(names):
        raise ValueError(
            f"parameters_init of column {name!r} should have {list(names)}, the first "
            f"at least; got {sorted(laws)}."
        )
    for key in kind.positive_parameters:
        if (laws.get(key, np.ones(1)) <= 0).any():
            raise ValueError(
                f"{key!r} in parameters_init of column {name!r} should be positive."
            )
    if isinstance(kind, Hurdle):
        zero = laws.get(ZERO, np.full(1, 0.5))
        if ((zero <= 0) | (zero >= 1)).any():
            raise ValueError(
                f"{ZERO!r} in parameters_init of column {name!r} should be between 0 "
                "and 1."
            )
    return laws


def _spread(x: np.ndarray) -> float:
    return float(np.nanstd(x)) or 1.0


def _gaussian(kind: Gaussian, x: np.ndarray, laws: Laws) -> np.ndarray:
    z = kind.transform(x)
    sd = laws.get("standard_deviation", np.full(len(laws["mean"]), _spread(z)))
    y = (z - laws["mean"][:, None]) / sd[:, None]
    return -0.5 * y**2 - np.log(sd)[:, None]


def _student(x: np.ndarray, laws: Laws) -> np.ndarray:
    K = len(laws["location"])
    scale = laws.get("scale", np.full(K, _spread(x)))
    df = laws.get("df", np.full(K, 4.0))[:, None]
    y = (x - laws["location"][:, None]) / scale[:, None]
    norm = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df)
    return norm - np.log(scale)[:, None] - (df + 1) / 2 * np.log1p(y**2 / df)


def _inner(name: str, kind: Kind, model: Model, laws: Laws, K: int) -> Laws:
    """Return laws as the model has them."""
    if isinstance(kind, Categorical):
        if "probability" in laws:
            p = laws["probability"]
            both = np.column_stack([1 - p, p])
            laws = {"proportions": both[:, -model.n_rows :]}
        shape = (K, model.n_rows)
        p = laws.get("proportions", np.empty(0))
        if p.shape != shape or (p < 0).any() or (p.sum(axis=1) <= 0).any():
            raise ValueError(
                f"parameters_init of column {name!r} should have proportions of shape "
                f"{shape}, which are not negative."
            )
        return {"proportions": np.maximum(p / p.sum(axis=1, keepdims=True), SMALLEST)}
    try:
        model.coefficients(laws)
        model.logits(laws, model.rows(np.full((1, 1), np.nan)))
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(
            f"parameters_init of column {name!r} should have the parameters of the "
            f"family {kind.name!r}: {error}."
        ) from None
    return laws
