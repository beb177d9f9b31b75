"""Parts of a mixture of a table: some of its columns, or those given the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from skem._fitted.conditional import Conditioner
from skem._inputs.families import Columns
from skem._inputs.features import feature_index
from skem._inputs.gaps import is_missing
from skem.core.gaussian.coordinates import Coordinates
from skem.families.family import Kind
from skem.families.gaussian_model import GaussianModel
from skem.families.model import Laws, Model
from skem.families.point import Point
from skem.families.product import Product

Part = tuple[Kind, Model, Laws]


def row_given(columns: Columns, values: Any) -> np.ndarray:
    """Return the numbers and codes of one row, NaN where no value is given."""
    names = list(columns.names)
    row = np.full(len(names), np.nan)
    if hasattr(values, "keys"):
        places = [feature_index(key, names, "values") for key in values.keys()]
        if len(set(places)) < len(places):
            raise ValueError(f"values should be of distinct columns, got {values!r}")
        given = [values[key] for key in values.keys()]
    else:
        places, given = list(range(len(names))), list(values)
        if len(given) != len(names):
            raise ValueError(
                f"values has {len(given)} columns, but the mixture has {len(names)} "
                "columns"
            )
    for j, value in zip(places, given, strict=True):
        if not is_missing(value):
            row[j] = _encoded(columns, j, value)
    return row


def _encoded(columns: Columns, j: int, value: Any) -> float:
    name = columns.names[j]
    if j in columns.labels:
        if value not in columns.labels[j]:
            raise ValueError(
                f"Column {name!r} has no category {value!r}; it has "
                f"{list(columns.labels[j])[:5]}."
            )
        return float(columns.labels[j].index(value))
    if not isinstance(value, Real) or not np.isfinite(float(value)):
        raise ValueError(
            f"The value of column {name!r} should be a finite number, got {value!r}"
        )
    columns.check(j, np.array([float(value)]))
    return float(value)


def parts_of(mixture: Any, wanted: Sequence[int], row: np.ndarray, weights: Any) -> Any:
    """Return the mixture of some columns, in the order of `wanted`.

    Gaussian columns are those given the values of `row`, NaN where there is none.
    """
    columns, product, point = mixture._columns, mixture._product, mixture._point
    groups, models, laws = [], [], []
    for (kind, own), model, law in zip(
        columns.groups, product.models, point.laws, strict=True
    ):
        kept = [j for j in own if j in wanted]
        if not kept:
            continue
        if isinstance(model, GaussianModel) and len(own) > len(kept):
            kind, model, law = _gaussian_part(model, own, kept, row[list(own)], law)
        groups.append((kind, tuple(wanted.index(j) for j in kept)))
        models.append(model)
        laws.append(law)
    places = tuple(np.array(own) for _, own in groups)
    labels = {wanted.index(j): v for j, v in columns.labels.items() if j in wanted}
    names = tuple(columns.names[j] for j in wanted)
    found = Columns(names, tuple(groups), labels)
    part = type(mixture)(**mixture.get_params(deep=False))
    families = [(kind, list(own)) for kind, own in groups]
    part.set_params(families=families, n_components=len(weights), fixed=None)
    part.set_params(weights_init=None, parameters_init=None)
    seen = Product(tuple(models), places)
    part._container = mixture._container
    dtypes = mixture._dtypes
    part._dtypes = None if dtypes is None else [list(dtypes)[j] for j in wanted]
    part.n_features_in_ = len(wanted)
    if hasattr(mixture, "feature_names_in_"):
        part.feature_names_in_ = mixture.feature_names_in_[list(wanted)]
    part._set_columns(found, seen, len(weights))
    part._set_point(found, seen, Point(weights, tuple(laws)))
    part._began_with = part._structure()
    return part


def _gaussian_part(
    model: GaussianModel, own: Sequence[int], kept: Sequence[int], row: Any, laws: Laws
) -> Part:
    """Return some columns of a Gaussian group, given those that have a value."""
    structure = model.structure.of_parts
    chosen = np.array([own.index(j) for j in kept])
    conditioner = Conditioner(model.structure, model._parameters(laws))
    steps = model.steps
    given = np.flatnonzero(~np.isnan(row))
    if len(given):
        seen = np.concatenate([given, chosen])
        inner = model.family.transform(row[:, None])
        z = model.coordinates.load(inner, np.empty(inner.shape))[seen, 0]
        z[len(given) :] = np.nan
        some = Conditioner(structure, conditioner.marginal(seen))
        if steps is not None:
            roots = np.tile(np.sqrt(steps[seen]), (len(laws["means"]), 1))
            some = replace(some, steps=roots)
        found = some.given(z)
    else:
        found = conditioner.marginal(chosen)
    coordinates = model.coordinates
    unit = None if coordinates.unit is None else coordinates.unit[chosen]
    target = np.asarray(model.penal.target)
    for axis in range(target.ndim):
        target = target.take(chosen, axis=axis)
    kind = type(model.family)(structure.name)
    part = replace(
        model,
        family=kind,
        structure=structure,
        coordinates=Coordinates(
            coordinates.shift[chosen], coordinates.scale[chosen], unit
        ),
        penal=replace(model.penal, target=target, null=None),
        d=len(chosen),
        steps=None if steps is None else steps[chosen],
    )
    return kind, part, {"means": found.means, "cholesky": found.precisions_cholesky}


def check_left(row: np.ndarray) -> list[int]:
    """Return the columns without a value, of which there must be one."""
    wanted = np.flatnonzero(np.isnan(row)).tolist()
    if not wanted:
        raise ValueError(
            "values should leave at least one column without a value, and all "
            f"{len(row)} have one"
        )
    return wanted
