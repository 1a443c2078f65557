"""Pictures of a run with its objects drawn on: a video of a series, stills of independent images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.io.frames import Frames
from morphoscope.io.video import VideoWriter
from morphoscope.pipeline.results import Results
from morphoscope.pipeline.views import SIZE_X, SIZE_Y
from morphoscope.report.overlay import Rgb, draw_overlay, stamp_text, write_still

STILLS = tuple(f"overlay_{k}" for k in range(1, 7))  # of independent images, beside the one with the most objects
NARROW = 100  # grey values of 8 bits, below which a picture is too dark or too flat to be shown as it is
LabelImages = Callable[[int], NDArray[Any] | None]


@dataclass(frozen=True)
class Overlays:
    """Draws frames of a run; `labels` gives the label image of a frame, None where there is none."""

    frames: Frames
    results: Results
    labels: LabelImages = lambda number: None

    @property
    def numbers(self) -> list[int]:
        """The analysed frames."""
        return [int(number) for number in self.results.frames["frame"]]

    def draw(self, number: int, limits: tuple[float, float] | None) -> Rgb:
        """A frame with its objects."""
        objects = self.results.objects
        shown = objects.iloc[self._rows.get(number, [])]
        calibration = self._calibration(number)
        stamp = self.frames.name(number) if SIZE_Y in self.results.frames.columns else stamp_text(calibration, number)
        return draw_overlay(self.frames[number], shown, calibration, stamp, limits=limits, labels=self.labels(number))

    def write_fullest(self, folder: Path) -> None:
        """The frame with the most objects as `overlay.png`."""
        number = self.numbers[int(self.results.frames["count"].argmax())]
        write_still(folder, self.draw(number, self._limits([number])))

    def write_first(self, folder: Path) -> dict[str, str]:
        """The first images as figures, and a caption for each."""
        captions = {}
        for name, number in zip(STILLS, self.numbers, strict=False):
            write_still(folder, self.draw(number, self._limits([number])), name)
            captions[name] = f"Objects found in {self.frames.name(number)}."
        return captions

    def write_video(self, path: Path) -> None:
        """All frames, one after the other; nothing where they are not of one size."""
        if SIZE_Y in self.results.frames.columns:  # independent images
            shape = self.frames[self.numbers[0]].shape
            if any(self.frames[number].shape != shape for number in self.numbers):
                return
        limits = self._limits(self.numbers)
        with VideoWriter(path) as video:
            for number in self.numbers:
                video.write(self.draw(number, limits))

    @cached_property
    def _rows(self) -> dict[int, Any]:
        return dict(self.results.objects.groupby("frame").indices)

    def _calibration(self, number: int) -> Calibration:
        """That of the run, or of an image with a scale of its own."""
        table = self.results.frames
        if SIZE_Y not in table.columns:
            return self.results.calibration
        size_y, size_x = table.loc[table["frame"] == number, [SIZE_Y, SIZE_X]].to_numpy(float)[0]
        known = bool(np.isfinite(size_y))
        return replace(self.results.calibration, pixel_size_nm=(float(size_y), float(size_x)) if known else None)

    def _limits(self, numbers: list[int]) -> tuple[float, float] | None:
        """Grey values shown as black and white in all these frames: None for 8 bits that are used, else from five of them."""
        chosen = [numbers[i] for i in np.unique(np.linspace(0, len(numbers) - 1, 5).astype(int))]
        low, high = np.percentile(np.concatenate([self.frames[i].ravel()[::7] for i in chosen]), (0.1, 99.9))
        if self.frames[chosen[0]].dtype == np.uint8 and high - low >= NARROW:
            return None
        return float(low), float(high)
