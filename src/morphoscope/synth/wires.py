"""Pictures of nanowires and fibres with known directions and a known share of coherently aligned ones."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.measure.alignment import RADIUS_PX, Directions, coherently_aligned
from morphoscope.synth.wire_look import photograph
from morphoscope.synth.wire_paths import Pieces, wire_pieces
from morphoscope.synth.wire_scene import WireScene

FINE = 3  # drawn this many times as fine
COVERED = 0.5  # share of a px from which it belongs to a wire

Float = NDArray[np.float32]


class Seen(NamedTuple):
    """What is on top in each fine px (h, w): the wire's number from 0 (-1: none), its direction, the offset across it."""

    wire: NDArray[np.int32]
    angle: Float  # radians
    across: Float  # -1 at one edge, 1 at the other


class WirePicture:
    """`image` and truth of a scene of wires; the same scene gives the same picture.

    Args:
        scene: what is drawn; `settings` replace some of it.
        radius_px: of the neighbourhood in which wires count as aligned, see `measure.alignment`.
    """

    def __init__(self, scene: WireScene | None = None, *, radius_px: float = RADIUS_PX, **settings: Any) -> None:
        self.scene = replace(scene or WireScene(), **settings)
        self.radius_px = radius_px

    @property
    def calibration(self) -> Calibration:
        """The scale of the scene; provenance `synthetic`."""
        size = self.scene.pixel_size_nm
        return Calibration().updated("synthetic", pixel_size_nm=(size, size))

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The picture (h, w), with its info bar below where the scene has one."""
        return photograph(np.random.default_rng((self.scene.seed, 2)), self.scene, self._seen, self._top)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Where wires are (h, w)."""
        return self._share >= COVERED

    @cached_property
    def field(self) -> Directions:
        """The direction of the wire on top, as doubled angles of length 1; 0 off the wires."""
        there = self._seen.wire >= 0
        cos2, sin2 = (_binned(np.where(there, f(2 * self._seen.angle), 0)) for f in (np.cos, np.sin))
        length = np.maximum(np.hypot(cos2, sin2), 1e-6)
        return Directions(np.where(self.mask, cos2 / length, 0), np.where(self.mask, sin2 / length, 0))

    @property
    def orientation_deg(self) -> Float:
        """Angle (h, w) of the wire on top, counter-clockwise from the x axis as seen, 0 to 180; nan off the wires."""
        return np.where(self.mask, self.field.angle_deg, np.float32(np.nan))

    @cached_property
    def aligned(self) -> NDArray[np.bool_]:
        """Where coherently aligned wires are (h, w); see `measure.alignment`."""
        return coherently_aligned(self.field, self.mask, radius_px=self.radius_px)

    @property
    def aligned_fraction(self) -> float:
        """Share of the wires' area that is coherently aligned; nan without wires."""
        return float(self.aligned.sum() / self.mask.sum()) if self.mask.any() else float("nan")

    @cached_property
    def _pieces(self) -> Pieces:
        return wire_pieces(np.random.default_rng((self.scene.seed, 1)), self.scene)

    @property
    def _top(self) -> int:
        return int(self._pieces.wire.max(initial=0)) + 1

    @cached_property
    def _seen(self) -> Seen:
        return draw_pieces(self._pieces, self.scene.shape)

    @cached_property
    def _share(self) -> Float:
        return _binned(self._seen.wire >= 0)


def draw_pieces(pieces: Pieces, shape: tuple[int, int]) -> Seen:
    """What is on top in each px of a picture drawn `FINE` times as fine."""
    height, width = shape[0] * FINE, shape[1] * FINE
    number = np.full((height, width), -1, np.int32)
    start, end = ((p + 0.5) * FINE - 0.5 for p in (pieces.start, pieces.end))
    for k, (a, b, r) in enumerate(zip(_fixed(start), _fixed(end), pieces.radius * FINE, strict=True)):
        cv2.line(number, a, b, k, max(2 * round(r - 0.5), 1), cv2.LINE_8, 4)  # of an even thickness one more is drawn
    y, x = np.nonzero(number >= 0)
    piece = number[y, x]
    along = end - start
    unit = along / np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    off = unit[piece, 0] * (y - start[piece, 1]) - unit[piece, 1] * (x - start[piece, 0])
    wire, angle = np.full_like(number, -1), np.zeros((height, width), np.float32)
    across = np.zeros((height, width), np.float32)
    wire[y, x] = pieces.wire[piece]
    angle[y, x] = np.arctan2(-unit[piece, 1], unit[piece, 0])
    across[y, x] = np.clip(off / (pieces.radius[piece] * FINE), -1, 1)
    return Seen(wire, angle, across)


def _fixed(points: NDArray[np.float64]) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in np.rint(points * 16)]


def _binned(values: NDArray[Any]) -> Float:
    height, width = values.shape
    small = (width // FINE, height // FINE)
    return np.asarray(cv2.resize(values.astype(np.float32), small, interpolation=cv2.INTER_AREA), np.float32)
