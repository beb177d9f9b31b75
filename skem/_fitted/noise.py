"""Noise of a fitted mixture, and the methods that do not work with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from skem.core.mixture.noise import Background, check_noise


def background_of(mixture: Any) -> Background | None:
    """Return where the noise of a fitted mixture is, if there is any."""
    return getattr(mixture, "_noise", None)


def noise_along_features(mixture: Any) -> Background | None:
    """Return where the noise is, if there is any: in a box along the features.

    There its features are independent. Raises `NotImplementedError` for a box along
    principal axes.
    """
    background = background_of(mixture)
    if background is not None and not background.along_features:
        raise NotImplementedError(
            "The noise is spread over a box along principal axes, whose marginal and "
            "conditional laws are not even. They are of a box along the features: "
            f"fit {type(mixture).__name__} with "
            "noise=1 / np.prod(X.max(axis=0) - X.min(axis=0)), or take them of the "
            "components alone, by from_parameters."
        )
    return background


def set_noise(mixture: Any, background: Background, weight: Any) -> None:
    """Give a mixture noise."""
    mixture._noise = background
    mixture.noise_weight_ = float(weight)
    mixture.noise_volume_ = background.volume


def set_marginal_noise(
    mixture: Any, source: Any, features: np.ndarray, weight: Any
) -> None:
    """Give the mixture of some features of another one its noise, if it has any."""
    whole = background_of(source)
    if whole is None:
        return
    background = whole.marginal(features)
    mixture.noise = source.noise
    if check_noise(source.noise) is not True:
        info = np.finfo(float)
        with np.errstate(over="ignore"):
            density = np.exp(-background.log_widths.sum())
        mixture.noise = float(np.clip(density, info.tiny, info.max))
    set_noise(mixture, background, weight)
