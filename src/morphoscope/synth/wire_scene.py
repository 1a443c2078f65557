"""What a picture of nanowires or fibres shows: all its settings, and random choices of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from morphoscope.errors import UsageError

Pattern = Literal["parallel", "waves", "domains", "random"]
Look = Literal["sem", "flat", "afm", "dark"]


@dataclass(frozen=True)
class WireScene:
    """What is drawn. Lengths in px of the picture; shares from 0 to 1; angles counter-clockwise from the x axis as seen."""

    seed: int = 0
    shape: tuple[int, int] = (384, 512)
    pixel_size_nm: float = 10.0
    look: Look = "sem"  # bright edges, even, bright ridges, or dark wires on a bright ground
    pattern: Pattern = "domains"  # what the wires follow
    angle_deg: float = 30.0  # main direction
    following: float = 0.7  # share of the wires that follow the pattern; the others run anyhow
    spread_deg: float = 6.0  # of the directions of wires that follow
    domain_px: float = 110.0  # size of domains, length of waves
    bend_deg: float = 30.0  # how much waves turn (standard deviation)
    order_differs: bool = False  # some domains without order
    coverage: float = 0.45  # share of the picture that wires cover, about
    width_px: float = 5.0  # median
    width_spread: float = 0.15  # of its logarithm
    length_px: float = 120.0  # mean
    curl: float = 0.02  # how much a wire winds: standard deviation of its direction's change per px, in radians
    depth: float = 0.5  # how much darker the lowest wires are
    grey: float = 0.65  # of the wires
    ground: float = 0.2  # of what is behind them
    variety: float = 0.1  # of the wires' grey
    shade: float = 0.3  # light from one side
    light_deg: float = 60.0
    rough: float = 0.04  # of the wires' surface
    texture: float = 0.05  # of the ground
    texture_px: float = 8.0
    slope: float = 0.1  # light lost from one side of the picture to the other
    particles_per_mpx: float = 0.0  # round ones, on top
    blur_px: float = 0.7
    noise: float = 0.04  # of a grey of 1
    bar: bool = False  # an info bar below the picture

    def __post_init__(self) -> None:
        if min(self.shape) < 64:
            raise UsageError(f"wires need at least 64 x 64 px, got {self.shape[1]} x {self.shape[0]}")
        if not 0 <= self.following <= 1:
            raise UsageError(f"following is a share of the wires from 0 to 1, got {self.following}")
        if not 0 <= self.coverage < 1:
            raise UsageError(f"coverage is a share of the picture from 0 to less than 1, got {self.coverage}")
        if not 1.5 <= self.width_px <= 40:
            raise UsageError(f"wires are drawn 1.5 to 40 px wide, got {self.width_px}")


def random_wires(seed: int, **settings: Any) -> WireScene:
    """Wires of any kind, as much in order as not, under a random microscope; `settings` win."""
    rng = np.random.default_rng((seed, 78))

    def log_between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    patterns: tuple[Pattern, ...] = ("parallel", "waves", "domains", "random")
    looks: tuple[Look, ...] = ("sem", "flat", "afm", "dark")
    width = log_between(3, 11)
    look = looks[rng.choice(4, p=(0.4, 0.1, 0.38, 0.12))]
    grey, depth = float(rng.uniform(0.35, 0.9)), float(rng.uniform(0, 0.7))
    plain = look in ("flat", "dark")  # wires on wires are told apart by their grey alone
    scene = WireScene(
        seed=seed,
        look=look,
        pattern=patterns[rng.choice(4, p=(0.25, 0.27, 0.38, 0.1))],
        angle_deg=float(rng.uniform(0, 180)),
        following=float(rng.choice([1.0, rng.uniform(0.5, 1), rng.uniform(0.0, 0.5)], p=(0.4, 0.4, 0.2))),
        spread_deg=float(rng.uniform(0, 8 if rng.random() < 0.5 else 20)),
        domain_px=log_between(45, 300),
        bend_deg=float(rng.uniform(10, 60)),
        order_differs=bool(rng.random() < 0.5),
        coverage=float(rng.choice([rng.uniform(0.08, 0.35), rng.uniform(0.3, 0.6 if plain else 0.85)], p=(0.35, 0.65))),
        width_px=width,
        width_spread=float(rng.uniform(0.0, 0.35)),
        length_px=width * log_between(10, 80),
        curl=float(rng.choice([0.0, log_between(0.003, 0.05)], p=(0.25, 0.75))),
        depth=depth,
        grey=grey,
        ground=grey * float(rng.uniform(0.1, 0.8)) * (1 - 0.7 * depth),
        variety=float(rng.uniform(0.08 if plain else 0.0, 0.2)),
        shade=float(rng.uniform(0, 0.7)),
        light_deg=float(rng.uniform(0, 360)),
        rough=float(rng.uniform(0, 0.12)),
        texture=float(rng.choice([0.0, rng.uniform(0, 0.12)], p=(0.3, 0.7))),
        texture_px=log_between(1.5, 30),
        slope=float(rng.uniform(0, 0.3)),
        particles_per_mpx=float(rng.choice([0.0, log_between(20, 400)], p=(0.7, 0.3))),
        blur_px=float(rng.uniform(0.3, max(0.4, min(2.2, width / 3)))),
        noise=grey * log_between(0.01, 0.12),
    )
    return replace(scene, **settings)
