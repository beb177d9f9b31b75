"""Structures that are one model where there is one feature.

There a covariance is a variance: all that structures may differ in is whether
components share it. One of them is fitted, and the others are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from skem._selection.grid import Candidate
from skem.core.gaussian.covariance import Structure


def first_alike(structures: Sequence[Structure], n_features: int) -> list[int]:
    """Return for each structure the place of the first that is the same model."""
    if n_features > 1:
        return [*range(len(structures))]
    # Two components have one variance or two.
    sizes = [structure.n_free(2, 1) for structure in structures]
    return [sizes.index(size) for size in sizes]


def as_alike(structure: Structure, others: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates of a structure that is the same model as an earlier one.

    Of equals the first is chosen, so that their mixtures may stay as they are.
    """
    return [
        replace(other, covariance_type=structure.name, seconds=0.0) for other in others
    ]
