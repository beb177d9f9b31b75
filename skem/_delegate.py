"""Methods and attributes of an estimator that are those of the one it has chosen."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from sklearn.exceptions import NotFittedError

from skem._typing import available_if

try:
    from sklearn.utils._repr_html.estimator import _VisualBlock as visual_block
except ImportError:  # before scikit-learn 1.7
    from sklearn.utils._estimator_html_repr import _VisualBlock as visual_block

__all__ = ["AttributeOfBest", "is_kept", "of_best", "visual_block"]

P = ParamSpec("P")
R = TypeVar("R")


def is_kept(selection: Any) -> bool:
    """Whether there is a chosen estimator to ask, now or after a fit."""
    return bool(getattr(selection, "refit", True))


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
