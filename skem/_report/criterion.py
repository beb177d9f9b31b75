"""The number that a choice is made by, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

CORRECTED = "corrected for values that rows share"
VISIBLE = 0.005
"""Corrections below this are not seen in two decimals."""


def is_corrected(results: Mapping[str, np.ndarray], criterion: str) -> bool:
    """Whether some candidates are judged by another number than the raw criterion."""
    raw = results.get(criterion)
    if raw is None:
        return False
    both = np.asarray(results["criterion"], float), np.asarray(raw, float)
    known = np.isfinite(both).all(axis=0)
    return bool((abs(both[0][known] - both[1][known]) >= VISIBLE).any())


def models_of(
    results: Mapping[str, np.ndarray], *, covariances: bool = True
) -> list[str]:
    """Name the structure of each candidate, and its families if they are chosen."""
    n = len(results["param_n_components"])
    parts = [results["param_covariance_type"]] if covariances else []
    if "param_families" in results:
        parts.append(results["param_families"])
    return [", ".join(str(part[i]) for part in parts) for i in range(n)]
