"""Validation by place: each band of an image is judged by a model that has never learnt it.

Frames of one video show the same objects, so a split by frame flatters any detector; a split by place does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.evaluate import Scored, best_threshold, score_images
from morphoscope.io.labels import LabelledImages
from morphoscope.io.open import open_frames
from morphoscope.models.centres import suppress
from morphoscope.models.detect import load_detector
from morphoscope.recipe import Region

LOWEST = 0.05  # detections below this score are never looked at
NMS_IOU = 0.45


def cut_bands(data: LabelledImages, count: int) -> list[Region]:
    """The complete region of labelled images cut into bands of x of equal width."""
    with open_frames(next(iter(data.images.values()))) as frames:
        height, width = frames.shape
    whole = data.complete_region or Region(x0=0, y0=0, x1=width, y1=height)
    edges = np.rint(np.linspace(whole.x0, whole.x1, count + 1)).astype(int)
    return [Region(x0=int(a), y0=whole.y0, x1=int(b), y1=whole.y1) for a, b in zip(edges[:-1], edges[1:], strict=True)]


class ByPlace:
    """Finds objects in each band with the model that has never learnt it.

    The score threshold of a band is the best one on the other bands (on itself where it is the only one).

    Args:
        models: one file per band.
        bands: neighbouring bands of x, from left to right.
        data: the labelled images thresholds are chosen on.
    """

    def __init__(self, models: Sequence[Path], bands: Sequence[Region], data: LabelledImages) -> None:
        self.bands = list(bands)
        self._detectors = [load_detector(model) for model in models]
        scored = [self._scored(k, data) for k in range(len(self.bands))]
        self.thresholds = [
            best_threshold([one for other, images in enumerate(scored) if other != k or len(scored) == 1 for one in images])
            for k in range(len(scored))
        ]
        self.pooled_threshold = best_threshold([one for images in scored for one in images])

    @property
    def region(self) -> Region:
        """All bands together."""
        first, last = self.bands[0], self.bands[-1]
        return Region(x0=first.x0, y0=first.y0, x1=last.x1, y1=first.y1)

    def _scored(self, band: int, data: LabelledImages) -> list[Scored]:
        detector = self._detectors[band]
        return list(score_images(lambda image: detector.detect([image], threshold=LOWEST)[0], data, within=self.bands[band]))

    def __call__(self, image: NDArray[Any]) -> pd.DataFrame:
        """Detections in an image (h, w), as `Detector.detect` gives them."""
        parts = []
        for detector, band, threshold in zip(self._detectors, self.bands, self.thresholds, strict=True):
            found = detector.detect([image], threshold=threshold)[0]
            left = -np.inf if band is self.bands[0] else band.x0
            right = np.inf if band is self.bands[-1] else band.x1
            parts.append(found[(found["x_px"] >= left) & (found["x_px"] < right)])
        table = pd.concat(parts, ignore_index=True)
        boxes = table[["x_px", "y_px", "width_px", "height_px"]].to_numpy(float)
        kept = np.sort(suppress(boxes, table["score"].to_numpy(float), NMS_IOU))
        return table.iloc[kept].reset_index(drop=True)
