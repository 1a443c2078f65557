"""The scorer `films` on drawn films never learnt: `python -m benchmarks.films [--model films]`.

Extents of independent films with their errors and how often the 95 % interval holds the truth; films that dewet; response
surfaces of 8 x 8 conditions.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from morphoscope.models.score import Scorer, load_scorer
from morphoscope.physics.response import fit_surface
from morphoscope.synth.films import CLASSES, FilmPicture, FilmScene
from morphoscope.synth.write_films import dewetting_surface, film_series, film_surface, independent_films

SEED = 7000  # films are learnt from seeds 3000 and 3001, intervals found from 2000
SHAPE = (256, 384)  # px
MICROSCOPES = [(field, objective) for field in ("dark", "bright") for objective in (5.0, 20.0)]
Array = NDArray[np.float64]


def extents(scorer: Scorer, scenes: Sequence[FilmScene]) -> tuple[Array, Array]:
    """True and found extents (n, k) of films, in the order of `CLASSES`."""
    true, found = [], []
    for scene in scenes:
        picture = FilmPicture(scene)
        seen = scorer.scores(picture.image).extents()
        true.append([picture.extents[name] for name in CLASSES])
        found.append([seen[name] for name in CLASSES])
    return np.array(true), np.array(found)


def covered(scorer: Scorer, true: Array, found: Array) -> Array:
    """Which truths (n, k) lie within found extents -+ the half width on the model's card."""
    half = np.array([scorer.card.extent_error[name] for name in CLASSES])
    return np.asarray(np.abs(true - found) <= half + 1e-9)


def independent(scorer: Scorer, count: int) -> None:
    """Errors of each class over films that have nothing to do with each other, by field and objective too."""
    scenes = independent_films(SEED, count, shape=SHAPE).scenes
    true, found = extents(scorer, scenes)
    inside, error = covered(scorer, true, found), found - true
    print(f"\n{count} independent films, seed {SEED}: extents, shares of the area")
    rows = []
    for k, name in enumerate(CLASSES):
        there = true[:, k] > 0
        rows.append(
            {
                "class": name,
                "mean true": true[there, k].mean(),
                "mae": np.abs(error[:, k]).mean(),
                "rms": np.sqrt((error[:, k] ** 2).mean()),
                "bias": error[:, k].mean(),
                "rms where none": np.sqrt((error[~there, k] ** 2).mean()),
                "spearman": spearmanr(true[:, k], found[:, k]).statistic,
                "half95": scorer.card.extent_error[name],
                "covered": inside[:, k].mean(),
            }
        )
    print(pd.DataFrame(rows).round(4).to_string(index=False))
    print(f"covered, all classes: {inside.mean():.3f} (wanted 0.90 to 0.98)")
    for field, objective in MICROSCOPES:
        here = np.array([(s.field, s.objective) == (field, objective) for s in scenes])
        rms = np.sqrt((error[here] ** 2).mean(0))
        print(
            f"  {field} field, {objective:g}x, {here.sum()} films: rms "
            + ", ".join(f"{n} {e:.3f}" for n, e in zip(CLASSES, rms, strict=True))
        )


def series(scorer: Scorer, count: int) -> None:
    """Rank correlation of S_dewetting with the true share, and its error, over films that dewet."""
    print(f"\n{count} films that dewet, 24 pictures each")
    ranks, errors, inside = [], [], []
    for k in range(count):
        field, objective = MICROSCOPES[k % 4]
        mechanism = "spinodal" if k // 4 % 2 else "holes"
        scenes = film_series(SEED + k, 24, field=field, objective=objective, mechanism=mechanism, shape=SHAPE).scenes
        true, found = extents(scorer, scenes)
        at = CLASSES.index("dewetting")
        ranks.append(float(spearmanr(true[:, at], found[:, at]).statistic))
        errors.append(float(np.sqrt(((found - true)[:, at] ** 2).mean())))
        inside.append(covered(scorer, true, found)[:, at].mean())
        print(
            f"  {field:6} {objective:3g}x {mechanism:8} spearman {ranks[-1]:.4f}, rms {errors[-1]:.3f}, covered {inside[-1]:.2f}",
            flush=True,
        )
    reached = np.mean(np.array(ranks) >= 0.99)
    print(
        f"spearman: lowest {min(ranks):.4f}, median {np.median(ranks):.4f}, {reached:.2f} of the films reach the wanted 0.99; "
        f"rms {np.mean(errors):.3f}"
    )
    print(f"covered: {np.mean(inside):.3f}")


def surfaces(scorer: Scorer, count: int) -> None:
    """Errors and intervals of response surfaces of S_dewetting over 8 x 8 conditions."""
    print(f"\n{count} surfaces of 8 x 8 conditions")
    at, card = CLASSES.index("dewetting"), scorer.card
    half, shared = card.extent_error["dewetting"], card.extent_shared.get("dewetting", 0.0)
    errors, inside, alone, shots = [], [], [], []
    for k in range(count):
        field, objective = MICROSCOPES[k % 4]
        films = film_surface(SEED + 100 + k, (8, 8), field=field, objective=objective, shape=SHAPE)
        true, found = extents(scorer, films.scenes)
        points = films.conditions.to_numpy(float)
        one, other = (
            fit_surface(points, found[:, at], np.full(len(points), half), bounds=(0.0, 1.0), shared=width)
            for width in (shared, 0.0)
        )
        fine = np.stack(np.meshgrid(*(np.linspace(p.min(), p.max(), 21) for p in points.T)), -1).reshape(-1, 2)
        told, scatter, law = one.predict(fine), other.predict(fine), dewetting_surface(*fine.T)
        errors.append(float(np.sqrt(((told.mean - law) ** 2).mean())))
        inside.append(float(((told.low <= law) & (law <= told.high)).mean()))
        alone.append(float(((scatter.low <= law) & (law <= scatter.high)).mean()))
        shots.append(covered(scorer, true, found)[:, at].mean())
        raw = float(np.sqrt(((found - true)[:, at] ** 2).mean()))
        print(
            f"  {field:6} {objective:3g}x rms {errors[-1]:.3f} (films: {raw:.3f}), interval covers {inside[-1]:.2f}", flush=True
        )
    print(f"rms: mean {np.mean(errors):.3f}, median {np.median(errors):.3f}, worst {max(errors):.3f} (wanted 0.05)")
    print(f"interval from scatter alone covers {np.mean(alone):.3f} of the surfaces")
    print(f"covered: {np.mean(inside):.3f} of the surfaces, {np.mean(shots):.3f} of single films (wanted 0.90 to 0.98)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="films")
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--series", type=int, default=16)
    parser.add_argument("--surfaces", type=int, default=16)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    shipped = load_scorer(given.model, threads=given.threads)
    independent(shipped, given.films)
    series(shipped, given.series)
    surfaces(shipped, given.surfaces)
