"""Gold particles in the microscope, masks left out one by one: `python -m benchmarks.gold [--from MODEL.onnx] [--video]`.

Prints the IoU of each of the five masks of gold-tem with what was tuned or trained on the four others: Otsu's threshold after a
blur, one grey level for all frames after a median filter or a blur (`--model level` with `segment.level`, `median_px` and
`blur_px`), and a network that goes on from a model of particles (`train segment --from`), on frames with a median of 3x3 px, a
minute or two of one core each. Models are kept in `benchmarks/out/gold` and not trained again. `--video` then outlines the
particles in all 194 frames by the grey level and filter that suit all five masks best, follows them by
`examples/particles-video.toml` and looks for coalescence (`benchmarks.gold_video`). The data have no licence: none of these
models may be shipped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from benchmarks.data import OUT, data_folder
from benchmarks.gold_video import video
from morphoscope.io.label_images import Pair
from morphoscope.measure.mask_scores import count_pixels, iou_of
from morphoscope.measure.threshold import ThresholdSettings, threshold_labels
from morphoscope.models.card import resolve_model
from morphoscope.models.class_maps import shown
from morphoscope.models.segment import load_segmenter
from morphoscope.recipe import parse_recipe
from morphoscope.train.class_maps import as_example
from morphoscope.train.lessons import class_lesson
from morphoscope.train.segment import SegmenterTraining, fine_tuning, fold_model

FOLDER = OUT / "gold"
BLURS, SHIFTS = (0.0, 0.5, 0.7, 1.0, 1.5), np.arange(-2.0, 1.01, 0.1)
MEDIANS, LEVELS = (0, 3, 5), np.arange(15, 25, 0.5)
ONE_FILTER = tuple((0, blur) for blur in BLURS) + tuple((width, 0.0) for width in MEDIANS[1:])  # median_px, blur_px
TWO_FILTERS = tuple((width, blur) for width in MEDIANS for blur in BLURS)
CHANCES = np.arange(0.1, 0.91, 0.05)
STEPS, RATE = 120, 2e-3


def read() -> tuple[NDArray[np.uint8], dict[int, NDArray[np.bool_]]]:
    """All frames (194, 369, 369) and the masks by frame number."""
    root = data_folder("gold-tem")
    names = (root / "frames.txt").read_text(encoding="utf-8").split()
    masks = {names.index(p.stem): cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) > 127 for p in (root / "mask").glob("*.png")}
    return tifffile.imread(root / "frames.tif"), dict(sorted(masks.items()))


def iou(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks."""
    return float(iou_of(count_pixels(found.astype(int), true.astype(int), 1))[0])


def median(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frame with the median of 3x3 px in each pixel."""
    return np.asarray(cv2.medianBlur(frame, 3))


def chosen(table: NDArray[np.float64]) -> NDArray[np.int64]:
    """The setting (masks,) that is best on average over the other masks, from IoU (masks, settings)."""
    return np.array([np.delete(table, k, axis=0).mean(axis=0).argmax() for k in range(len(table))])


def otsu(frame: NDArray[np.uint8], true: NDArray[np.bool_]) -> list[float]:
    """IoU at each setting: blur (px) and a shift of Otsu's threshold (grey levels)."""
    smooth = [ndimage.gaussian_filter(frame.astype(float), blur) for blur in BLURS]
    return [iou(x < threshold_otsu(x) + shift, true) for x in smooth for shift in SHIFTS]


def level(median_px: int, blur_px: float, grey: float) -> ThresholdSettings:
    """All that is dark in a frame, as `segment --model level` outlines it."""
    return ThresholdSettings("dark", median_px, blur_px, level=grey, separate_px=0, smallest_px=1, holes_px=0)


def levels(frame: NDArray[np.uint8], true: NDArray[np.bool_], filters: Sequence[tuple[int, float]] = ONE_FILTER) -> list[float]:
    """IoU at each filter and grey level."""
    return [iou(threshold_labels(frame, "level", level(*one, grey)) > 0, true) for one in filters for grey in LEVELS]


def training(frames: NDArray[np.uint8], masks: dict[int, NDArray[np.bool_]], start: Path, steps: int) -> SegmenterTraining:
    """The training of a network on frames with the median and their masks; a fold is a mask."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    pairs = []
    for frame, mask in masks.items():
        cv2.imwrite(str(FOLDER / f"{frame}.png"), median(frames[frame]))
        pairs.append(Pair(str(frame), FOLDER / f"{frame}.png", mask.astype(np.int32)))
    settings = {"steps": steps, "rate": RATE, "bands": len(masks), "folds": len(masks)}
    recipe = fine_tuning(parse_recipe({"train": settings, "run": {"threads": 1}}))
    data = [as_example(pair) for pair in pairs]
    return SegmenterTraining(data, recipe, "gold", "gold-tem", start=start, lesson=class_lesson(("particle",)))


def network(job: SegmenterTraining, frames: NDArray[np.uint8], masks: dict[int, NDArray[np.bool_]]) -> list[float]:
    """IoU of each mask with the network that has not learnt it, at a probability chosen on the four that it has learnt."""
    found = []
    for k, (frame, mask) in enumerate(masks.items()):
        path = FOLDER / f"without-{frame}.onnx"
        if not path.exists():
            print(f"training without the mask of frame {frame}", flush=True)
            fold_model(job, int(job.folds[k]), path)
        segmenter = load_segmenter(path, threads=1)
        chance = {j: shown(segmenter.maps(median(frames[j])), mask.shape)[0] for j in masks}
        found.append(iou(chance[frame] > midway([best(chance[j], masks[j]) for j in masks if j != frame]), mask))
    return found


def best(chance: NDArray[np.float32], true: NDArray[np.bool_]) -> float:
    """The probability that suits a mask best."""
    return float(CHANCES[np.argmax([iou(chance > at, true) for at in CHANCES])])


def midway(chances: list[float]) -> float:
    """The middle of the range of some probabilities, as logits: some masks are drawn tighter, some wider."""
    logits = np.log(chances) - np.log1p(-np.array(chances))
    return float(1 / (1 + np.exp(-(logits.min() + logits.max()) / 2)))


def main() -> None:
    """The masks left out, then the video where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="start", default="particles", help="the model to go on from")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of each training")
    parser.add_argument("--video", action="store_true", help="also segment and follow the whole sequence")
    parser.add_argument("--without-network", action="store_true", help="print the thresholds alone")
    given = parser.parse_args()
    frames, masks = read()
    _say("frame", list(masks))
    _left_out("Otsu, blurred, shifted", [otsu(frames[k], mask) for k, mask in masks.items()])
    for name, filters in (("level, one filter", ONE_FILTER), ("level, two filters", TWO_FILTERS)):
        best = _left_out(name, [levels(frames[k], mask, filters) for k, mask in masks.items()])
        print("  median px, blur px, level:", *(f"{(*filters[k // len(LEVELS)], float(LEVELS[k % len(LEVELS)]))}" for k in best))
    if not given.without_network:
        job = training(frames, masks, resolve_model(given.start), given.steps)
        _say("network", network(job, frames, masks))
    if given.video:
        each = np.array([levels(frames[k], mask) for k, mask in masks.items()])
        one, grey = divmod(int(each.mean(axis=0).argmax()), len(LEVELS))
        video(level(*ONE_FILTER[one], float(LEVELS[grey])))


def _left_out(name: str, scores: list[list[float]]) -> list[int]:
    """Print the IoU of each mask at the setting chosen on the others, and give these settings."""
    table = np.array(scores)
    best = chosen(table)
    _say(name, table[np.arange(len(table)), best])
    return [int(k) for k in best]


def _say(name: str, values: object) -> None:
    row = np.asarray(values, float)
    text = "  ".join(f"{v:6.0f}" if name == "frame" else f"{v:6.3f}" for v in row)
    print(f"{name:24}{text}" + ("    mean" if name == "frame" else f"  {row.mean():6.4f}"), flush=True)


if __name__ == "__main__":
    main()
