"""Methods and attributes of an estimator that are those of the one it has chosen."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import (
    Any,
    ClassVar,
    Concatenate,
    Generic,
    ParamSpec,
    Self,
    TypeVar,
    overload,
)

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    DensityMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted

from skem._fitted.shared import LabelsItsData, SharedMethods
from skem._inputs.callers import users_level
from skem._inputs.sklearn import VisualBlock
from skem._inputs.typing import available_if
from skem._report.text import count
from skem._selection.grid import check_numbers_of_components

__all__ = [
    "AttributeOfBest",
    "Chooser",
    "is_kept",
    "of_best",
    "warn_unless_converged",
]

P = ParamSpec("P")
R = TypeVar("R")


def is_kept(selection: Any) -> bool:
    """Whether there is a chosen estimator to ask, now or after a fit."""
    return bool(getattr(selection, "refit", True))


def warn_unless_converged(mixture: Any) -> None:
    """Say so if the run that led to the chosen mixture has not come to its end."""
    if not mixture.converged_:
        warnings.warn(
            "The chosen mixture did not converge. Try to increase max_iter or tol, or "
            "check for degenerate data.",
            ConvergenceWarning,
            stacklevel=users_level(),
        )


def of_best(
    method: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[Any, P], R]:
    """Return a method that is the chosen estimator's, with its documentation."""
    name = method.__name__

    @available_if(is_kept)
    @wraps(method)
    def delegate(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        return getattr(self._best(), name)(*args, **kwargs)

    return delegate


class AttributeOfBest(Generic[R]):
    """A fitted attribute that is the chosen estimator's.

    Before a fit it is not there, as others are not.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, selection: None, owner: type) -> Self: ...
    @overload
    def __get__(self, selection: object, owner: type) -> R: ...
    def __get__(self, selection: Any, owner: type) -> Self | R:
        if selection is None:
            return self
        best = vars(selection).get("best_estimator_")
        if best is None:
            # For hasattr it is an AttributeError, too.
            raise NotFittedError(
                f"{owner.__name__} has no {self.name}: it is that of best_estimator_, "
                "which a fit with refit=True makes."
            )
        return getattr(best, self.name)

    def __set__(self, selection: Any, value: R) -> None:
        raise AttributeError(
            f"{self.name} is that of the chosen mixture: set "
            f"best_estimator_.{self.name} instead."
        )


class Chooser(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    DensityMixin,
    BaseEstimator,
    LabelsItsData,
):
    """What searches share that have chosen one of several mixtures."""

    weights_ = AttributeOfBest[np.ndarray]()
    degenerate_components_ = AttributeOfBest[np.ndarray]()
    labels_ = AttributeOfBest[np.ndarray]()
    n_parameters_ = AttributeOfBest[int]()
    converged_ = AttributeOfBest[bool]()
    n_iter_ = AttributeOfBest[int]()
    lower_bound_ = AttributeOfBest[float]()
    _tells_of_more: ClassVar[bool] = True
    """Whether a fit warns if the largest number of components is chosen."""
    n_components: Any
    best_estimator_: Any
    best_index_: int
    criterion: str
    criterion_: float
    n_components_: int
    covariance_type_: Any
    results_: dict[str, np.ndarray]
    n_features_in_: int
    feature_names_in_: np.ndarray

    transform = of_best(SharedMethods.transform)
    # Unless this is declared, pyright takes the signature of scikit-learn's mixin.
    score: ClassVar[Callable[..., float]] = of_best(SharedMethods.score)
    bic = of_best(SharedMethods.bic)
    aic = of_best(SharedMethods.aic)
    icl = of_best(SharedMethods.icl)
    save = of_best(SharedMethods.save)
    fit_predict = available_if(is_kept)(LabelsItsData.fit_predict)

    def _labels_or_predict(self, X: Any) -> np.ndarray:
        return self.best_estimator_._labels_or_predict(X)

    def _set_choice(self, results: dict[str, np.ndarray]) -> None:
        """Choose the candidate that is first in the table."""
        self.results_ = results
        self.best_index_ = best = int(results["rank"].argmin())
        self.n_components_ = int(results["param_n_components"][best])
        self.covariance_type_ = str(results["param_covariance_type"][best])
        self.criterion_ = float(results["criterion"][best])

    def _most_tried(self) -> str | None:
        """Say so if what was chosen is the largest of several numbers of components."""
        results, most = self.results_, check_numbers_of_components(self.n_components)
        fitted = np.isfinite(results["criterion"])
        several = len(set(results["param_n_components"][fitted].tolist())) > 1
        eligible = bool(results["eligible"][self.best_index_])
        if not several or not eligible or self.n_components_ < most[-1]:
            return None
        return (
            f"{self.n_components_} components were chosen, the most that were tried: "
            f"with more the {self.criterion.upper()} may be lower. Try more of them. "
            "If there are skewed or discrete columns, their shape may take so many: "
            "transform these columns, or give them other families of MixtureIC."
        )

    def _warn_of_most_tried(self) -> None:
        text = self._most_tried() if self._tells_of_more else None
        if text is not None:
            warnings.warn(text, UserWarning, stacklevel=users_level())

    def _best(self) -> Any:
        # Asked first, as scikit-learn's check takes as long as a row does.
        if "best_estimator_" not in vars(self):
            check_is_fitted(self)
        return self.best_estimator_

    @property
    def _n_features_out(self) -> int:
        """Number of columns of `transform`."""
        return self._best()._n_features_out

    @property
    def _has_covariances(self) -> bool:
        """Whether the covariance structure says something about the choice."""
        return True

    def _choice(self) -> str:
        """Say what was chosen, in a line."""
        parts = [
            count(self.n_components_, "component"),
            *([self.covariance_type_] if self._has_covariances else []),
            f"{self.criterion} {self.criterion_:.1f}",
        ]
        return ", ".join(parts)

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        unfitted = super().__repr__(N_CHAR_MAX)
        if "criterion_" not in vars(self):
            return unfitted
        return f"{unfitted}  # chosen: {self._choice()}"

    def _sk_visual_block_(self) -> Any:
        """Show the chosen mixture in notebooks, as scikit-learn's searches do."""
        best = vars(self).get("best_estimator_")
        if best is None:
            return VisualBlock("single", self, names=type(self).__name__)
        return VisualBlock(
            "parallel",
            [best],
            names=[f"best_estimator_: {self._choice()}"],
            name_details=[str(best)],
        )
