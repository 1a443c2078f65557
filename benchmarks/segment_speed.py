"""A large picture with many particles, segmented and measured: `python -m benchmarks.segment_speed [--model M]`.

Prints the seconds that segmentation and shapes take for 20 000 ellipses in 4096 x 4096 px on two cores, how well they were found
at IoU 0.5, and the peak of memory; the same without a model, by Otsu and a watershed; and by scikit-image's, with its
`regionprops_table` for the shapes.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import regionprops_table

from benchmarks.classical import Settings, otsu_watershed
from benchmarks.shapes import PROPERTIES, many_ellipses
from morphoscope.measure.mask_scores import count_matches, f1_of
from morphoscope.measure.shape import shapes
from morphoscope.measure.threshold import threshold_labels
from morphoscope.models.segment import load_segmenter

THREADS = 2
Labels = NDArray[np.int32]


def picture(labels: Labels, *, seed: int = 0) -> NDArray[np.uint8]:
    """Bright particles of uneven brightness on a noisy ground that is brighter to the right."""
    rng = np.random.default_rng(seed)
    bright = np.concatenate([[0], rng.uniform(60, 110, int(labels.max()))]).astype(np.float32)
    grey = 60 + 30 * np.arange(labels.shape[1], dtype=np.float32) / labels.shape[1] + bright[labels]
    return np.asarray(np.clip(grey + rng.normal(0, 10, labels.shape), 0, 255), np.uint8)


def timed(name: str, segment: Callable[[], Labels], measure: Callable[[Labels], Any], true: Labels) -> None:
    """Segment and measure once, and say how long it took."""
    start = time.perf_counter()
    found = segment()
    middle = time.perf_counter()
    measure(found)
    end = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    score = float(f1_of(count_matches(found, true)))
    print(f"{name}: segmented in {middle - start:.1f} s, measured in {end - middle:.1f} s, together {end - start:.1f} s")
    print(f"  {int(found.max())} particles, F1 {score:.3f}; peak memory so far {memory:.1f} GB", flush=True)


def main() -> None:
    """The network, the threshold, scikit-image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="particles")
    given = parser.parse_args()
    true = many_ellipses()
    image = picture(true)
    print(f"{image.shape[1]} x {image.shape[0]} px, {int(true.max())} particles, {THREADS} threads", flush=True)
    timed("Otsu and watershed", lambda: threshold_labels(image), shapes, true)
    segmenter = load_segmenter(given.model, threads=THREADS)
    timed(given.model, lambda: segmenter.segment([image])[0], shapes, true)
    print(f"  magnified {segmenter.zoom_of(image):g} times")
    settings = Settings(sigma=1.0, bright=True, distance=4, smooth=1.0, smallest=20)
    theirs = lambda labels: regionprops_table(labels, properties=PROPERTIES)  # noqa: E731
    timed("scikit-image", lambda: otsu_watershed(image, settings), theirs, true)


if __name__ == "__main__":
    main()
