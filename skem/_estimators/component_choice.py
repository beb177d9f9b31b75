"""The mixture inside of an estimator: of a given size, or chosen by BIC."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, cast

import numpy as np
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skem._fitted.noise import background_of
from skem._inputs.options import StrOptions, covariance_types
from skem._inputs.sklearn import Interval
from skem._inputs.typing import Auto, AutoOrAll, CovarianceType
from skem._inputs.validation import (
    check_incomplete,
    check_n_filled,
    check_n_values,
    check_sample_weight,
)
from skem._saving.files import save_mixture
from skem.core.gaussian.covariance import SHAPES
from skem.gaussian_mixture import GaussianMixture
from skem.model_selection import COVARIANCE_TYPES, GaussianMixtureIC

MOST_COMPONENTS = 9
"""As many as are tried where the number is chosen."""
INNER_CONSTRAINTS: dict = {
    "n_components": [
        StrOptions(["auto"]),
        Interval(Integral, 1, None, closed="left"),
    ],
    "covariance_type": [covariance_types(SHAPES, "auto", "all")],
    "random_state": ["random_state"],
}


class _InnerChoice(GaussianMixtureIC):
    """The choice for an estimator, which has its own limit and needs a density only."""

    _tells_of_more = False


def is_chosen(n_components: Any, covariance_type: Any) -> bool:
    """Whether something of a mixture is left open."""
    return n_components == "auto" or covariance_type in ("auto", "all")


def fit_mixture(
    X: np.ndarray,
    n_components: int | Auto,
    covariance_type: CovarianceType | AutoOrAll,
    random_state: Any,
    sample_weight: Any = None,
    names: Sequence[str] | None = None,
    data: str = "X",
) -> GaussianMixture:
    """Fit a mixture to an array, after a choice by BIC of what is left open.

    Errors name the `data`, and features, as the user has them.
    """
    weight = check_sample_weight(sample_weight, X)
    there = ~np.isnan(X)
    if weight is not None:
        there &= (weight > 0)[:, None]
    n_filled = int(there.any(axis=1).sum())
    check_n_filled(n_filled, data)
    check_n_values(there.sum(axis=0), names, data)
    if is_chosen(n_components, covariance_type):
        sizes: Any = n_components
        if n_components == "auto":
            sizes = range(1, 1 + min(MOST_COMPONENTS, n_filled))
        selection = _InnerChoice(
            sizes,
            covariance_type=(
                COVARIANCE_TYPES if covariance_type == "auto" else covariance_type
            ),
            random_state=random_state,
        )
        mixture = selection.fit(X, sample_weight=weight).best_estimator_
    else:
        mixture = GaussianMixture(
            cast(int, n_components),
            covariance_type=cast(CovarianceType, covariance_type),
            random_state=random_state,
        ).fit(X, sample_weight=weight)
    if names is not None:
        mixture.feature_names_in_ = np.asarray(names, dtype=object)
    return mixture


def require_y(estimator: Any, y: Any) -> None:
    """Raise `ValueError` if there is no target."""
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None"
        )


def check_inner(
    mixture: Any, n_features: int, kinds: Any = GaussianMixture, *, noise: bool = False
) -> None:
    """Require a mixture of one of some kinds, of so many features.

    With `noise` there may be some, in a box along the features.
    """
    if not isinstance(mixture, kinds):
        raise ValueError(f"a {type(mixture).__name__} may not be inside")
    background = background_of(mixture)
    if background is not None and not (noise and background.along_features):
        raise ValueError("a mixture has noise that the estimator cannot have")
    if mixture.n_features_in_ != n_features:
        raise ValueError(
            f"a mixture should have {n_features} features, and has "
            f"{mixture.n_features_in_}"
        )


def only_one(inner: list[Any]) -> Any:
    """Return the one mixture of a file."""
    if len(inner) != 1:
        raise ValueError(f"there should be one mixture, and there are {len(inner)}")
    return inner[0]


class WithMixture:
    """Tags, checks and the file of an estimator that has a mixture inside."""

    n_features_in_: int
    feature_names_in_: np.ndarray
    mixture_: GaussianMixture
    n_components_: Any

    _in_file: ClassVar[dict[str, str]] = {}
    """What a file has beside the mixtures inside, and what each of that is."""

    def __sklearn_tags__(self) -> Tags:
        """Return the tags of scikit-learn."""
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.allow_nan = True
        return tags

    def _check_is_fitted(self) -> None:
        # Asked first, as scikit-learn's check takes as long as a row does.
        if not hasattr(self, "mixture_"):
            check_is_fitted(self, "mixture_")

    @property
    def _inner(self) -> list[GaussianMixture]:
        """The mixtures inside."""
        return [self.mixture_]

    def _become(self, inner: list[Any]) -> None:
        """Have the mixtures of a file inside."""
        self.mixture_ = only_one(inner)
        check_inner(self.mixture_, self.n_features_in_)
        self.n_components_ = len(self.mixture_.weights_)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file, for :func:`skem.load`.

        The file is JSON, as that of a mixture: the class, the parameters, and what
        there is after `fit`, the mixtures inside among it, in full precision. It holds
        neither code nor rows, and is written as a whole or not at all.

        Parameters
        ----------
        path : str or path-like
            The file, which is replaced if it is there.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.

        NotImplementedError
            If the class is a subclass of one that :func:`skem.load` knows, or a
            parameter or an attribute cannot be written, such as a `RandomState`.

        ValueError
            If :func:`skem.load` would refuse the file. One that is there stays as it
            is.

        OSError
            If the file cannot be written.

        See Also
        --------
        skem.load : Read the file.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import skem
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> detector = skem.MixtureOutlierDetector(2, random_state=0).fit(X)
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = pathlib.Path(directory) / "detector.json"
        ...     detector.save(path)
        ...     same = skem.load(path)
        >>> same.predict([[2.0, 55.0], [3.0, 50.0]])
        array([ 1, -1])
        """
        save_mixture(self, path)

    def _check_rows(self, X: Any, *, reset: bool = False) -> np.ndarray:
        """Validate X, in which NaN is a missing value."""
        return check_incomplete(self, X, reset=reset, min_samples=2 if reset else 1)
