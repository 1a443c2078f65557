"""Seconds and memory of linking, beside trackpy in the same run: `python -m benchmarks.link_speed` (part of `make bench`).

Sparse and dense features (Brownian steps of 5 and 12 % of the mean spacing) of 1000 to 100 000 particles a frame; a crowd, which
moves a fifth of the spacing; the time against the number of frames; memory over 10 000 frames that come one by one.
"""

from __future__ import annotations

import resource
import time
import tracemalloc
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import trackpy

from morphoscope.track.link import Linker, link

FRAMES = 8
REACH = 3.5  # range given to trackpy and to plain linking, in steps per axis: a step is longer in 1 of 450 cases


def particles(count: int, frames: int, step: float, *, seed: int = 0) -> pd.DataFrame:
    """Brownian particles, one per unit of area: `frame`, `x`, `y`, `identity`."""
    rng = np.random.default_rng(seed)
    place, tables = rng.uniform(0, np.sqrt(count), (count, 2)), []
    for frame in range(frames):
        place = place + rng.normal(0, step, place.shape)
        tables.append(pd.DataFrame({"frame": frame, "x": place[:, 0], "y": place[:, 1], "identity": np.arange(count)}))
    return pd.concat(tables, ignore_index=True)


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """Seconds, and the result or the name of the error."""
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = work()
    except trackpy.SubnetOversizeException as error:
        result = type(error).__name__
    return time.perf_counter() - start, result


def against_trackpy() -> None:
    """Seconds per frame of both linkers and of trackpy with numba, and the steps each has right."""
    trackpy.quiet()
    trackpy.link(particles(100, 3, 0.05), 0.2, memory=3, link_strategy="numba")  # compiled before it is timed
    print(f"\n== seconds per frame, {FRAMES} frames, memory 3; in brackets: part of the particles never confused ==")
    for name, step in (("sparse", 0.05), ("dense", 0.12), ("crowd", 0.2)):
        for count in (1_000, 10_000, 100_000):
            table = particles(count, FRAMES, step)
            own, tracks = timed(lambda table=table: link(table, memory=3))
            plain, by_distance = timed(
                lambda table=table, step=step: link(table, max_distance_px=REACH * step, memory=3, cost="distance")
            )
            theirs, linked = timed(
                lambda table=table, step=step: trackpy.link(table, REACH * step, memory=3, link_strategy="numba")["particle"]
            )
            said = f"{theirs / FRAMES:.4f} ({_right(table, linked)})" if not isinstance(linked, str) else linked
            ratio = f"ratio {theirs / own:.1f}, plain {theirs / plain:.1f}" if not isinstance(linked, str) else "no ratio"
            print(
                f"{name:7s}{count:8d}  likelihood {own / FRAMES:.4f} ({_right(table, tracks)})  plain {plain / FRAMES:.4f} "
                f"({_right(table, by_distance)})  trackpy {said}  {ratio}",
                flush=True,
            )


def _right(table: pd.DataFrame, tracks: object) -> str:
    kept = pd.Series(tracks).reindex(table.index).groupby(table["identity"]).nunique() == 1
    return f"{kept.mean():.3f}"


def against_frames() -> None:
    """Seconds for more and more frames of 1000 particles."""
    print("\n== seconds against the number of frames, 1000 particles ==")
    for frames in (100, 400, 1600):
        table = particles(1000, frames, 0.05)
        seconds, _ = timed(lambda table=table: link(table, memory=15))
        print(f"{frames:6d} frames: {seconds:.2f} s, {1000 * seconds / frames:.2f} ms per frame", flush=True)


def memory() -> None:
    """Memory of a linker that is given 10 000 frames one by one; 300 objects with births, deaths, misses and false ones."""
    rng = np.random.default_rng(0)
    place = rng.uniform(0, 800, (300, 2))
    linker = Linker(memory=15)
    print("\n== memory over 10 000 frames, one by one ==")
    tracemalloc.start()
    for frame in range(10_000):
        dead = rng.random(300) < 0.005
        place = np.where(dead[:, None], rng.uniform(0, 800, place.shape), place + rng.normal(0, 0.3, place.shape))
        xy = np.vstack([place[rng.random(300) > 0.1], rng.uniform(0, 800, (9, 2))])
        linker.step(pd.DataFrame({"frame": frame, "x_reg_px": xy[:, 0], "y_reg_px": xy[:, 1]}))
        if frame + 1 in (100, 1000, 10_000):
            held = tracemalloc.get_traced_memory()[0] / 1e6
            print(f"after {frame + 1:6d} frames: {linker.alive} tracks alive, {held:.2f} MB held by Python and NumPy", flush=True)
    tracemalloc.stop()
    print(f"largest resident memory of this whole benchmark: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


def main() -> None:
    """All of it."""
    memory()
    against_frames()
    against_trackpy()


if __name__ == "__main__":
    main()
