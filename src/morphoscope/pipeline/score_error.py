"""How far a model's extents may be off: what its card says, for which patches that holds, and the half widths of intervals."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.models.card import ModelCard

ALIKE = 0.05  # how far patches may differ in size from those of the training for the error on the card to hold


def by_scale(card: ModelCard) -> bool:
    """Whether the model knows the size of its patches in nm."""
    return card.pixel_size_nm is not None and (card.seen_px or card.patch_px) is not None


def trained_side(card: ModelCard, pixel_nm: float | None) -> float | None:
    """The side in px of the image that a patch of the training would have; None where the card does not say."""
    side = card.seen_px or card.patch_px
    if side is None:
        return None
    if card.pixel_size_nm is not None and pixel_nm is not None and math.isfinite(pixel_nm):
        return float(side) * card.pixel_size_nm / pixel_nm
    return float(side)


def as_trained(card: ModelCard, patch_px: float, pixel_nm: float | None) -> bool:
    """Whether patches of this side are those that the error on the card was found with."""
    side = trained_side(card, pixel_nm)
    return side is None or abs(patch_px / side - 1) <= ALIKE


def all_as_trained(scores: pd.DataFrame, card: ModelCard) -> NDArray[np.bool_]:
    """The same for each row of a table of scores (n,)."""
    sides = zip(scores["patch_px"].to_numpy(float), scores["pixel_size_nm"].to_numpy(float), strict=True)
    return np.array([as_trained(card, side, pixel) for side, pixel in sides], bool)


def half_widths(scores: pd.DataFrame, name: str, card: ModelCard) -> NDArray[np.float64]:
    """Half the 95 % interval of each extent (n,) of a class as it was before it was cut off at 0 and 1."""
    value, low, high = (scores[f"S_{name}{end}"].to_numpy(float) for end in ("", "_low", "_high"))
    drawn = np.maximum(value - low, high - value)  # one of both ends is where it was
    error = card.extent_error.get(name)
    return drawn if error is None else np.where(all_as_trained(scores, card), error, drawn)


def model_error(card: ModelCard, name: str) -> float:
    """How far a change of a class within one film must go to be more than the model's error (95 %); nan where that is unknown."""
    return card.extent_shared.get(name) or card.extent_error.get(name) or math.nan
