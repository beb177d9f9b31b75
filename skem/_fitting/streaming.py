"""How a mixture follows a stream of batches: rows gathered, then a step for each."""

from __future__ import annotations

import operator
import warnings
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skem._fitting.fitting import FittingMixture, explained_failure
from skem._fitting.monitor import line_of
from skem._inputs.callers import users_level
from skem._inputs.validation import (
    Data,
    check_data,
    check_n_values,
    check_sample_weight,
    computing_dtype,
    without_empty_rows,
)
from skem._report.text import UNDETERMINED, count
from skem.core.blocks.arrays import ArrayBlocks
from skem.core.blocks.threads import Workers
from skem.core.gaussian.covariance import SHAPES
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.mixture.stream import Forgetting, Gathering, Stream
from skem.exceptions import DegenerateComponentsWarning

BEGIN_ANEW = "Call fit to begin a new stream."


class StreamingMixture(FittingMixture):
    """A mixture that is fitted to data at once, or batch by batch."""

    def _why_unfitted(self) -> str | None:
        state = getattr(self, "_stream", None)
        if not isinstance(state, Gathering):
            return None
        seen, needed = state.n_seen, state.n_components
        lack = (
            f"and {needed} are needed, one for each component"
            if seen < needed
            else "which do not determine its covariances yet"
        )
        return unfitted(seen, lack)

    def _validated_partial_fit(
        self, X: ArrayLike, sample_weight: ArrayLike | None
    ) -> None:
        first, given = not hasattr(self, "n_features_in_"), X
        state: Stream | Gathering | None = getattr(self, "_stream", None)
        self._validate_changed_params()
        data = check_data(self, X, reset=first, min_samples=1)
        X = data.X
        weight = check_sample_weight(sample_weight, X)
        if data.incomplete:
            weight = without_empty_rows(X, weight)
            if weight is not None and not weight.any():
                return
        with explained_failure(computing_dtype(X)):
            if state is None:
                state = self._begin_gathering(X)
            self._check_unchanged(state, BEGIN_ANEW)
            if isinstance(state, Stream):
                self._advance(state, data, weight)
            else:
                self._gather(state, data, weight)
        self.converged_ = False
        for name in ("labels_", "lower_bounds_", "_progress", "_labelled"):
            if hasattr(self, name):
                delattr(self, name)
        self._become_like(given)

    def _validate_changed_params(self) -> None:
        """Validate the parameters, unless they are those that have been validated."""
        before = getattr(self, "_validated", None)
        kind: Any = type(self)
        present = [getattr(self, name, None) for name in _names_of_params(kind)]
        if before is None or any(map(operator.is_not, before, present)):
            self._validate_params()
            self._validated = present

    def _begin_gathering(self, X: np.ndarray) -> Gathering:
        """Have no rows yet, but perhaps parameters to start from."""
        fitted = hasattr(self, "means_")
        start = self._present(X.shape[1], BEGIN_ANEW) if fitted else None
        structure = SHAPES[self.covariance_type]
        return Gathering(structure, self.n_components, X[:0], start=start)

    def _gather(self, state: Gathering, data: Data, weight: np.ndarray | None) -> None:
        """Keep the batch, and begin the stream once there are enough rows."""
        state = state.join(data.X, weight, incomplete=data.incomplete)
        if state.is_enough:
            if state.incomplete:
                names = getattr(self, "feature_names_in_", None)
                check_n_values(state.n_values, names)
            self._fit_gathered(state)
            return
        if state.is_due:
            # A numeric `reg_covar` may be too little for so few rows; more may come.
            with suppress(IllDefinedCovarianceError):
                self._fit_gathered(state)
            state = replace(state, n_fitted=state.n_seen)
        self._stream = state.kept()

    def _fit_gathered(self, state: Gathering) -> None:
        state = state.spread()
        with Workers() as workers:
            X, dtype = state.X, computing_dtype(state.X)
            blocks = ArrayBlocks(X, state.weight, workers, dtype, state.incomplete)
            self._fit_blocks(blocks, state.start)

    def _advance(self, stream: Stream, data: Data, weight: np.ndarray | None) -> None:
        """Take one step of a stream that has begun."""
        X, incomplete = data
        dtype = np.result_type(stream.dtype, computing_dtype(X))
        forgetting = Forgetting.of(
            self.learning_decay, self.learning_window, stream.unit
        )
        with Workers.for_work(len(X) * stream.multiplications_per_sample) as workers:
            blocks = ArrayBlocks(X, weight, workers, dtype, incomplete)
            stream = stream.advance(blocks, forgetting)
        self._set_stream(stream)
        self.n_iter_ += 1
        self.lower_bound_ = self._stream_bound(stream)
        if self.verbose and self.n_iter_ % self.verbose_interval == 0:
            mean = self.lower_bound_ * self._bound_of(stream.size) / stream.size
            print(line_of(self, self.n_iter_, mean))


def warn_of_lost(before: np.ndarray, now: np.ndarray) -> None:
    """Name the components that have become degenerate in a step of a stream."""
    lost = np.setdiff1d(now, before).tolist()
    if lost:
        warnings.warn(
            f"Components {lost} of the stream now {UNDETERMINED} A component "
            "without rows does not move to where others come: to begin anew, call fit "
            "with recent rows.",
            DegenerateComponentsWarning,
            stacklevel=users_level(),
        )


def unfitted(n_seen: int, lack: str) -> str:
    """Say what rows of a stream lack for a mixture, for `check_is_fitted`."""
    return (
        "This %(name)s instance is not fitted yet: partial_fit has seen "
        f"{count(n_seen, 'row')}, {lack}. Call partial_fit with more rows."
    )


@cache
def _names_of_params(kind: Any) -> list[str]:
    """Return what scikit-learn finds by a look at the signature, which takes time."""
    return kind._get_param_names()
