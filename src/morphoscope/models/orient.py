"""Wires and their directions by a learned model: an image in, maps out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError, ModelError
from morphoscope.measure.alignment import RADIUS_PX, Directions
from morphoscope.models.card import ModelCard, resolve_model
from morphoscope.models.preprocess import ROBUST, robust_scale
from morphoscope.models.runtime import Provider, Session, load_session
from morphoscope.models.tiling import tiles
from morphoscope.models.wire_maps import CHANNELS, WIRES, WireMaps, read_maps

TILE, MARGIN = 1024, 192  # px of the resized image
CELL = 2  # px of the resized image per px of the maps
LARGEST_ZOOM = 4.0
VIEWS = (
    (1, 1),
    (-1, -1),
    (1, -1),
    (-1, 1),
)  # steps along rows and columns: as it is, turned by half, mirrored; answers are averaged


class Orienter:
    """A model of wires, ready to run.

    Args:
        session: the loaded model.
        path: its file.
    """

    def __init__(self, session: Session, path: Path | None = None) -> None:
        card = session.card
        if card.task != "orient":
            raise ModelError(f"wanted a model for the task 'orient', {card.name} is for {card.task!r}")
        if card.postprocess != WIRES or card.preprocess != ROBUST:
            raise ModelError(
                f"{card.name} needs {card.preprocess!r} and {card.postprocess!r}, this version knows {ROBUST!r} and {WIRES!r}; "
                "update morphoscope"
            )
        self.card: ModelCard = card
        self.path = path
        self._session = session

    def maps(self, image: NDArray[Any], *, radius_px: float = RADIUS_PX) -> WireMaps:
        """Where wires are in a grey image (h, w), how they run and whether they are coherently aligned, for each pixel.

        Args:
            image: grey values of any real dtype.
            radius_px: of the neighbourhood in which wires count as aligned (`measure.alignment`). The image is resized so that
                it is the one the model was trained with.

        Raises:
            InputError: not a grey image, values that are not finite, or a radius that would enlarge the image too much.
        """
        if image.ndim != 2 or min(image.shape) < 2:
            raise InputError(f"wanted a grey image (h, w), got an array of shape {image.shape}")
        if image.dtype.kind == "f" and not np.isfinite(image).all():
            raise InputError("wanted finite grey values, the image holds nan or infinity; set them to the background first")
        zoom = RADIUS_PX / radius_px
        if zoom > LARGEST_ZOOM:
            raise InputError(f"a radius of {radius_px:g} px is too small for this model: {RADIUS_PX / LARGEST_ZOOM:g} px or more")
        cells = self._cells(image, zoom)
        height, width = image.shape
        wire, cos2, sin2, aligned = (
            np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
            for part in (cells.wire, *cells.field, cells.aligned)
        )
        return WireMaps(wire, Directions(cos2, sin2), aligned)

    def _cells(self, image: NDArray[Any], zoom: float) -> WireMaps:
        """The same for cells of the resized image, the mean over its views."""
        height, width = (max(round(n * zoom / CELL), 1) * CELL for n in image.shape)
        how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
        scaled = robust_scale(cv2.resize(image.astype(np.float32), (width, height), interpolation=how))
        total = np.zeros((len(CHANNELS), height // CELL, width // CELL), np.float32)
        for down, along in VIEWS:
            seen = read_maps(self._answer(scaled[::down, ::along]))
            sin2 = seen.field.sin2 * np.float32(down * along)
            total += np.stack([seen.wire, seen.field.cos2, sin2, seen.aligned])[:, ::down, ::along]
        wire, cos2, sin2, aligned = total / np.float32(len(VIEWS))
        return WireMaps(wire, Directions(cos2, sin2), aligned)

    def _answer(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's maps (4, h / 2, w / 2) of an image (h, w) with even sides, tile by tile."""
        height, width = scaled.shape
        stride = self.card.stride
        padded = np.pad(scaled, ((0, -height % stride), (0, -width % stride)), mode="symmetric")
        out = np.empty((len(CHANNELS), padded.shape[0] // CELL, padded.shape[1] // CELL), np.float32)
        for tile in tiles(*padded.shape, size=TILE, margin=MARGIN, align=stride):
            x0, y0, x1, y1 = tile.outer
            (answer,) = self._session.run(np.ascontiguousarray(padded[None, None, y0:y1, x0:x1]))
            left, top = max(tile.inner[0], 0), max(tile.inner[1], 0)
            right, bottom = min(tile.inner[2], padded.shape[1]), min(tile.inner[3], padded.shape[0])
            own = answer[0, :, (top - y0) // CELL : (bottom - y0) // CELL, (left - x0) // CELL : (right - x0) // CELL]
            out[:, top // CELL : bottom // CELL, left // CELL : right // CELL] = own
        return out[:, : height // CELL, : width // CELL]


def load_orienter(
    model: str | Path, *, threads: int | None = None, provider: Provider = "cpu", precision: str = "fp32"
) -> Orienter:
    """An orienter from a shipped model's name or an .onnx file.

    Raises:
        ModelError: no such model, no card, another task, or made by a later version.
    """
    path = resolve_model(model)
    return Orienter(load_session(path, threads=threads, provider=provider, precision=precision), path)
