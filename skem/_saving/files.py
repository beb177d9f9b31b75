"""Mixtures in files of JSON, which can hold no code, and are checked when read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from skem._inputs.array_api import is_foreign, numpy_of
from skem._inputs.validation import check_matrices, check_means, check_weights
from skem._saving.whole import replacing
from skem.core.gaussian.covariance import SHAPES
from skem.core.gaussian.nullspace import NullSpace
from skem.core.mixture.noise import Background

if TYPE_CHECKING:
    from skem.bayesian_mixture import BayesianGaussianMixture
    from skem.discriminant import MixtureDiscriminantAnalysis
    from skem.gaussian_mixture import GaussianMixture
    from skem.imputer import GaussianMixtureImputer
    from skem.mixture_model import MixtureModel
    from skem.outlier import MixtureOutlierDetector
    from skem.regressor import GaussianMixtureRegressor
    from skem.student_mixture import StudentMixture

    Saved: TypeAlias = (
        GaussianMixture
        | BayesianGaussianMixture
        | StudentMixture
        | MixtureModel
        | GaussianMixtureRegressor
        | GaussianMixtureImputer
        | MixtureDiscriminantAnalysis
        | MixtureOutlierDetector
    )

FORMAT = "skem mixture"
FORMAT_VERSION = 1
WITH_MIXTURES = {
    "GaussianMixtureRegressor": "skem.regressor",
    "GaussianMixtureImputer": "skem.imputer",
    "MixtureDiscriminantAnalysis": "skem.discriminant",
    "MixtureOutlierDetector": "skem.outlier",
}
"""Classes of estimators that have mixtures inside."""
CLASSES = {
    "GaussianMixture": "skem.gaussian_mixture",
    "BayesianGaussianMixture": "skem.bayesian_mixture",
    "StudentMixture": "skem.student_mixture",
    "MixtureModel": "skem.mixture_model",
    **WITH_MIXTURES,
}
ELSEWHERE = {
    "MixtureModel": "skem._tables.files",
    **dict.fromkeys(WITH_MIXTURES, "skem._estimators.files"),
}
"""Modules that write and read the documents of other classes."""
INTEGERS = tuple(f"{sign}int{size}" for sign in ("", "u") for size in (8, 16, 32, 64))
DTYPES = ("float64", "float32", *INTEGERS, "bool", "str")
PARTS = {"class", "parameters", "attributes", "state"}
STATE = {"fingerprint", "n_given", "noise", "null_space"}
LABELLED, OF_STEPS = "labelled", "of_steps"
"""What the state has besides, if the fit was given labels."""
DATA = {"labels_"}
"""What there is one of for each row of the fit, and is not saved."""
ATTRIBUTES: dict[str, str] = {
    "weights_": "K",
    "means_": "K d",
    "covariances_": "covariances",
    "precisions_": "covariances",
    "precisions_cholesky_": "covariances",
    "converged_": "bool",
    "n_iter_": "int",
    "lower_bound_": "float",
    "lower_bounds_": "list",
    "degenerate_components_": "indices",
    "n_parameters_": "int",
    "n_features_in_": "int",
    "feature_names_in_": "names",
    "weight_concentration_": "K or two",
    "mean_precision_": "K",
    "degrees_of_freedom_": "K or one",
    "weight_concentration_prior_": "float",
    "mean_precision_prior_": "float",
    "mean_prior_": "d",
    "degrees_of_freedom_prior_": "float",
    "covariance_prior_": "covariance",
    "n_effective_components_": "int",
    "noise_weight_": "float",
    "noise_volume_": "float",
    "df_": "K",
}
"""The fitted attributes that a file may have, and what each of them is."""
OF_FLOATS = {"K", "d", "K d", "covariances"}
"""The kinds that are arrays of floats, and nothing else."""
DAMAGE = (ValueError, TypeError, OverflowError, RecursionError)
"""What is raised of a file that is not as it should be."""
LARGEST = 2**63 - 1
"""The largest whole number that arrays hold."""


def save_mixture(mixture: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted mixture as `skem.load` reads it."""
    document = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "skem": import_module("skem").__version__,
        **part_of(mixture),
    }
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    # Before there is a file, which may take the place of a good one.
    try:
        _decoded_mixture(json.loads(text))
    except (UnreadableError, *DAMAGE) as error:
        raise ValueError(
            f"save has not written {os.fspath(path)!r}, which load would refuse: "
            f"{error}"
        ) from None
    with replacing(path, encoding="utf-8") as file:
        file.write(f"{text}\n")


def part_of(mixture: Any) -> dict[str, Any]:
    """Return what a document has of a mixture: its class, parameters and so on."""
    kind = type(mixture)
    name = kind.__name__
    if CLASSES.get(name) != kind.__module__:
        raise NotImplementedError(
            f"save knows {', '.join(CLASSES)}, not {name}. Save it with skops or "
            "pickle."
        )
    mixture._check_is_fitted()
    own = _parts
    if name in ELSEWHERE:
        own = import_module(ELSEWHERE[name]).document
    return {"class": name, **own(mixture)}


def _parts(mixture: Any) -> dict[str, Any]:
    """Return the parts of the document that are a mixture's own."""
    fitted = {
        name: value
        for name, value in vars(mixture).items()
        if name.endswith("_") and not name.startswith("_") and name not in DATA
    }
    if unknown := fitted.keys() - ATTRIBUTES:
        raise NotImplementedError(
            f"save does not know the attribute {min(unknown)!r} of the mixture."
        )
    fitted = {name: as_kept(name, value) for name, value in fitted.items()}
    if "precisions_cholesky_" not in fitted:
        # Of a mixture that was given its covariances by hand.
        fitted["precisions_cholesky_"] = mixture._parameters().precisions_cholesky
    noise, null = getattr(mixture, "_noise", None), mixture._null
    return {
        "parameters": encoded_all(mixture.get_params(deep=False), "parameter"),
        "attributes": encoded_all(fitted, "attribute"),
        "state": {
            # Tells whether covariances and factors are as the fit has made them.
            "fingerprint": getattr(mixture, "_as_fitted", None),
            "n_given": getattr(mixture, "_n_given", None),
            "noise": None if noise is None else encoded_all(asdict(noise), "noise"),
            "null_space": None if null is None else encoded_all(asdict(null), "null"),
            **({LABELLED: True} if getattr(mixture, "_labelled", False) else {}),
            **(
                {}
                if mixture._steps is None
                else encoded_all({OF_STEPS: mixture._steps}, "state")
            ),
        },
    }


def load(
    path: str | os.PathLike[str],
) -> Saved:
    """Read a mixture, or an estimator with one inside, that `save` has written.

    The file is JSON and holds no code: it is safe to read one of unknown origin.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    mixture : GaussianMixture, BayesianGaussianMixture, StudentMixture, MixtureModel, \
            GaussianMixtureRegressor, GaussianMixtureImputer, \
            MixtureDiscriminantAnalysis or MixtureOutlierDetector
        Fitted, with the same parameters and attributes, to the last digit.
        `partial_fit` goes on from the parameters, as after
        :meth:`GaussianMixture.from_parameters`: the statistics of a stream are not
        saved. A `MixtureModel` has to be fitted anew for that.

    Raises
    ------
    ValueError
        If it is no such file, is of a newer version of the format, has a class, a
        parameter or an attribute that this version of skem does not know, or if an
        array has the wrong shape or is not what it should be: weights that do not sum
        to one, covariances that are not positive definite.

    OSError
        If the file cannot be read.

    See Also
    --------
    GaussianMixture.save : Write the file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import skem
    >>> from skem.datasets import load_faithful
    >>> X = load_faithful().data
    >>> mixture = skem.GaussianMixture(2, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = pathlib.Path(directory) / "geyser.json"
    ...     mixture.save(path)
    ...     same = skem.load(path)
    >>> same.predict([[2.0, 55.0], [4.3, 80.0]])
    array([1, 0])
    """
    try:
        document = json.loads(Path(path).read_bytes(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not a saved mixture, as it is not JSON: {error}"
        ) from None
    try:
        return _decoded_mixture(document)
    except UnreadableError as error:
        raise ValueError(f"cannot load {path}: {error}") from None
    except DAMAGE as error:
        raise ValueError(f"{path} is damaged: {error}") from None


class UnreadableError(Exception):
    """A file that this version of skem does not read."""


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _decoded_mixture(document: Any) -> Any:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UnreadableError("it is not a file that a mixture's save has written")
    version = document.get("version")
    if version != FORMAT_VERSION:
        raise UnreadableError(
            f"it has version {version!r} of the format, of skem "
            f"{document.get('skem')}; this one reads version {FORMAT_VERSION}"
        )
    if "skem" not in document:
        raise UnreadableError("it lacks 'skem'")
    return decoded_part(
        {key: document[key] for key in document.keys() - {"format", "version", "skem"}}
    )


def decoded_part(document: Any) -> Any:
    """Return the mixture of what `part_of` has made, checked."""
    if not isinstance(document, dict):
        raise ValueError("a mixture should be a JSON object")
    if missing := PARTS - document.keys():
        raise UnreadableError(f"it lacks {min(missing)!r}")
    if unknown := document.keys() - PARTS:
        raise UnreadableError(f"it has {min(unknown)!r}, which skem does not know")
    name = document["class"]
    if not isinstance(name, str) or name not in CLASSES:
        raise UnreadableError(f"it has the unknown class {name!r}")
    kind = getattr(import_module(CLASSES[name]), name)
    if name in ELSEWHERE:
        return import_module(ELSEWHERE[name]).mixture(kind, document)
    mixture = made_of(kind, document["parameters"])
    attributes = decoded_all(document["attributes"])
    if unknown := attributes.keys() - ATTRIBUTES:
        raise UnreadableError(f"{name} has no attribute {min(unknown)!r}")
    state = _decoded_state(document["state"], attributes)
    _check(mixture, attributes, state)
    vars(mixture).update(attributes, _fitted_type=mixture.covariance_type)
    vars(mixture).update(state)
    if mixture._covariances_by_hand() is not None:
        K, d = attributes["means_"].shape
        structure = SHAPES[mixture.covariance_type]
        check_matrices(attributes["covariances_"], structure, K, d, "covariance")
    mixture._expectation(np.dtype(float))
    return mixture


def made_of(kind: Any, written: Any) -> Any:
    """Return an estimator of the parameters of a document, checked."""
    parameters = decoded_all(written)
    if unknown := parameters.keys() - signature(kind).parameters:
        raise UnreadableError(f"{kind.__name__} has no parameter {min(unknown)!r}")
    estimator = kind(**parameters)
    estimator._validate_params()
    return estimator


def _decoded_state(document: Any, attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the private attributes of a fit: its fingerprint, noise, and the like."""
    if (
        not isinstance(document, dict)
        or document.keys() - {LABELLED, OF_STEPS} != STATE
    ):
        raise ValueError(f"state should have {', '.join(sorted(STATE))}")
    found: dict[str, Any] = {}
    if (value := document.get(LABELLED, False)) is not False:
        if value is not True:
            raise ValueError("labelled is not true or false")
        found["_labelled"] = True
    for name, key in (("_as_fitted", "fingerprint"), ("_n_given", "n_given")):
        if (value := document[key]) is not None:
            if not is_count(value):
                raise ValueError(f"{key} is not a whole number")
            found[name] = value
    if document["noise"] is not None:
        noise = decoded_all(document["noise"])
        d = np.shape(attributes.get("means_", ()))[-1:]
        shapes = {"log_widths": d, "corner": d, "half_edges": 2 * d}
        if noise.keys() != shapes.keys() or not all(
            is_array(noise[name], shape) for name, shape in shapes.items()
        ):
            raise ValueError("noise is not of the right type and shape")
        found["_noise"] = Background(**noise)
    if document["null_space"] is not None:
        null = decoded_all(document["null_space"])
        (d,) = np.shape(attributes.get("means_", ()))[-1:]
        fits = null.keys() == {"basis", "slope"} and is_array(null["slope"], (d,))
        q = len(null["basis"]) if fits and np.ndim(null["basis"]) else 0
        if not 0 < q <= d or not is_array(null["basis"], (q, d)):
            raise ValueError("null_space is not of the right type and shape")
        found["_null_space"] = NullSpace(**null)
    if OF_STEPS in document:
        found["_of_steps"] = decoded_all({OF_STEPS: document[OF_STEPS]})[OF_STEPS]
    return found


def _check(mixture: Any, attributes: dict[str, Any], state: dict[str, Any]) -> None:
    """Require that attributes are what they should be."""
    noise = "_noise" in state
    needed = ["weights_", "means_", "covariances_", "precisions_cholesky_"]
    needed.append("n_features_in_")
    if type(mixture).__name__ == "StudentMixture":
        needed.append("df_")
    for name in needed:
        if name not in attributes:
            raise ValueError(f"{name} is missing")
    means = attributes["means_"]
    if not isinstance(means, np.ndarray) or means.ndim != 2:
        raise ValueError("means_ should be an array of two dimensions")
    K, d = means.shape
    check_weights(attributes["weights_"], K, noise=noise)
    if noise:
        _check_noise_weight(attributes)
    check_means(means, K, d)
    if attributes["n_features_in_"] != d:
        raise ValueError(f"n_features_in_ should be {d}, as means_ has {d} columns")
    steps = state.get("_of_steps")
    if steps is not None and not (is_array(steps, (K, d)) and (steps >= 0).all()):
        raise ValueError("of_steps is not of the right type and shape")
    structure = SHAPES[mixture.covariance_type]
    shape = structure.shape(K, d)
    one = shape if structure.shared else shape[1:]
    for name, value in attributes.items():
        if not _FITS[ATTRIBUTES[name]](value, K, d, shape, one):
            raise ValueError(f"{name} is not of the right type and shape")
    factor = attributes["precisions_cholesky_"]
    if not np.isfinite(factor).all():
        raise ValueError("precisions_cholesky_ should be finite")
    factor = structure.upper_factor(np.asarray(factor, dtype=float))
    diagonal = np.einsum("...ii->...i", factor) if structure.matrices else factor
    if not (diagonal > 0).all():
        raise ValueError("precisions_cholesky_ should not be singular")
    if not structure.allows(factor, d, state.get("_null_space")):
        raise ValueError(
            f"precisions_cholesky_ should have the shape {mixture.covariance_type!r}"
        )


def _check_noise_weight(attributes: dict[str, Any]) -> None:
    """Require that the weight of the noise is what components leave of one."""
    weights: Any = attributes["weights_"]
    weight: Any = attributes.get("noise_weight_")
    if not is_float(weight):
        raise ValueError("noise_weight_ is not of the right type and shape")
    left = 1 - float(np.sum(weights, dtype=float))
    if not abs(left - weight) <= (1e-6 if weights.dtype == np.float32 else 1e-8):
        raise ValueError(
            f"noise_weight_ should be {left:.5g}, which weights_ leave of one, but got "
            f"{weight:.5g}"
        )


def is_array(value: Any, shape: tuple[int, ...], kinds: str = "f") -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.dtype.kind in kinds
        and value.shape == shape
        and (value.dtype.kind != "f" or not np.isnan(value).any())
    )


def is_float(value: Any) -> bool:
    """Whether it is a number that float64 can hold, in JSON or of NumPy."""
    if not isinstance(value, float | int | np.floating) or isinstance(value, bool):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def are_names(value: Any) -> bool:
    """Whether it is an array of strings alone."""
    return is_array(value, (np.size(value),), "O") and all(
        isinstance(name, str) for name in value
    )


def is_count(value: Any) -> bool:
    """Whether it is a whole number that is not negative."""
    return type(value) is int and 0 <= value <= LARGEST


_FITS: dict[str, Callable[..., bool]] = {
    "K": lambda value, K, d, shape, one: is_array(value, (K,)),
    "d": lambda value, K, d, shape, one: is_array(value, (d,)),
    "K d": lambda value, K, d, shape, one: is_array(value, (K, d)),
    "covariances": lambda value, K, d, shape, one: is_array(value, shape),
    "covariance": lambda value, K, d, shape, one: (
        is_array(value, one) or (one == () and is_float(value))
    ),
    "K or two": lambda value, K, *_: (
        is_array(value, (K,))
        or (
            isinstance(value, tuple)
            and [is_array(v, (K,)) for v in value] == [True] * 2
        )
    ),
    "K or one": lambda value, K, *_: is_array(value, (K,)) or is_float(value),
    "bool": lambda value, *_: isinstance(value, bool),
    "int": lambda value, *_: is_count(value),
    "float": lambda value, *_: is_float(value),
    "list": lambda value, *_: isinstance(value, list) and all(map(is_float, value)),
    "indices": lambda value, K, *_: (
        is_array(value, (np.size(value),), "i")
        and bool(((value >= 0) & (value < K)).all())
    ),
    "names": lambda value, K, d, *_: are_names(value) and len(value) == d,
}


def as_kept(name: str, value: Any) -> Any:
    """Return an attribute, which may be set by hand, in the type that a fit gives it.

    What cannot be that stays as it is.
    """
    kind = ATTRIBUTES[name]
    if isinstance(value, np.integer) and kind in ("int", "float"):
        return int(value) if kind == "int" else float(value)
    if isinstance(value, np.bool_):
        return bool(value)
    if kind == "list" and isinstance(value, np.ndarray | tuple):
        return np.asarray(value).tolist()
    if kind == "names":
        return np.asarray(value, dtype=object)
    if kind == "indices" and isinstance(value, list | tuple):
        found = np.asarray(value)
        return found if found.size else found.astype(int)
    if kind not in OF_FLOATS or isinstance(value, str | dict):
        return value
    try:
        values = numpy_of(value)
    except ValueError:  # rows of different lengths
        return value
    exact = values.dtype.name in ("float64", "float32")
    return values.astype(float) if values.dtype.kind in "iuf" and not exact else values


def encoded_all(values: dict[str, Any], what: str) -> dict[str, Any]:
    return {name: encoded(value, f"{what} {name!r}") for name, value in values.items()}


def encoded(value: Any, what: str) -> Any:
    try:
        return _encoded(value)
    except TypeError:
        raise NotImplementedError(
            f"save does not know how to write the {what}: it is a "
            f"{type(value).__name__}. Set another value, or save the mixture with "
            "skops or pickle."
        ) from None


def _encoded(value: Any) -> Any:
    """Return a value as JSON has it; Python writes floats so that none is rounded."""
    value = numpy_of(value) if is_foreign(value) else value
    # Of a data frame or a column.
    value = value.to_numpy() if hasattr(value, "to_numpy") else value
    if isinstance(value, np.ndarray):
        text = value.dtype.kind in "OU"
        dtype = "str" if text else value.dtype.name
        values = value.ravel().tolist()
        if dtype not in DTYPES or (
            text and not all(isinstance(v, str) for v in values)
        ):
            raise TypeError
        return {
            "dtype": dtype,
            "shape": list(value.shape),
            "values": [_encoded(each) for each in values],
        }
    if isinstance(value, np.generic):
        return _encoded(np.asarray(value))
    if isinstance(value, tuple):
        return {"tuple": [_encoded(each) for each in value]}
    if isinstance(value, set | frozenset):
        return {"set": sorted(_encoded(each) for each in value)}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {"dict": {key: _encoded(each) for key, each in value.items()}}
        return {"pairs": [[_encoded(each) for each in pair] for pair in value.items()]}
    if isinstance(value, list):
        return [_encoded(each) for each in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else {"float": repr(value)}
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError


def decoded_all(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise ValueError("parameters and attributes should be JSON objects")
    return {name: decoded(value) for name, value in values.items()}


def decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [decoded(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"tuple"}:
        return tuple(decoded(each) for each in value["tuple"])
    if value.keys() == {"set"}:
        return set(decoded(value["set"]))
    if value.keys() == {"dict"}:
        return decoded_all(value["dict"])
    if value.keys() == {"pairs"}:
        return {decoded(key): decoded(each) for key, each in value["pairs"]}
    if value.keys() == {"float"}:
        if not re.fullmatch("-?inf|nan", value["float"]):
            raise ValueError(f"{value['float']!r} is no number")
        return float(value["float"])
    if value.keys() != {"dtype", "shape", "values"} or value["dtype"] not in DTYPES:
        raise ValueError(f"there is an unknown kind of value, {sorted(value)}")
    dtype = object if value["dtype"] == "str" else value["dtype"]
    flat = np.array(decoded(value["values"]), dtype=dtype)
    found = flat.reshape(tuple(map(int, value["shape"])))
    return found[()] if found.ndim == 0 else found
