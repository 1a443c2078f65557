"""What finds the objects of a frame: boxes of a detector, masks of a segmenter, round spots, objects that are given.

The pipeline asks all of them the same two things: what is found in a frame, and what it measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.models.card import ModelCard
from morphoscope.pipeline.stages import Finder, Image, Plan, detect_frame, measure_frame

Labels = NDArray[np.int32]


class Measured(NamedTuple):
    """Objects of a frame in px of it as stored, and where they have masks the label image (h, w) of the plan's region.

    `magnified` is how many times the network saw the frame as large as it is; None where there is none.
    """

    objects: pd.DataFrame
    labels: Labels | None = None
    magnified: float | None = None


class ObjectFinder(Protocol):
    """What the pipeline needs of whatever finds objects."""

    @property
    def card(self) -> ModelCard:
        """Of the model, or a description of what stands for one."""
        ...

    @property
    def path(self) -> Path | None:
        """The model's file; None without one."""
        ...

    @property
    def masks(self) -> bool:
        """Whether `measure` gives label images."""
        ...

    @property
    def rim(self) -> int:
        """Px along the edge of the region in which nothing can be found."""
        ...

    def key(self, plan: Plan) -> dict[str, Any]:
        """What the measured objects depend on beside the card, the picture and the plan's region and thresholds."""
        ...

    def find(self, number: int, image: Image, plan: Plan) -> Any:
        """What is in frame `number` (h, w); the part that a model works on."""
        ...

    def measure(self, image: Image, found: Any, plan: Plan) -> Measured:
        """The objects of what `find` gave whose centre lies in the valid part of the frame."""
        ...


class MaskFinder(Protocol):
    """What `Masks` needs of a segmenter (`models.segment.Segmenter`, `masks.ThresholdSegmenter`)."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        ...

    def segment(self, images: Image | Sequence[Image], *, threshold: float | None = None) -> list[Labels]:
        """See `models.segment.Segmenter.segment`."""
        ...


@runtime_checkable
class NamingFinder(Protocol):
    """A segmenter that names the class of each label."""

    def named(self, images: Image | Sequence[Image], *, threshold: float | None = None) -> list[tuple[Labels, tuple[str, ...]]]:
        """See `models.segment.Segmenter.named`."""
        ...


class Boxes:
    """Objects in the boxes of a detector: an ellipse is fitted to what each box holds."""

    masks = False
    rim = 0

    def __init__(self, detector: Finder) -> None:
        self.card = detector.card
        self.path: Path | None = getattr(detector, "path", None)
        self._detector = detector

    def key(self, plan: Plan) -> dict[str, Any]:
        """See `ObjectFinder`."""
        return {}

    def find(self, number: int, image: Image, plan: Plan) -> pd.DataFrame:
        """See `ObjectFinder`."""
        return detect_frame(image, self._detector, plan)

    def measure(self, image: Image, found: pd.DataFrame, plan: Plan) -> Measured:
        """See `ObjectFinder`."""
        return Measured(measure_frame(image, found, plan))
