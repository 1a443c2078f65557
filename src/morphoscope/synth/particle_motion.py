"""How drawn particles move: Brownian motion of hard discs, sticking on contact, growth on the spot, and coalescence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from morphoscope.errors import UsageError
from morphoscope.synth.outlines import offset_disc, touching_pair
from morphoscope.synth.particle_scene import Bodies, ParticleScene, populate

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
MOTIONS = ("brownian", "assembly", "growth", "coalescence")
SUBSTEPS = 4  # of a frame
GROWN = 0.55  # share of its last diameter that a growing particle has in the first frame
GAP_PX = 1.0  # between discs that bounce


@dataclass(frozen=True)
class MotionScene(ParticleScene):
    """A video of discs. Growth is linear in the diameter; coalescence conserves the projected area or the volume of spheres.

    `diffusion_nm2_per_s` is that of each disc far from others, whatever its size; a cluster of n that stick moves with 1 / n of
    it. In `growth` nothing moves but the camera.
    """

    motion: Literal["brownian", "assembly", "growth", "coalescence"] = "coalescence"
    n_frames: int = 100
    frame_interval_s: float = 0.5
    diffusion_nm2_per_s: float = 0.5
    conserved: Literal["area", "volume"] = "area"
    merging_frames: int = 4  # from contact to a disc
    drift_px: float = 0.05  # standard deviation of the camera's velocity
    kinds: tuple[str, ...] = ("disc",)
    touching: float = 0.0
    place_spread: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.motion not in MOTIONS or self.conserved not in ("area", "volume"):
            raise UsageError(
                f"videos show {', '.join(MOTIONS)} with conserved area or volume, got {self.motion}, {self.conserved}"
            )
        if self.n_frames < 1 or self.merging_frames < 1 or self.frame_interval_s <= 0 or self.diffusion_nm2_per_s < 0:
            raise UsageError("a video needs at least one frame, one merging frame, an interval above 0 s and D of at least 0")
        if self.kinds != ("disc",):
            raise UsageError(f"particles in videos are discs, got {', '.join(self.kinds)}")

    @property
    def step_px(self) -> float:
        """Standard deviation of a free step per axis and frame."""
        return math.sqrt(2 * self.diffusion_nm2_per_s * self.frame_interval_s) / self.pixel_size_nm


@dataclass
class Merging:
    """Two discs on the way to one: how many frames ago they met, their outline then and in the end, around their contact."""

    age: int
    at: tuple[float, float]
    pair: Array
    disc: Array

    def outline(self, frames: int) -> Array:
        """Squares of radii between those of the two ends, so that the area changes evenly, or not where conserved."""
        share = min((self.age + 0.5) / frames, 1.0)
        return np.asarray(np.sqrt((1 - share) * self.pair**2 + share * self.disc**2))


@dataclass
class State:
    """Discs at one moment: id, place (n, 2), diameter (n,), cluster (n,); unit outline (m, 360) and tone (m,) by id, for good."""

    id: Ints
    place: Array
    diameter: Array
    unit: Array
    tone: Array
    cluster: Ints
    merging: dict[int, Merging] = field(default_factory=dict)

    def kept(self, margin_px: int) -> State:
        """This moment as it stays, with places in px of the field of frame 0; what never changes is shared."""
        merging = {k: replace(m, at=(m.at[0] - margin_px, m.at[1] - margin_px)) for k, m in self.merging.items()}
        return replace(self, place=self.place - margin_px, diameter=self.diameter.copy(), merging=merging)

    def bodies(self, frames: int) -> Bodies:
        """The same as drawn."""
        radii, place = self.unit[self.id] * self.diameter[:, None], self.place.copy()
        for k, number in enumerate(self.id.tolist()):
            if (merging := self.merging.get(number)) is not None:
                radii[k], place[k] = merging.outline(frames), merging.at
        kind = np.zeros(len(self.id), np.int64)
        return Bodies(place[:, 0], place[:, 1], radii, kind, self.tone[self.id], self.id)


def simulate(rng: np.random.Generator, scene: MotionScene, margin_px: int) -> tuple[list[State], list[tuple[int, int, int]]]:
    """State of each frame, on a sample that reaches `margin_px` and more beyond the field of frame 0, and merges.

    A merge is (first frame of the one object, id that ends, id that goes on: the larger one's).
    """
    margin_px += math.ceil(3 * scene.median_px)
    height, width = scene.shape[0] + 2 * margin_px, scene.shape[1] + 2 * margin_px
    state = _start(rng, scene, (height, width))
    frames: list[State] = []
    merges: list[tuple[int, int, int]] = []
    walls = np.array([width - 1.0, height - 1.0])
    last = state.diameter.copy()
    for frame in range(scene.n_frames):
        if scene.motion == "growth":
            state.diameter = last * (GROWN + (1 - GROWN) * frame / max(scene.n_frames - 1, 1))
        elif frame:
            for merging in state.merging.values():
                merging.age += 1
            state.merging = {k: m for k, m in state.merging.items() if m.age < scene.merging_frames}
            for _ in range(SUBSTEPS):
                merges += [(frame, *pair) for pair in STEPS[scene.motion](rng, scene, state, walls)]
        frames.append(state.kept(margin_px))
    return frames, merges


def _start(rng: np.random.Generator, scene: MotionScene, shape: tuple[int, int]) -> State:
    drawn = populate(rng, scene, shape)
    diameter = 2 * np.sqrt((drawn.radii**2).mean(axis=1))
    place = np.stack([drawn.x, drawn.y], axis=1)
    use = ((place >= 0) & (place <= [shape[1] - 1, shape[0] - 1])).all(axis=1)
    n = int(use.sum())
    unit = (drawn.radii / diameter[:, None])[use]
    return State(np.arange(n), place[use], diameter[use], unit, drawn.tone[use], np.arange(n))


def _moved(rng: np.random.Generator, scene: MotionScene, state: State, walls: Array) -> Array:
    """Places after a free step; clusters move as one, merging ones not at all."""
    _, whose, members = np.unique(state.cluster, return_inverse=True, return_counts=True)
    step = rng.normal(0, scene.step_px / math.sqrt(SUBSTEPS), (len(members), 2)) / np.sqrt(members)[:, None]
    step = step[whose]
    if state.merging:
        step[np.isin(state.id, list(state.merging))] = 0
    place = state.place + step
    inside = ((place >= 0) & (place <= walls)).all(axis=1)
    leaves = np.isin(whose, whose[~inside])
    return np.where(leaves[:, None], state.place, place)


def _contacts(state: State, place: Array, gap: float) -> Ints:
    """Pairs (m, 2) of discs of different clusters that are nearer than their radii and a gap."""
    if len(place) < 2:
        return np.zeros((0, 2), np.int64)
    pairs = cKDTree(place).query_pairs(float(state.diameter.max()) + gap, output_type="ndarray").astype(np.int64)
    a, b = pairs.T
    apart = np.hypot(*(place[a] - place[b]).T)
    near = apart < (state.diameter[a] + state.diameter[b]) / 2 + gap
    return np.asarray(pairs[near & (state.cluster[a] != state.cluster[b])])


def _bounce(rng: np.random.Generator, scene: MotionScene, state: State, walls: Array) -> list[tuple[int, int]]:
    """A step that would bring two discs into each other is not made."""
    place = _moved(rng, scene, state, walls)
    for _ in range(8):
        stopped = np.unique(_contacts(state, place, GAP_PX))
        if not len(stopped):
            break
        place[stopped] = state.place[stopped]
    state.place = place
    return []


def _stick(rng: np.random.Generator, scene: MotionScene, state: State, walls: Array) -> list[tuple[int, int]]:
    """Discs that meet move as one from then on; the step that would bring them into each other is not made."""
    place = _moved(rng, scene, state, walls)
    met = _contacts(state, place, 0.0)
    stopped = np.isin(state.cluster, state.cluster[np.unique(met)]) if len(met) else np.zeros(len(place), bool)
    state.place = np.where(stopped[:, None], state.place, place)
    for a, b in met.tolist():
        state.cluster[state.cluster == state.cluster[b]] = state.cluster[a]
    return []


def _merge(rng: np.random.Generator, scene: MotionScene, state: State, walls: Array) -> list[tuple[int, int]]:
    """Discs that meet become one; discs that are merging already are walls to others."""
    place = _moved(rng, scene, state, walls)
    done: list[tuple[int, int]] = []
    for a, b in _contacts(state, place, 0.0).tolist():
        numbers = {int(state.id[a]), int(state.id[b])}
        if numbers & {*state.merging, *(n for pair in done for n in pair)}:
            place[[a, b]] = state.place[[a, b]]
        else:
            large, small = (a, b) if state.diameter[a] >= state.diameter[b] else (b, a)
            done.append((int(state.id[small]), int(state.id[large])))
    state.place = place
    for small_id, large_id in done:
        _join(scene, state, small_id, large_id)
    return done


def _join(scene: MotionScene, state: State, small_id: int, large_id: int) -> None:
    small, large = (int(np.flatnonzero(state.id == number)[0]) for number in (small_id, large_id))
    r_large, r_small = state.diameter[large] / 2, state.diameter[small] / 2
    towards = state.place[small] - state.place[large]
    direction = math.atan2(towards[1], towards[0])
    along = np.array([math.cos(direction), math.sin(direction)])
    contact = state.place[large] + r_large * along
    power = 2 if scene.conserved == "area" else 3
    weight = r_large**power, r_small**power
    radius = (weight[0] + weight[1]) ** (1 / power)
    offset = along * (weight[1] * r_small - weight[0] * r_large) / (weight[0] + weight[1])
    disc = offset_disc(radius, (float(offset[0]), float(offset[1])))
    pair = touching_pair(r_large, r_small, direction)
    state.merging[large_id] = Merging(0, (float(contact[0]), float(contact[1])), pair, disc)
    state.place[large], state.diameter[large] = contact + offset, 2 * radius
    keep = state.id != small_id
    for name in ("id", "place", "diameter", "cluster"):
        setattr(state, name, getattr(state, name)[keep])


STEPS: dict[str, Callable[[np.random.Generator, MotionScene, State, Array], list[tuple[int, int]]]] = {
    "brownian": _bounce,
    "assembly": _stick,
    "coalescence": _merge,
}
