"""What scoring an image gives: for each class a map of how much of it there is, patch by patch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoscope.models.card import ModelCard


@dataclass(frozen=True)
class ScoreMap:
    """Scores 0 to 1 of the patches of an image.

    `values` (k, rows, columns) float32: for each of `classes` the probability, or the expected degree over the highest.
    `x_px`, `y_px` is the centre of the first patch in the stored image (pixel centres at integers), `stride_px` the way from
    patch to patch and `patch_px` the side of a patch there.
    """

    values: NDArray[np.float32]
    x_px: float
    y_px: float
    stride_px: float
    patch_px: float
    classes: tuple[str, ...]

    def extents(self) -> dict[str, float]:
        """The extent of each class in the image: the mean over its patches."""
        return {name: float(of.mean(dtype=np.float64)) for name, of in zip(self.classes, self.values, strict=True)}

    def to_image(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """The maps (k, h, w) at the size of the stored image: each px has the score of the patch with the nearest centre."""
        rows, columns = (
            np.clip(np.rint((np.arange(n) - first) / self.stride_px).astype(int), 0, count - 1)
            for n, first, count in zip(shape, (self.y_px, self.x_px), self.values.shape[1:], strict=True)
        )
        return np.ascontiguousarray(self.values[:, rows[:, None], columns[None]])


def outputs_of(card: ModelCard) -> int:
    """How many logits a network gives for a card: one a class, or one a class and degree (class by class)."""
    return len(card.classes) * (card.levels if card.answer == "ordinal" else 1)


def read_logits(logits: NDArray[np.float32], card: ModelCard) -> NDArray[np.float32]:
    """Scores 0 to 1 (n, k, ...) of a network's logits (n, outputs, ...); version `scores-1`.

    Multi-label: a sigmoid each. Exclusive: a softmax over the classes. Ordinal: the logits of a class are those of P(y > 0), ...,
    P(y > levels - 1), whose sum is the expected degree; given over the highest.
    """
    scaled = logits / np.float32(card.temperature)
    if card.answer == "exclusive":
        odds = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)
    each = np.float32(0.5) * (np.tanh(np.float32(0.5) * scaled) + np.float32(1))
    if card.answer == "ordinal":
        each = each.reshape(len(logits), len(card.classes), card.levels, *logits.shape[2:]).mean(axis=2)
    return np.asarray(each, np.float32)
