"""Segmentation by patches: the class of each pixel is what a model of patches says of the patch around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError, ModelError
from morphoscope.models.card import ModelCard
from morphoscope.models.class_maps import ClassMap, parts
from morphoscope.models.score import Scorer


class PatchSegmenter:
    """A model of patches as a segmenter: the way of CrackCNN (Fan et al., arXiv:1802.02208) and of DeepThin's road cracks.

    Each pixel is scored by the patch centred on it; beyond the edge the image is mirrored. Models that were taught the pixel in
    the middle of a patch (`train.target = "centre"`) draw outlines to the pixel, others blur them by a patch.

    Args:
        scorer: a model whose classes are each scored for themselves; a pixel belongs to the class with the highest score, if it
            reaches the threshold.
        stride_px: every so many px a patch is scored.

    Raises:
        ModelError: the classes exclude each other, so none stands for the background.
    """

    semantic = True

    def __init__(self, scorer: Scorer, *, stride_px: int = 1) -> None:
        if scorer.card.answer == "exclusive":
            raise ModelError(
                f"{scorer.card.name} names one of {', '.join(scorer.card.classes)} for each patch, none of them the background: "
                "wanted a model whose classes are scored each for itself, such as one trained on masks"
            )
        self._own = np.array(scorer.card.thresholds or (scorer.card.threshold,) * len(scorer.card.classes), np.float32)
        self.card: ModelCard = scorer.card.model_copy(update={"threshold": float(self._own.mean())})
        self.path: Path | None = scorer.path
        self._scorer, self._stride = scorer, stride_px

    def segment(
        self, images: NDArray[Any] | Sequence[NDArray[Any]], *, threshold: float | None = None
    ) -> list[NDArray[np.int32]]:
        """A label image (h, w) for each image: the connected parts of its classes are 1, 2, ...

        Args:
            images: grey (h, w) or colour (h, w, 3) images of any shapes and any real dtype.
            threshold: least score of a class; None for the card's. Of several classes with thresholds of their own it is the mean
                of these, and all are moved alike.
        """
        return [labels for labels, _ in self.named(images, threshold=threshold)]

    def named(
        self, images: NDArray[Any] | Sequence[NDArray[Any]], *, threshold: float | None = None
    ) -> list[tuple[NDArray[np.int32], tuple[str, ...]]]:
        """For each image its label image (h, w) and the class of its labels 1, 2, ..., n; see `segment`."""
        found = [parts(one) for one in self.class_maps(images, threshold=threshold)]
        return [(labels, tuple(self.card.classes[k - 1] for k in classes)) for labels, classes in found]

    def class_maps(self, images: NDArray[Any] | Sequence[NDArray[Any]], *, threshold: float | None = None) -> list[ClassMap]:
        """The class (h, w) of each pixel of each image: 0 is background, the card's classes are 1, 2, ...; see `segment`."""
        return [self._class_map(self.maps(image), threshold) for image in images]

    def maps(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Scores (k, h, w) of each pixel of an image (h, w) or (h, w, 3).

        Raises:
            InputError: the image is smaller than half a patch, or of another shape.
        """
        if image.ndim not in (2, 3) or 0 in image.shape:
            raise InputError(f"wanted an image (h, w) or (h, w, 3), got an array of shape {image.shape}")
        seen = self.card.seen_px or float(self.card.patch_px or 0)
        rim = int(np.ceil(seen / 2))
        sides = ((rim, rim), (rim, rim), *((0, 0) for _ in image.shape[2:]))
        scored = self._scorer.scores(np.pad(image, sides, mode="symmetric"), stride_px=self._stride)
        whole = scored.to_image((image.shape[0] + 2 * rim, image.shape[1] + 2 * rim))
        return whole[:, rim:-rim, rim:-rim]

    def _class_map(self, maps: NDArray[np.float32], threshold: float | None) -> ClassMap:
        moved = np.float32(0 if threshold is None else threshold - self.card.threshold)
        reached = maps > (self._own + moved)[:, None, None]
        best = np.where(reached, maps, -1).argmax(axis=0) + 1
        return np.where(reached.any(axis=0), best, 0).astype(np.uint8)
