"""How true the displacement is over long videos: `python -m benchmarks.registration [--quick]` (some minutes).

Prints, for drawn videos and drawn detections with truth and for the real video: the error of the sum of shifts from frame
to frame, of the displacement with key frames, and of what one would take else (scikit-image's phase correlation, trackpy's
`compute_drift`), in the same run, with the speed of each (time of one thread).
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.registration import phase_cross_correlation

from benchmarks.data import data_folder
from benchmarks.moving_points import Points, draw, known_pairs
from morphoscope.io.open import open_frames
from morphoscope.pipeline.register import Registration, displaced
from morphoscope.synth.loops import LoopVideo
from morphoscope.track.displacement import JUMP_PX
from morphoscope.track.drift import Registrar
from morphoscope.track.drift_from_objects import drift_from_objects

Path = NDArray[np.float64]
PLACE = ["shift_x_px", "shift_y_px"]
VIDEO = {"shape": (400, 560), "n_frames": 600, "jumps": 3, "jump_px": 40.0}
VIDEOS: dict[str, dict[str, Any]] = {
    "plain": {},
    "with text": {"text": True},
    "texture changes by 0.8, more noise": {"text": True, "texture_change": 0.8, "noise": 12.0, "growth": 0.6},
    "fast drift": {"text": True, "drift_px": 0.5},
    "dense, growing loops": {"text": True, "loops": 250.0},
}
SKIMAGE: dict[str, dict[str, Any]] = {
    "steps summed": {},
    "not normalised, steps summed": {"normal": None},
    "not normalised, against the first": {"normal": None, "to_first": True},
}


def rms(error: Path) -> float:
    """Root mean square length."""
    return float(np.sqrt((error**2).sum(axis=1).mean()))


def jumps(path: Path) -> set[int]:
    """Rows to which a step longer than a jump leads."""
    return set((np.flatnonzero(np.hypot(*np.diff(path, axis=0).T) > JUMP_PX) + 1).tolist())


def told(name: str, path: Path, truth: Path, ms: float) -> dict[str, Any]:
    """A row of the result."""
    found, true, error = jumps(path), jumps(truth), path - truth
    return {
        "method": name,
        "rms px": round(rms(error), 3),
        "at the end px": round(float(np.hypot(*error[-1])), 3),
        "worst px": round(float(np.hypot(*error.T).max()), 2),
        "jumps found": f"{len(found & true)}/{len(true)}",
        "false": len(found - true),
        "ms a frame": round(ms, 2),
    }


def registered(frames: Iterable[NDArray[Any]], shape: tuple[int, int], n: int) -> tuple[Path, Path, float]:
    """The sum of steps, the displacement with keys, and ms per frame of all that was measured for the latter."""
    registration, rows, seconds = Registration(shape, range(n)), [], 0.0
    for i, frame in enumerate(frames):
        start = time.thread_time()
        rows.append(registration.add(i, frame)())
        seconds += time.thread_time() - start
    table = pd.DataFrame(rows).assign(frame=range(n), file="")
    return np.cumsum(table[["dx", "dy"]].to_numpy(), axis=0), displaced(table)[PLACE].to_numpy(), 1e3 * seconds / n


def phase_correlated(frames: list[NDArray[Any]], *, to_first: bool = False, normal: str | None = "phase") -> tuple[Path, float]:
    """What scikit-image gives, steps summed or each frame against the first, and ms per frame."""
    before, steps, start = frames[0], [], time.thread_time()
    for frame in frames:
        shift, _, _ = phase_cross_correlation(before, frame, upsample_factor=20, normalization=normal)
        steps.append(-np.asarray(shift)[::-1])
        if not to_first:
            before = frame
    path = np.array(steps)
    return path if to_first else np.cumsum(path, axis=0), 1e3 * (time.thread_time() - start) / len(steps)


def videos(seeds: int, n_frames: int) -> None:
    """Drawn videos with truth."""
    for name, settings in VIDEOS.items():
        tables = []
        for seed in range(seeds):
            video = LoopVideo(**{**VIDEO, "n_frames": n_frames, "seed": seed, **settings})
            frames = [video[i] for i in range(len(video))]
            truth = video.shifts[PLACE].to_numpy()
            truth = truth - truth[0]
            summed, keyed, ms = registered(frames, video.shape, len(frames))
            rows = [told("steps summed", summed, truth, steps_ms(frames)), told("with key frames", keyed, truth, ms)]
            for method, options in SKIMAGE.items():
                path, ms = phase_correlated(frames, **options)
                rows.append(told(f"scikit-image, {method}", path, truth, ms))
            tables.append(pd.DataFrame(rows).assign(video=seed))
        show(f"drawn video, {name}: {n_frames} frames of 560 x 400 px, drift, 3 jumps of about 40 px", pd.concat(tables))


def steps_ms(frames: list[NDArray[Any]]) -> float:
    """ms per frame for steps from frame to frame alone."""
    registrar = Registrar(frames[0].shape[:2])
    start = time.thread_time()
    view = registrar.view(frames[0])
    for frame in frames[1:]:
        before, view = view, registrar.view(frame)
        registrar.between(before, view)
    return 1e3 * (time.thread_time() - start) / len(frames)


def detections(seeds: int) -> None:
    """Drawn detections with truth."""
    for points in POINTS:
        tables = []
        for seed in range(seeds):
            objects, truth = draw(points, seed)
            start = time.thread_time()
            found = drift_from_objects(objects)
            ms = 1e3 * (time.thread_time() - start) / len(truth)
            rows = [told("from objects", found[PLACE].to_numpy(), truth, ms)]
            rows += [
                told(f"identities known, {name}", known_pairs(objects, len(truth), keys=keys), truth, np.nan)
                for name, keys in (("steps summed", False), ("with key frames", True))
            ]
            if points.n <= 1000:
                start = time.thread_time()
                path = by_trackpy(objects, len(truth), points)
                rows.append(told("trackpy link, compute_drift", path, truth, 1e3 * (time.thread_time() - start) / len(truth)))
            tables.append(pd.DataFrame(rows).assign(video=seed))
        show(f"detections: {points}", pd.concat(tables))


def by_trackpy(objects: pd.DataFrame, n: int, points: Points) -> Path:
    """trackpy's drift with a search range of four steps and noises, memory 3."""
    import trackpy

    trackpy.quiet()
    reach = 4 * float(np.hypot(points.own, points.noise)) + points.drift
    table = objects.rename(columns={"x_px": "x", "y_px": "y"})[["frame", "x", "y"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            drift = trackpy.compute_drift(trackpy.link(table, min(reach, 0.4 * points.spacing), memory=3))
        except trackpy.SubnetOversizeException:
            return np.full((n, 2), np.nan)
    return np.concatenate([np.zeros((1, 2)), drift[["x", "y"]].reindex(range(1, n)).ffill().to_numpy()])


POINTS = (
    Points(),
    Points(own=0.03),
    Points(own=3.0),
    Points(own=10.0),
    Points(own=0.0, drift=0.0, jumps=0),
    Points(life=30),
    Points(jump=300.0),
    Points(n=10),
    Points(n=10_000, frames=40),
    Points(n=100_000, frames=10, jumps=1, noise=0.2),
)


def real() -> None:
    """The real video: no truth, but links that took no part tell how consistent the displacement is."""
    path = data_folder("loops-stem") / "video.mp4"
    for first, stop in ((461, 806), (806, 1176)):
        with open_frames(path) as video:
            frames = [frame.copy() for _, block in video.blocks(first, stop, 16) for frame in block]
        summed, keyed, ms = registered(frames, frames[0].shape[:2], len(frames))
        _, other = phase_correlated(frames[:40])
        print(f"\n== loops-stem, frames {first} to {stop - 1}: {len(frames)} frames of 1120 x 710 px ==")
        print(f"with keys {ms:.1f} ms a frame, steps alone {steps_ms(frames):.1f}, scikit-image's steps {other:.1f}")
        unused = list(_unused(frames))
        for name, place in (("steps summed", summed), ("with key frames", keyed)):
            left = np.array([shift - (place[i] - place[j]) for j, i, shift in unused])
            print(
                f"{name:16} spread x, y {place[:, 0].std():.2f}, {place[:, 1].std():.2f} px, range {np.ptp(place[:, 0]):.2f}, "
                f"{np.ptp(place[:, 1]):.2f}, at the end {place[-1, 0]:.2f}, {place[-1, 1]:.2f}; jumps {sorted(jumps(place))}; "
                f"off {len(left)} direct shifts that took no part by {rms(left):.3f} px rms"
            )


def _unused(frames: list[NDArray[Any]]) -> Iterator[tuple[int, int, Path]]:
    """Direct shifts between far frames that are no key frames."""
    registrar = Registrar(frames[0].shape[:2])
    views = [registrar.view(frame) for frame in frames]
    for i in range(20, len(frames), 23):
        for j in range(3, i - 1, 41):
            shift = registrar.between(views[j], views[i])
            if j % 32 and shift.quality > 0.5:
                yield j, i, np.array([shift.dx, shift.dy])


def show(title: str, table: pd.DataFrame) -> None:
    """Print a table."""
    print(f"\n== {title} ==")
    print(table.set_index("video").to_string(), flush=True)


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, 200 frames")
    quick = parser.parse_args().quick
    cv2.setNumThreads(1)
    real()
    detections(1 if quick else 3)
    videos(1 if quick else 2, 200 if quick else 600)


if __name__ == "__main__":
    main()
