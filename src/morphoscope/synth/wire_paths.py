"""Where wires run: pieces of straight lines that follow a pattern of directions, each wire with its own deviation."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from morphoscope.synth.texture import grain
from morphoscope.synth.wire_scene import WireScene

STEP_PX = 3.0  # length of a piece
MARGIN = 0.3  # wires also begin outside the picture, by this share of their length at most
WRAP = 60.0  # px at most

SPEED = 0.25  # share of the way to the wanted direction that a wire turns with each piece

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


class Pieces(NamedTuple):
    """Straight pieces of wires, lowest wires first: ends (n, 2) as x, y, half width (n,) and which wire (n,), from 0."""

    start: Array
    end: Array
    radius: Array
    wire: Whole


class _Wires(NamedTuple):
    """Wires where they begin: x, y (n, 2), heading and deviation (radians), whether they follow, length to go, which way."""

    at: Array
    heading: Array
    off: Array
    follows: NDArray[np.bool_]
    left: Array
    sign: float


class Pattern:
    """The direction that wires follow anywhere around a picture, and whether there is one."""

    def __init__(self, rng: np.random.Generator, scene: WireScene) -> None:
        self._scene, self._pad = scene, int(WRAP) + 4
        height, width = (n + 2 * self._pad for n in scene.shape)
        self._turn = np.zeros((height, width), np.float32)
        self._ordered = np.ones((height, width), bool)
        if scene.pattern == "waves":
            small = (height // 8 + 2, width // 8 + 2)
            waves = grain(rng, small, scale_px=scene.domain_px / 8 / 3, elongation=1.0, angle_deg=0.0)
            self._turn = cv2.resize(waves, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(scene.bend_deg)
        elif scene.pattern == "domains":
            count = max(2, round(height * width / scene.domain_px**2))
            seeds = rng.uniform((0, 0), (width, height), (count, 2))
            y, x = np.mgrid[:height, :width]
            domain = cKDTree(seeds).query(np.column_stack([x.ravel(), y.ravel()]), workers=1)[1].reshape(height, width)
            self._turn = rng.uniform(0, 180, count).astype(np.float32)[domain]
            if scene.order_differs:
                self._ordered = (rng.random(count) < 0.6)[domain]
        elif scene.pattern == "random":
            self._ordered[:] = False

    def at(self, points: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Radians (n,) at points (n, 2) and whether wires there follow them."""
        height, width = self._turn.shape
        x = np.clip(np.rint(points[:, 0]).astype(int) + self._pad, 0, width - 1)
        y = np.clip(np.rint(points[:, 1]).astype(int) + self._pad, 0, height - 1)
        return np.deg2rad(self._scene.angle_deg + self._turn[y, x].astype(float)), self._ordered[y, x]


def wire_pieces(rng: np.random.Generator, scene: WireScene) -> Pieces:
    """The wires of a scene: as many as cover the share of the picture asked for, on average."""
    height, width = scene.shape
    pattern = Pattern(rng, scene)
    reach = min(MARGIN * scene.length_px, WRAP)
    region = (height + 2 * reach) * (width + 2 * reach)
    each = scene.length_px * scene.width_px
    count = int(np.ceil(-np.log(1 - scene.coverage) * region / each)) if scene.coverage else 0
    count = min(count, 20_000)
    middle = rng.uniform((-reach, -reach), (width + reach, height + reach), (count, 2))
    length = scene.length_px * rng.gamma(6, 1 / 6, count)
    radius = scene.width_px / 2 * np.exp(rng.normal(0, scene.width_spread, count))
    follows = rng.random(count) < scene.following
    base, ordered = pattern.at(middle)
    follows &= ordered
    off = np.where(follows, rng.normal(0, np.deg2rad(scene.spread_deg), count), rng.uniform(0, np.pi, count))
    heading = base + off
    halves = [_half(rng, scene, pattern, _Wires(middle, heading, off, follows, length / 2, sign)) for sign in (1.0, -1.0)]
    start = np.concatenate([half[0] for half in halves])
    end = np.concatenate([half[1] for half in halves])
    wire = np.concatenate([half[2] for half in halves])
    order = np.argsort(wire, kind="stable")
    return Pieces(start[order], end[order], radius[wire[order]], wire[order])


def _half(rng: np.random.Generator, scene: WireScene, pattern: Pattern, wires: _Wires) -> tuple[Array, Array, Whole]:
    """Pieces of all wires from their middle to one end: where they begin and end, and of which wire."""
    index: Whole = np.arange(len(wires.at))
    at, heading, off, follows, left = wires.at, wires.heading, wires.off, wires.follows, wires.left
    wind = np.zeros(len(at))
    found: list[tuple[Array, Array, Whole]] = [(at[:0], at[:0], index[:0])]
    while len(index):
        wind = 0.95 * wind + rng.normal(0, scene.curl * np.sqrt(STEP_PX), len(index))
        base, _ = pattern.at(at)
        heading = heading + np.where(follows, SPEED * _turn(base + off - heading), 0.0)
        way = heading + wind
        step = wires.sign * np.minimum(STEP_PX, left)
        to = at + step[:, None] * np.column_stack([np.cos(way), -np.sin(way)])
        found.append((at, to, index))
        on = left - STEP_PX > 0.5
        at, heading, off, wind, left = to[on], heading[on], off[on], wind[on], left[on] - STEP_PX
        follows, index = follows[on], index[on]
    starts, ends, names = zip(*found, strict=True)
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(names)


def _turn(angle: Array) -> Array:
    """The smallest turn that makes two lines parallel."""
    return np.asarray((angle + np.pi / 2) % np.pi - np.pi / 2)
