"""How wide outlines are: `python -m benchmarks.outlines` prints the bias of the median diameter of drawn discs.

Discs of one size, apart from each other, bright or dark, two blurs and noises; by the model `particles` as it learnt outlines
from people, by the same moved to half level, and by Otsu and a watershed.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.measure.threshold import threshold_labels
from morphoscope.models.segment import load_segmenter

SIDE, APART, COUNT = 700, 6, 40
DIAMETERS = (10, 16, 28, 50, 90)
LOOKS = tuple(itertools.product((60, -50), ((0.8, 8), (2.0, 15))))  # step in grey levels; blur in px, noise in grey levels


def discs(diameter: float, step: float, blur: float, noise: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture of up to `COUNT` whole discs; pixels on their edge are covered in part."""
    radius, centres = diameter / 2, list[NDArray[np.float64]]()
    for _ in range(5000):
        at = rng.uniform(radius + 3, SIDE - radius - 3, 2)
        if len(centres) < COUNT and all(np.hypot(*(at - other)) > diameter + APART for other in centres):
            centres.append(at)
    y, x = np.mgrid[:SIDE, :SIDE]
    covered = np.zeros((SIDE, SIDE))
    for cx, cy in centres:
        covered = np.maximum(covered, np.clip(radius + 0.5 - np.hypot(x - cx, y - cy), 0, 1))
    grey = cv2.GaussianBlur(128 + step * covered, (0, 0), blur)
    return np.asarray(np.clip(grey + rng.normal(0, noise, grey.shape), 0, 255), np.uint8)


def median_diameter(labels: NDArray[np.int32]) -> float:
    """Median area-equivalent diameter in px; nan where there is none."""
    area = np.bincount(labels.ravel())[1:]
    return float(np.median(np.sqrt(4 * area[area > 0] / np.pi))) if area.any() else float("nan")


def main() -> None:
    """A row per diameter and look."""
    rng, segmenter = np.random.default_rng(0), load_segmenter("particles")
    print("bias of the median diameter in %: as learnt, at half level, Otsu")
    worst = np.zeros(3)
    for diameter, (step, (blur, noise)) in itertools.product(DIAMETERS, LOOKS):
        image = discs(diameter, step, blur, noise, rng)
        zoomed = segmenter.at(segmenter.zoom_of(image))
        found = [zoomed.at(outline=how).segment([image])[0] for how in ("learnt", "half level")]
        found.append(threshold_labels(image, "otsu"))
        bias = [100 * (median_diameter(labels) / diameter - 1) for labels in found]
        worst = np.fmax(worst, np.abs(bias))
        print(
            f"{diameter:4d} px, step {step:4d}, blur {blur:3.1f}, noise {noise:2d}: " + ", ".join(f"{b:5.1f}" for b in bias),
            flush=True,
        )
    print("largest: " + ", ".join(f"{w:.1f}" for w in worst))


if __name__ == "__main__":
    main()
