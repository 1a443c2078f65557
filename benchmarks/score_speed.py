"""How fast images are scored: `python -m benchmarks.score_speed [--images N]`.

The darkfield network of 50 px (fresh weights) on colour images of 4000 x 3000 px, two threads: decoding, scoring at stride 50, a
dense pass at stride 4 against batches of patches through the same runtime, and the memory of a process that scores N such images
one after the other. Beside wall clock the CPU time of the process is printed, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.io.colour import read_colour
from morphoscope.models import score
from morphoscope.models.card import ModelCard
from morphoscope.models.score import Scorer, load_scorer
from morphoscope.train.export import export_scorer
from morphoscope.train.patch_networks import build_network

WIDTH, HEIGHT, THREADS = 4000, 3000, 2
PART = (600, 800)  # of the image, for the comparison at stride 4
CLASSES = ("crack", "dewet", "particle", "scratch", "non-uniform")


def picture(seed: int) -> NDArray[np.uint8]:
    """A colour image with structure on all scales."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (HEIGHT // 50, WIDTH // 50, 3)).astype(np.uint8)
    noise = rng.integers(0, 40, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    return cv2.add(cv2.resize(small, (WIDTH, HEIGHT)), noise)


def timed(name: str, work: Callable[[], Any], *, times: int = 5) -> float:
    """The shortest wall time of some runs, s; printed with the shortest CPU time."""
    wall, cpu = [], []
    for _ in range(times):
        start, used = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    print(f"{name}: {min(wall):.2f} s, {min(cpu):.2f} s of CPU (best of {times})", flush=True)
    return min(wall)


def resident() -> float:
    """Memory of this process now, MB."""
    status = Path("/proc/self/status")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS")) if status.exists() else "0 0"
    return int(line.split()[1]) / 1e3


def at_stride_4(scorer: Scorer) -> None:
    """A dense pass, and patches in batches, over a part of the image."""
    part, kept = picture(1)[: PART[0], : PART[1]], score.DENSE_COST
    found = {}
    for name, cost, times in (("dense pass", 0.0, 5), ("batches of patches", np.inf, 1)):
        score.DENSE_COST = cost
        seconds = timed(f"{PART[1]} x {PART[0]} px at stride 4, {name}", lambda: scorer.scores(part, stride_px=4), times=times)
        found[name] = (seconds, scorer.scores(part, stride_px=4).values)
    score.DENSE_COST = kept
    (fast, dense), (slow, single) = found.values()
    print(f"  {slow / fast:.1f} times faster; greatest difference {np.abs(dense - single).max():.1e}", flush=True)


def main() -> None:
    """Time and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50)
    count = parser.parse_args().images
    card = ModelCard(
        name="speed", task="score", classes=CLASSES, preprocess="unit-1", postprocess="scores-1", answer="multi-label"
    )
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "speed.onnx"
        export_scorer(build_network("deepthin", outputs=len(CLASSES)), card, model)
        scorer = load_scorer(model, threads=THREADS)
        files = [Path(folder) / f"{k}.jpg" for k in range(3)]
        for k, file in enumerate(files):
            cv2.imwrite(str(file), picture(k))
        image = picture(0)
        print(f"{WIDTH} x {HEIGHT} px, colour, {THREADS} threads", flush=True)
        timed("decoding a JPEG", lambda: read_colour(files[0]))
        timed("scoring at stride 50", lambda: scorer.scores(image))
        at_stride_4(scorer)
        for k in range(count):
            scorer.scores(read_colour(files[k % len(files)]))
            if k + 1 in (5, 10, 25, count):
                print(f"memory after {k + 1} images: {resident():.0f} MB", flush=True)


if __name__ == "__main__":
    main()
