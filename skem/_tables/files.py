"""Mixtures of tables in files: their columns, families and laws, checked when read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skem._inputs.families import Columns
from skem._inputs.validation import check_weights
from skem._saving.files import (
    UnreadableError,
    as_kept,
    decoded,
    decoded_all,
    encoded,
    encoded_all,
    is_array,
    is_count,
    is_float,
)
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import SHAPES
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.regularization import ScaleFreePenalty
from skem.families.categories import Categorical, CategoricalModel
from skem.families.column import ColumnModel
from skem.families.family import Family, Kind
from skem.families.gaussian import Gaussian
from skem.families.gaussian_model import GaussianModel
from skem.families.hurdle import Hurdle, HurdleModel
from skem.families.model import Laws, Model
from skem.families.negative_binomial import NegativeBinomial, NegativeBinomialModel
from skem.families.point import Point
from skem.families.product import Product
from skem.families.registry import FAMILIES
from skem.families.student import Student, StudentModel

ATTRIBUTES = (
    "converged_",
    "n_iter_",
    "lower_bound_",
    "degenerate_components_",
    "n_parameters_",
    "n_features_in_",
)
FEATURE_NAMES = "feature_names_in_"
SEARCH_BOUNDS = "search_bounds_"
STATE = {"names", "groups", "labels", "weights", "container", "dtypes"}
CONTAINERS = ("pandas", "polars", "array")
OF_LAWS: dict[type[Kind], tuple[str, ...]] = {
    Gaussian: ("means", "cholesky"),
    Student: ("location", "scale", "df"),
    NegativeBinomial: ("mean", "size"),
    Categorical: ("proportions",),
}
"""Parameters of families that are not exponential families of one number."""
OF_LABELS = (str, bool, int, float)
"""Types of categories that a file may have."""


def document(mixture: Any) -> dict[str, Any]:
    """Return the parts of the document that are a mixture's own."""
    if not hasattr(mixture, "lower_bound_"):
        raise NotImplementedError(
            "save takes fits, and no marginals or conditionals of them. Save the "
            "fitted mixture, or this one with skops or pickle."
        )
    parameters = mixture.get_params(deep=False)
    families = parameters.pop("families")
    names = [*ATTRIBUTES, *([FEATURE_NAMES] if hasattr(mixture, FEATURE_NAMES) else [])]
    attributes = {name: as_kept(name, getattr(mixture, name)) for name in names}
    if hasattr(mixture, SEARCH_BOUNDS):
        attributes[SEARCH_BOUNDS] = np.asarray(mixture.search_bounds_, dtype=float)
    columns = mixture._columns
    groups = [
        {
            "family": _kind_written(kind),
            "columns": list(places),
            "model": encoded_all(_model_fields(model), "model"),
            "laws": encoded_all(laws, "laws"),
        }
        for (kind, places), model, laws in zip(
            columns.groups, mixture._product.models, mixture._laws, strict=True
        )
    ]
    labels = {
        str(j): _labels_written(columns.names[j], own)
        for j, own in columns.labels.items()
    }
    return {
        "parameters": {
            **encoded_all(parameters, "parameter"),
            "families": _families_written(families),
        },
        "attributes": encoded_all(attributes, "attribute"),
        "state": {
            "names": list(columns.names),
            "groups": groups,
            "labels": {"dict": labels},
            # In their own type, which says how exactly they sum to one.
            "weights": encoded(as_kept("weights_", mixture.weights_), "weights"),
            "container": mixture._container,
            "dtypes": _dtypes_written(columns.names, mixture._dtypes),
        },
    }


def mixture(kind: Any, document: Any) -> Any:
    """Return the mixture of a document."""
    try:
        return _mixture_read(kind, document)
    except (KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"something is missing: {error}") from None


def _mixture_read(kind: Any, document: Any) -> Any:
    parameters = dict(document["parameters"])
    written = parameters.pop("families", None)
    parameters = decoded_all(parameters)
    if unknown := parameters.keys() - kind()._get_param_names():
        raise UnreadableError(f"{kind.__name__} has no parameter {min(unknown)!r}")
    mixture = kind(**parameters, families=_families_read(written))
    mixture._validate_params()
    attributes = decoded_all(document["attributes"])
    if unknown := attributes.keys() - {*ATTRIBUTES, FEATURE_NAMES, SEARCH_BOUNDS}:
        raise UnreadableError(f"{kind.__name__} has no attribute {min(unknown)!r}")
    state = document["state"]
    if not isinstance(state, dict) or state.keys() != STATE:
        raise ValueError(f"state should have {', '.join(sorted(STATE))}")
    names = _names_read(state["names"], attributes)
    weights = decoded(state["weights"])
    K = np.size(weights)
    check_weights(weights, K)
    told = attributes["degenerate_components_"]
    if not is_array(told, (np.size(told),), "i") or not set(told) <= set(range(K)):
        raise ValueError("degenerate_components_ should be indices of components")
    if state["container"] not in CONTAINERS:
        raise ValueError(f"there is no table of the kind {state['container']!r}")
    labels = _labels_read(state["labels"])
    read = [_group_read(group, labels, K) for group in state["groups"]]
    groups, models, laws = map(tuple, zip(*read, strict=True)) if read else ((),) * 3
    taken = sorted(place for _, places in groups for place in places)
    if taken != list(range(len(names))):
        raise ValueError("every column should have one family")
    categorical = {places[0] for kind, places in groups if kind.categorical}
    if labels.keys() != categorical:
        raise ValueError("columns of categories, and no others, should have labels")
    product = Product(models, tuple(np.array(places) for _, places in groups))
    columns = Columns(tuple(names), groups, labels)
    mixture._container = state["container"]
    mixture._dtypes = _dtypes_read(state["dtypes"], state["container"], len(names))
    mixture._set_columns(columns, product, K)
    mixture._set_point(columns, product, Point(np.asarray(weights), laws))
    mixture._began_with = mixture._structure()
    # What was fixed in the fit is not counted.
    vars(mixture).update(attributes)
    if mixture.n_parameters_ < product.n_free(K):
        given = mixture._given_parts(mixture._point)
        mixture._product = replace(product, given=given)
    return mixture


def _group_read(
    group: Any, labels: dict[int, tuple[Any, ...]], n_components: int
) -> tuple[tuple[Kind, tuple[int, ...]], Model, Laws]:
    """Return a family and its columns, its model and its laws."""
    family, places = _kind_read(group["family"]), _places_read(group["columns"])
    if not family.multivariate and len(places) != 1:
        raise ValueError(f"the family {family.name!r} is of one column")
    C = len(labels.get(places[0], ())) if family.categorical else 0
    fields, laws = decoded_all(group["model"]), decoded_all(group["laws"])
    model = _model_read(family, fields, len(places), C)
    _check_laws(family, model, laws, n_components, len(places), C)
    return (family, tuple(places)), model, laws


def _names_read(names: Any, attributes: dict[str, Any]) -> list[str]:
    if not _are(names, str) or not names:
        raise ValueError("names should be those of columns")
    for name in ATTRIBUTES:
        if name not in attributes:
            raise ValueError(f"{name} is missing")
    if not isinstance(attributes["converged_"], bool):
        raise ValueError("converged_ should be a bool")
    if not is_float(attributes["lower_bound_"]):
        raise ValueError("lower_bound_ should be a number")
    bounds = attributes.get(SEARCH_BOUNDS, np.zeros(1))
    if not np.size(bounds) or not is_array(bounds, (np.size(bounds),), "f"):
        raise ValueError(f"{SEARCH_BOUNDS} should be an array of numbers")
    for name in ("n_iter_", "n_parameters_"):
        if not is_count(attributes[name]):
            raise ValueError(f"{name} should be a whole number")
    if attributes["n_features_in_"] != len(names):
        raise ValueError(f"n_features_in_ should be {len(names)}")
    if FEATURE_NAMES in attributes and list(attributes[FEATURE_NAMES]) != names:
        raise ValueError(f"{FEATURE_NAMES} should be the names of the columns")
    return names


def _are(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(type(value) is kind for value in values)


def _places_read(places: Any) -> list[int]:
    if not _are(places, int) or not places or min(places) < 0:
        raise ValueError("columns should be a list of their numbers")
    return places


def _labels_written(name: str, labels: Iterable[Any]) -> Any:
    for label in labels:
        if type(label) not in OF_LABELS:
            raise NotImplementedError(
                f"save does not know how to write the categories of column {name!r}, "
                f"such as {label!r}: it is of type {type(label).__name__}. Make text "
                "of them before the fit, or save the mixture with skops or pickle."
            )
    return encoded(list(labels), "labels")


def _labels_read(written: Any) -> dict[int, tuple[Any, ...]]:
    found = {}
    for j, labels in decoded(written).items():
        if not labels or not all(type(x) in OF_LABELS for x in labels):
            raise ValueError("labels should be text, bools or numbers")
        found[int(j)] = tuple(labels)
    return found


def _kind_written(kind: Kind) -> dict[str, Any]:
    if type(kind) is not FAMILIES.get(kind.name):
        raise NotImplementedError(
            f"save does not know the family {kind!r}, which is not one of skem's. Save "
            "the mixture with skops or pickle."
        )
    if isinstance(kind, Gaussian):
        return {"name": kind.name, "covariance_type": kind.covariance_type}
    return {"name": kind.name}


def _kind_read(written: Any) -> Kind:
    if not isinstance(written, dict) or written.get("name") not in FAMILIES:
        raise UnreadableError(f"it has the unknown family {written!r}")
    options = {key: value for key, value in written.items() if key != "name"}
    if options.keys() - {"covariance_type"}:
        raise UnreadableError(f"it has the unknown family {written!r}")
    made: Any = FAMILIES[written["name"]]
    return made(**options)


def _families_written(families: Any) -> Any:
    if isinstance(families, str):
        return families
    if isinstance(families, Kind):
        return _kind_written(families)
    if isinstance(families, Mapping):
        pairs = [[_families_written(f), _key(c)] for c, f in families.items()]
        return {"mapping": pairs}
    return {"pairs": [[_families_written(f), _keys(c)] for f, c in families]}


def _key(column: Any) -> str | int:
    return column if isinstance(column, str) else int(column)


def _keys(columns: Any) -> Any:
    if isinstance(columns, str | int | np.integer):
        return _key(columns)
    return [_key(column) for column in columns]


def _families_read(written: Any) -> Any:
    if isinstance(written, str):
        return written
    if isinstance(written, dict) and written.keys() == {"mapping"}:
        return {column: _families_read(family) for family, column in written["mapping"]}
    if isinstance(written, dict) and written.keys() == {"pairs"}:
        return [
            (_families_read(family), columns) for family, columns in written["pairs"]
        ]
    return _kind_read(written)


def _model_fields(model: Any) -> dict[str, Any]:
    """Return what a model has seen of the data."""
    if isinstance(model, StudentModel):
        return _model_fields(model.gaussian)
    if isinstance(model, HurdleModel):
        own = {"share": model.share, "hurdle_epsilon": float(model.epsilon)}
        return own | _model_fields(model.inner)
    if isinstance(model, GaussianModel):
        coordinates, penal = model.coordinates, model.penal
        return {
            "shift": coordinates.shift,
            "scale": coordinates.scale,
            "unit": coordinates.unit,
            "epsilon": float(penal.epsilon),
            "target": penal.target,
            "null": penal.null,
            "floor": float(penal.floor),
            **({} if model.steps is None else {"steps": model.steps}),
        }
    names = ("pooled", "epsilon", "place", "least")
    return {name: getattr(model, name) for name in names if hasattr(model, name)}


def _model_read(kind: Kind, fields: dict[str, Any], d: int, C: int) -> Model:
    if isinstance(kind, Student):
        inner = _model_read(Gaussian("diag"), fields, d, C)
        assert isinstance(inner, GaussianModel)
        return StudentModel(inner)
    if isinstance(kind, Gaussian):
        return _gaussian_read(kind, fields, d)
    if isinstance(kind, Hurdle):
        rest = dict(fields)
        share, epsilon = (float(rest.pop(name)) for name in ("share", "hurdle_epsilon"))
        _require(0 <= share <= 1, "share")
        inner = _model_read(kind.rest, rest, d, C)
        assert isinstance(inner, ColumnModel)
        return HurdleModel(kind, inner, share, epsilon)
    _check_fields(fields, {"epsilon", "pooled"} | _others(kind))
    epsilon, pooled = float(fields["epsilon"]), fields["pooled"]
    if isinstance(kind, Categorical):
        _require(is_array(pooled, (C,)), "pooled")
        return CategoricalModel(kind, pooled, epsilon)
    place = tuple(map(float, fields["place"]))
    _require(len(place) == 2 and is_array(pooled, np.shape(pooled)), "place")
    middle = (place[0], place[1])
    if isinstance(kind, NegativeBinomial):
        return NegativeBinomialModel(pooled, epsilon, middle, float(fields["least"]))
    assert isinstance(kind, Family)
    return kind.seen(np.asarray(pooled), epsilon, middle)


def _others(kind: Kind) -> set[str]:
    if isinstance(kind, Categorical):
        return set()
    return {"place", "least"} if isinstance(kind, NegativeBinomial) else {"place"}


def _gaussian_read(kind: Gaussian, fields: dict[str, Any], d: int) -> GaussianModel:
    names = {"shift", "scale", "unit", "epsilon", "target", "null", "floor"}
    # Earlier versions took values beyond an edge for ones there, and had no steps.
    known = {k: v for k, v in fields.items() if k not in ("edge", "steps")}
    _check_fields(known, names)
    steps = fields.get("steps")
    right = steps is None or (is_array(steps, (d,)) and bool((steps >= 0).all()))
    _require(right, "steps")
    structure, null, unit = SHAPES[kind.covariance_type], fields["null"], fields["unit"]
    for name in ("shift", "scale"):
        _require(is_array(fields[name], (d,)), name)
    _require((fields["scale"] > 0).all(), "scale")
    _require(unit is None or is_array(unit, (d,)), "unit")
    target = np.asarray(fields["target"])
    _require(target.shape in ((), (d,), (d, d)) and _finite(target), "target")
    _require(null is None or np.shape(null) == target.shape, "null")
    penal = ScaleFreePenalty(
        float(fields["epsilon"]), fields["target"], null, float(fields["floor"])
    )
    coordinates = Coordinates(fields["shift"], fields["scale"], unit)
    return GaussianModel(kind, structure, coordinates, penal, d, steps=steps)


def _check_laws(kind: Kind, model: Model, laws: Laws, K: int, d: int, C: int) -> None:
    """Require parameters of the right names, shapes and ranges."""
    names = next((n for type_, n in OF_LAWS.items() if isinstance(kind, type_)), None)
    if names is not None and laws.keys() != set(names):
        raise ValueError(f"a {kind.name} column should have {', '.join(names)}")
    shapes: dict[str, tuple[int, ...]] = {"means": (K, d), "proportions": (K, C)}
    if isinstance(kind, Gaussian):
        shapes["cholesky"] = SHAPES[kind.covariance_type].shape(K, d)
    for name, value in laws.items():
        right = is_array(value, shapes.get(name, (K,))) and _finite(value)
        _require(right, f"{name} of a {kind.name} column")
        signed = name in ("means", "location", "cholesky")
        # Of logarithms.
        signed |= name == "mean" and name not in kind.positive_parameters
        _require(signed or bool((value > 0).all()), f"{name} of a {kind.name} column")
        if name in kind.probabilities:
            # A proportion is one where others are next to zero, or there are none.
            below = value <= 1 if kind.categorical else value < 1
            _require(below.all(), f"{name} of a {kind.name} column")
    if isinstance(model, GaussianModel):
        structure, factor = model.structure, laws["cholesky"]
        diagonal = (
            np.diagonal(factor, axis1=-2, axis2=-1) if structure.matrices else factor
        )
        basis = model.penal.null_basis
        null = None if basis is None else NullSpace(basis, np.ones(d))
        right = bool((diagonal > 0).all()) and structure.allows(factor, d, null)
        _require(right, f"the factor of a {structure.name} covariance")
    elif isinstance(kind, Family | Hurdle):
        # It has to know its own parameters.
        try:
            model.coefficients(laws)
        except KeyError as error:
            raise ValueError(f"a {kind.name} column should have {error}") from None


def _check_fields(fields: dict[str, Any], names: Iterable[str]) -> None:
    if fields.keys() != set(names):
        raise ValueError(f"a model should have {', '.join(sorted(names))}")


def _require(right: Any, what: str) -> None:
    if not right:
        raise ValueError(f"{what} is not of the right type and shape")


def _finite(values: ArrayLike) -> bool:
    return bool(np.isfinite(values).all())


def _dtypes_written(names: Iterable[str], dtypes: Any) -> Any:
    """Return the dtypes of a data frame by name, and the categories of those that are.

    Categories of other types than text, bools and numbers are refused.
    """
    if dtypes is None:
        return None
    found: list[Any] = []
    for name, dtype in zip(names, dtypes, strict=True):
        if str(dtype) == "category":
            labels = _labels_written(name, dtype.categories.tolist())
            found.append({"categories": labels, "ordered": bool(dtype.ordered)})
        else:
            found.append(_dtype_written(dtype))
    return found


def _dtype_written(dtype: Any) -> str:
    """Return the name of a dtype; of those that pandas reads by no name, objects'.

    Arrow's dictionaries and decimals are such.
    """
    try:
        _dtype_read(str(dtype))
    except (TypeError, ValueError):
        return "object"
    return str(dtype)


def _dtype_read(name: str) -> Any:
    import pandas

    try:
        return pandas.api.types.pandas_dtype(name)
    except NotImplementedError:
        raise ValueError(f"pandas knows no dtype of the name {name!r}") from None


def _dtypes_read(written: Any, container: str, n_columns: int) -> Any:
    """Return the dtypes of the columns of a data frame of pandas."""
    if container != "pandas" and written is None:
        return None
    if (
        container != "pandas"
        or not isinstance(written, list)
        or len(written) != n_columns
    ):
        raise ValueError("dtypes should be those of the columns of a pandas frame")
    import pandas

    return [
        _dtype_read(dtype)
        if isinstance(dtype, str)
        else pandas.CategoricalDtype(
            decoded(dtype["categories"]), bool(dtype["ordered"])
        )
        for dtype in written
    ]
