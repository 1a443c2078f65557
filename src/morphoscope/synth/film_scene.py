"""What a picture of a thin film shows: all its settings, and random choices of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from morphoscope.errors import UsageError

CLASSES = ("crack", "dewetting", "particle", "scratch", "nonuniform")
CAMERA_NM = 6500.0  # a pixel of the camera; at 5x it covers 1.3 µm of the film, at 20x 0.325 µm
WINDOW_PX = 64  # side of the neighbourhood that unevenness of the thickness is judged in
UNEVEN = 0.1  # change of the thickness within that neighbourhood, as a share of the mean, from which the film is non-uniform

Field = Literal["dark", "bright"]
Mechanism = Literal["spinodal", "holes"]
Cracks = Literal["network", "hierarchy", "parallel"]
Uneven = Literal["rings", "streaks", "clouds", "slope"]


@dataclass(frozen=True)
class FilmScene:
    """What is drawn. Lengths in µm of the film unless the name says px or nm; shares from 0 to 1."""

    seed: int = 0
    shape: tuple[int, int] = (384, 512)
    field: Field = "dark"
    objective: float = 5.0
    film: Literal["organic", "perovskite"] = "organic"
    substrate: Literal["glass", "silicon"] = "glass"
    thickness_nm: float = 300.0
    dewetting: float = 0.0  # share of the area that is bare, exact to half a pixel
    mechanism: Mechanism = "spinodal"
    dewetting_um: float = 40.0  # wavelength of the pattern, or mean distance of the holes
    patchiness: float = 0.15  # how much sooner some regions dewet than others
    cracks: Cracks | None = None
    crack_spacing_um: float = 90.0  # mean size of the pieces
    crack_width_um: float = 3.0
    crack_open: float = 0.85  # share of the borders between pieces that have opened
    particles_per_mm2: float = 0.0
    particle_um: float = 6.0  # median diameter
    scratches: int = 0  # single ones or groups of parallel ones
    scratch_um: float = 3.0  # width
    unevenness: float = 0.0  # largest change of the thickness, as a share of it
    uneven: Uneven = "rings"
    uneven_um: float = 120.0  # distance of rings and streaks, size of clouds
    haze: float = 0.16  # what the even film scatters, 1: white
    grain: float = 0.1  # spread of that from place to place
    exposure: float = 1.0
    balance: tuple[float, float] = (1.0, 1.0)  # gain of red and of blue against green
    vignetting: float = 0.15  # light lost in the corners
    defocus_px: float = 0.3
    noise: float = 0.012  # of a grey of 1
    shot: int = 0  # another picture of the same film

    def __post_init__(self) -> None:
        if min(self.shape) < 64:
            raise UsageError(f"a film needs at least 64 x 64 px, got {self.shape[1]} x {self.shape[0]}")
        if not 0 <= self.dewetting <= 1:
            raise UsageError(f"dewetting is a share of the area from 0 to 1, got {self.dewetting}")
        if self.objective <= 0:
            raise UsageError(f"the objective is a magnification such as 5 or 20, got {self.objective}")

    @property
    def pixel_size_nm(self) -> float:
        """Side of a pixel on the film."""
        return CAMERA_NM / self.objective

    def px(self, um: float) -> float:
        """A length on the film in px of the picture."""
        return um * 1000 / self.pixel_size_nm


def random_film(seed: int, **settings: Any) -> FilmScene:
    """A film with every kind of defect as likely there as not, under a random microscope; `settings` win.

    Sizes of structures are drawn in px of the picture: what is seen at 5x is larger than what is seen at 20x, as on real films.
    """
    rng = np.random.default_rng((seed, 77))
    objective = float(settings.get("objective", rng.choice([5.0, 20.0])))
    um = CAMERA_NM / objective / 1000

    def there(chance: float = 0.45) -> bool:
        return bool(rng.random() < chance)

    def log_between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    patterns: tuple[Cracks, ...] = ("network", "hierarchy", "parallel")
    changes: tuple[Uneven, ...] = ("rings", "streaks", "clouds", "slope")
    piece = log_between(22, 140)
    speck = log_between(3, 9)
    scene = FilmScene(
        seed=seed,
        objective=objective,
        field="dark" if rng.random() < 0.5 else "bright",
        film="organic" if rng.random() < 0.5 else "perovskite",
        substrate="glass" if rng.random() < 0.6 else "silicon",
        thickness_nm=log_between(120, 650),
        dewetting=float(rng.beta(0.8, 1.1)) if there(0.55) else 0.0,
        mechanism="spinodal" if rng.random() < 0.5 else "holes",
        dewetting_um=log_between(11, 60) * um,
        patchiness=float(rng.uniform(0, 0.3)),
        cracks=patterns[rng.integers(3)] if there() else None,
        crack_spacing_um=piece * um,
        crack_width_um=min(log_between(1.4, 7), piece / 9) * um,
        crack_open=float(rng.uniform(0.3, 1.0)),
        particles_per_mm2=1e6 * log_between(0.0005, 0.02) / (np.pi / 4 * (speck * um) ** 2) if there() else 0.0,
        particle_um=speck * um,
        scratches=int(rng.integers(1, 5)) if there(0.4) else 0,
        scratch_um=log_between(1.5, 5) * um,
        unevenness=float(rng.uniform(0.12, 0.6)) if there() else float(rng.uniform(0, 0.05)),
        uneven=changes[rng.integers(4)],
        uneven_um=log_between(50, 300) * um,
        haze=log_between(0.07, 0.35),
        grain=float(rng.uniform(0.03, 0.2)),
        exposure=log_between(0.75, 1.3),
        balance=(float(rng.uniform(0.85, 1.18)), float(rng.uniform(0.85, 1.18))),
        vignetting=float(rng.uniform(0, 0.35)),
        defocus_px=float(rng.uniform(0, 1.3)),
        noise=log_between(0.004, 0.03),
    )
    return replace(scene, **settings)
