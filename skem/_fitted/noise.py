"""Noise of a fitted mixture, and what there is not with it."""

from __future__ import annotations

from typing import Any

from skem.core.mixture.noise import Background


def background_of(mixture: Any) -> Background | None:
    """Return where the noise of a fitted mixture is, if there is any."""
    return getattr(mixture, "_noise", None)


def check_no_noise(mixture: Any, what: str) -> None:
    """Raise if there is noise: what its density is elsewhere is not known."""
    if background_of(mixture) is not None:
        df = "df_, " if hasattr(mixture, "df_") else ""
        raise NotImplementedError(
            f"{what} are not there for a mixture with noise. Take them of its "
            f"components: {type(mixture).__name__}.from_parameters(weights_ / "
            f"weights_.sum(), means_, covariances_, {df}covariance_type)."
        )
