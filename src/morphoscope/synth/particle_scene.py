"""What synthetic pictures of particles show: the settings, and particles drawn from a population and put into a field."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import UsageError
from morphoscope.synth.outlines import ANGLES, SHAPES, outline, overlap, touch

Array = NDArray[np.float64]
Look = Literal["tem", "sem"]
TRIES = 400
GAP_PX = 1.5  # between particles that do not touch
HOSTS = 60  # particles tried as the neighbour of one that touches


@dataclass(frozen=True)
class ParticleScene:
    """What is drawn of a sample. Sizes are area-equivalent diameters of the projections, fractions from 0 to 1."""

    seed: int = 0
    shape: tuple[int, int] = (480, 640)
    look: Look = "tem"
    pixel_size_nm: float = 0.5
    median_nm: float = 14.0
    geometric_sd: float = 1.15
    place_spread: float = 0.02  # standard deviation of the logarithm of the median between fields of view
    kinds: tuple[str, ...] = ("disc", "ellipse", "facet")
    coverage: float = 0.12  # share of the field that particles cover
    touching: float = 0.3  # share of the particles that are put against another
    overlap: float = 0.0  # how far those reach over it, in their radii
    contrast: float = 0.55  # depth or height of a particle of median size over the background
    support: float = 0.035  # standard deviation of the support's grain
    gradient: float = 0.15  # slow change of brightness across the field
    dose: float = 400.0  # electrons per px: shot noise
    blur_px: float = 0.8
    bar: bool = False  # an info bar with a scale bar below the picture

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in SHAPES]
        if unknown or not self.kinds:
            raise UsageError(f"particles are of the kinds {', '.join(SHAPES)}; got {', '.join(unknown) or 'none'}")
        if min(self.shape) < 64:
            raise UsageError(f"a picture of particles needs at least 64 x 64 px, got {self.shape[1]} x {self.shape[0]}")
        if not (0 <= self.coverage <= 0.45 and 0 <= self.overlap <= 0.6 and 0 <= self.touching <= 1):
            raise UsageError(
                "wanted coverage in 0..0.45, overlap in 0..0.6 and touching in 0..1, "
                f"got {self.coverage}, {self.overlap} and {self.touching}"
            )
        if not (self.median_nm > 0 and self.geometric_sd >= 1 and self.pixel_size_nm > 0):
            raise UsageError("wanted a median and a pixel size above 0 and a geometric standard deviation of at least 1")
        if not 4 <= self.median_px <= min(self.shape) / 3:
            raise UsageError(
                f"the median diameter is {self.median_px:.1f} px; wanted at least 4 and at most a third of the smaller side"
            )

    @property
    def median_px(self) -> float:
        """Median diameter in px."""
        return self.median_nm / self.pixel_size_nm


class Bodies(NamedTuple):
    """Particles of one picture, the upper ones last.

    x, y: (n,) px. radii: (n, 360) px. kind: (n,) index into `outlines.SHAPES`. tone: (n,) relative contrast. id: (n,).
    """

    x: Array
    y: Array
    radii: Array
    kind: NDArray[np.int64]
    tone: Array
    id: NDArray[np.int64]


def populate(rng: np.random.Generator, scene: ParticleScene, shape: tuple[int, int]) -> Bodies:
    """Particles of a field (height, width) px and its surroundings, sizes drawn first so that all sizes find a place alike."""
    spread = math.log(scene.geometric_sd)
    median = scene.median_px * math.exp(rng.normal(0, scene.place_spread)) if scene.place_spread else scene.median_px
    margin = 1.5 * median
    field = (-margin, -margin, shape[1] + margin, shape[0] + margin)
    mean_area = math.pi / 4 * median**2 * math.exp(2 * spread**2)
    n = int(rng.poisson(scene.coverage * (field[2] - field[0]) * (field[3] - field[1]) / mean_area))
    diameter = np.sort(median * np.exp(rng.normal(0, spread, n)))[::-1]
    kinds = rng.integers(0, len(scene.kinds), n)
    radii = np.array([outline(scene.kinds[k], rng) for k in kinds]).reshape(n, len(ANGLES)) * diameter[:, None]
    place = _places(rng, scene, radii, field)
    order = rng.permutation(n)
    tone = np.exp(rng.normal(0, 0.12, n))
    kind = np.array([SHAPES.index(scene.kinds[k]) for k in kinds], dtype=np.int64)
    return Bodies(place[order, 0], place[order, 1], radii[order], kind[order], tone, np.arange(n, dtype=np.int64))


def _places(rng: np.random.Generator, scene: ParticleScene, radii: Array, field: tuple[float, float, float, float]) -> Array:
    """Centres (n, 2): free ones anywhere, touching ones against a particle that lies already.

    Larger ones are put first, so that none is turned away for its size; one that finds no free place is put anywhere.
    """
    reach = radii.max(axis=1) if len(radii) else np.zeros(0)
    place = np.empty((len(radii), 2))
    touches = rng.random(len(radii)) < scene.touching
    placed = _Placed(place, reach)
    for i in range(len(radii)):
        for attempt in range(TRIES):
            place[i] = rng.uniform(field[:2], field[2:])
            if touches[i] and i and attempt < HOSTS:
                host, direction = int(rng.integers(i)), float(rng.uniform(0, 2 * math.pi))
                far = touch(radii[host], radii[i], direction) - scene.overlap * radii[i].mean()
                place[i] = place[host] + far * np.array([math.cos(direction), math.sin(direction)])
                gap, free = 0.3, [k for k in placed.near(i) if k != host]
                inside = field[0] < place[i, 0] < field[2] and field[1] < place[i, 1] < field[3]
            else:
                gap, free, inside = GAP_PX, placed.near(i), True
            if inside and not any(_meet(radii[i] + gap, radii[k], place[k] - place[i]) for k in free):
                break
        placed.add(i)
    return place


class _Placed:
    """Particles that have their place (n, 2), in cells so wide that particles meet those of the cells around theirs only."""

    def __init__(self, place: Array, reach: Array) -> None:
        self._place, self._reach = place, reach
        self._width = 2 * float(reach.max(initial=0)) + GAP_PX
        self._cells: defaultdict[tuple[int, int], list[int]] = defaultdict(list)

    def add(self, i: int) -> None:
        self._cells[self._cell(i)].append(i)

    def near(self, i: int) -> list[int]:
        """Those of them that may meet particle i."""
        x, y = self._cell(i)
        others = [k for v in (y - 1, y, y + 1) for u in (x - 1, x, x + 1) if (u, v) in self._cells for k in self._cells[u, v]]
        apart = np.hypot(*(self._place[others] - self._place[i]).T)
        return [others[k] for k in np.flatnonzero(apart < self._reach[others] + self._reach[i] + GAP_PX)]

    def _cell(self, i: int) -> tuple[int, int]:
        x, y = self._place[i]
        return math.floor(x / self._width), math.floor(y / self._width)


def _meet(one: Array, other: Array, at: Array) -> bool:
    return overlap(one * np.cos(ANGLES), one * np.sin(ANGLES), other, (float(at[0]), float(at[1])))
