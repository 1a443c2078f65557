"""Detection: images in, boxes with class and score out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.errors import ModelError
from morphoscope.models import yolo
from morphoscope.models.card import ModelCard, resolve_model
from morphoscope.models.centres import CENTRES, boxes_from_peaks, suppress
from morphoscope.models.preprocess import ROBUST, robust_scale
from morphoscope.models.runtime import Provider, Session, load_session
from morphoscope.models.tiling import Tile, tiles

TILE, MARGIN = 2048, 128
BATCH_PX = 2_000_000
Found = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


class Detector:
    """A detection model ready to run."""

    def __init__(self, session: Session, path: Path | None = None) -> None:
        card = session.card
        if card.task != "detect":
            raise ModelError(f"wanted a model for the task 'detect', {card.name} is for {card.task!r}")
        if card.postprocess not in (CENTRES, *yolo.LAYOUTS):
            known = ", ".join((CENTRES, *yolo.LAYOUTS))
            raise ModelError(
                f"{card.name} needs post-processing {card.postprocess!r}, this version knows {known}; update morphoscope"
            )
        wanted = ROBUST if card.postprocess == CENTRES else yolo.LETTERBOX
        if card.preprocess != wanted:
            raise ModelError(f"{card.name} asks for input scaling {card.preprocess!r}, its post-processing goes with {wanted!r}")
        self.card: ModelCard = card
        self.path = path
        self._session = session

    def detect(
        self, images: NDArray[Any] | Sequence[NDArray[Any]], *, threshold: float | None = None, nms_iou: float = 0.45
    ) -> list[pd.DataFrame]:
        """Objects in each image.

        Args:
            images: (n, h, w) or a sequence of (h, w) grey images of one shape, any dtype.
            threshold: lowest score; None for the card's.
            nms_iou: boxes of one class that overlap more than this are one object.

        Returns:
            One table per image, ordered by y, x: label, score, x_px, y_px, width_px, height_px (px of the given image).
        """
        lowest = self.card.threshold if threshold is None else threshold
        if len(images) == 0:
            return []
        height, width = images[0].shape
        step = max(BATCH_PX // (height * width), 1)
        tables: list[pd.DataFrame] = []
        for start in range(0, len(images), step):
            batch = images[start : start + step]
            find = self._find_centres if self.card.postprocess == CENTRES else partial(yolo.find, self._session)
            tables += [self._table(found, nms_iou) for found in find(batch, lowest)]
        return tables

    def _find_centres(self, images: NDArray[Any] | Sequence[NDArray[Any]], threshold: float) -> list[Found]:
        scaled = np.stack([robust_scale(image) for image in images])
        found: list[list[Found]] = [[] for _ in images]
        for tile in tiles(*scaled.shape[1:], size=TILE, margin=MARGIN):
            for parts, part in zip(found, self._find_in_tile(scaled, tile, threshold), strict=True):
                parts.append(part)
        return [
            (np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), np.concatenate([p[2] for p in parts]))
            for parts in found
        ]

    def _find_in_tile(self, scaled: NDArray[np.float32], tile: Tile, threshold: float) -> list[Found]:
        x0, y0, x1, y1 = tile.outer
        batch = scaled[:, None, y0:y1, x0:x1]
        pad_y, pad_x = -(y1 - y0) % self.card.stride, -(x1 - x0) % self.card.stride
        batch = np.pad(batch, ((0, 0), (0, 0), (0, pad_y), (0, pad_x)), mode="edge")
        peaks, boxes = self._session.run(np.ascontiguousarray(batch))
        cell = batch.shape[-1] // peaks.shape[-1]
        found: list[Found] = []
        for peak, box in zip(peaks, boxes, strict=True):
            where, score, label = boxes_from_peaks(peak, box, stride=cell, threshold=threshold)
            where[:, :2] += (x0, y0)
            inner = (where[:, 0] < scaled.shape[2]) & (where[:, 1] < scaled.shape[1])
            inner &= np.array([tile.owns(x, y) for x, y in where[:, :2]], dtype=bool)
            found.append((where[inner], score[inner], label[inner]))
        return found

    def _table(self, found: Found, nms_iou: float) -> pd.DataFrame:
        boxes, scores, labels = found
        kept = [
            np.flatnonzero(labels == k)[suppress(boxes[labels == k], scores[labels == k], nms_iou)] for k in np.unique(labels)
        ]
        keep = np.concatenate(kept) if kept else np.zeros(0, np.int64)
        keep = keep[np.lexsort((scores[keep], boxes[keep, 0], boxes[keep, 1]))]
        names = np.array(self.card.classes, dtype=object)
        columns = dict(zip(("x_px", "y_px", "width_px", "height_px"), boxes[keep].T, strict=True))
        return pd.DataFrame({"label": pd.Series(names[labels[keep]], dtype="str"), "score": scores[keep], **columns})


def load_detector(
    model: str | Path, *, threads: int | None = None, provider: Provider = "cpu", precision: str = "fp32"
) -> Detector:
    """A detector from a shipped model's name or an .onnx file.

    Raises:
        ModelError: no such model, no card, another task, or made by a later version.
    """
    path = resolve_model(model)
    return Detector(load_session(path, threads=threads, provider=provider, precision=precision), path)
