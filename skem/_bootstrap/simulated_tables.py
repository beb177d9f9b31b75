"""Tables drawn from a fitted mixture, with the gaps and the recording of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skem._bootstrap.arrays import Likeness
from skem._bootstrap.recording import Recording
from skem._inputs.blocks import array_blocks
from skem._inputs.families import refuses
from skem._inputs.validation import Data, check_sample_weight, without_empty_rows
from skem.core.gaussian.coordinates import standardising_coordinates
from skem.core.gaussian.covariance import SHAPES
from skem.families.hurdle import Hurdle, without_zeros
from skem.mixture_model import MixtureModel


@dataclass(frozen=True)
class RecordedColumns:
    """Columns of continuous families, and how their values are recorded.

    `floor` (d, 1) is the lowest value of those whose family refuses zero, else −∞. That
    of a hurdle does, where it is not zero by itself: those `apart` (d, 1) keep zeros.
    """

    columns: list[int]
    recording: Recording
    floor: np.ndarray
    apart: np.ndarray

    @classmethod
    def of(
        cls, values: np.ndarray, weight: np.ndarray | None, families: list
    ) -> RecordedColumns | None:
        """Look at the values of a table; None if no column is continuous."""
        parts = {
            j: (kind, without_zeros(values[j]) if _is_apart(kind) else values[j])
            for kind, own in families
            for j in own
            if not kind.discrete
        }
        # A column without a value, or of zeros alone, has nothing to look at.
        parts = {j: part for j, part in parts.items() if not np.isnan(part[1]).all()}
        if not parts:
            return None
        kinds = [kind for kind, _ in parts.values()]
        X = np.stack([x for _, x in parts.values()], axis=1)
        data = Data(X, bool(np.isnan(X).any()))
        weight = without_empty_rows(X, weight) if data.incomplete else weight
        structure = SHAPES["diag"]
        with array_blocks(data, weight) as blocks:
            start = standardising_coordinates(blocks, structure)
            recording = Recording.of(blocks, start, structure, X, weight)
        lowest = [
            np.nanmin(x, initial=np.inf)
            if _is_apart(kind) or refuses(kind, np.zeros(1))
            else -np.inf
            for x, kind in zip(X.T, kinds, strict=True)
        ]
        apart = np.array([[_is_apart(kind)] for kind in kinds])
        return cls(list(parts), recording, np.array(lowest)[:, None], apart)

    def recorded(self, values: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Return values (d, n) of all columns as they would be recorded."""
        own = values[self.columns]
        found = self.recording.recorded(own, rng)
        found = np.where(found > 0, found, np.maximum(found, self.floor))
        out = values.copy()
        out[self.columns] = np.where(self.apart & (own == 0), 0.0, found)
        return out


@dataclass(frozen=True)
class TableSimulation:
    """How tables like the data are drawn from a mixture.

    With the `weight` of rows, or None, and what they lack, (d, n).
    """

    mixture: MixtureModel
    recording: RecordedColumns | None
    weight: np.ndarray | None
    gaps: np.ndarray

    @classmethod
    def of(
        cls, mixture: MixtureModel, X: Any, sample_weight: Any, n_components: int
    ) -> TableSimulation:
        """Look at the data, of which so many components are to be fitted."""
        values = mixture._map(X, sample_weight).values[:, :]
        missing = np.isnan(values)
        weight = check_sample_weight(sample_weight, missing.T)
        like = Likeness.of(weight, missing.shape[1], n_components)
        families = [(kind, list(own)) for kind, own in mixture._columns.groups]
        recording = RecordedColumns.of(values, weight, families)
        return cls(mixture, recording, like.weight, missing[:, like.rows])

    def drawn(self, seed: int) -> Any:
        """Return a table, of the kind that the mixture was fitted to."""
        rng, gaps = np.random.RandomState(seed), self.gaps
        _, values = self.mixture._labelled_draws(gaps.shape[1], rng)
        values = values[:, rng.permutation(gaps.shape[1])]
        if self.recording is not None:
            values = self.recording.recorded(values, rng)
        empty = (gaps | np.isnan(values)).all(axis=1)
        values[gaps & ~empty[:, None]] = np.nan
        return self.mixture._rebuilt(values)


def _is_apart(kind: Any) -> bool:
    """Whether zeros of a family are no values of the other one."""
    return isinstance(kind, Hurdle)
