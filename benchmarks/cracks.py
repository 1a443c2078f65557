"""Cracks in roads on images never learnt (crackforest): `python -m benchmarks.cracks [--only WAY ...]`.

Prints precision, recall and F1 within 0, 2 and 5 px (means over the 72 images; five folds of whole images) of

- `local`: a local threshold, `canny`: edges by Canny, filled; the settings of each fold chosen on all other images;
- `deepthin`: the 34 306-parameter network of DeepThin, pixel by pixel from patches of 27 px (`train score`, `segment --model`);
- `crackcnn`: the network of Fan et al. in the same way, for one pixel in place of 5 x 5;
- `ours`: the network of `train segment --from particles`. What lies deep in labels that fill fields of cracks
  is not learnt (it is judged all the same).

and `sound`: the same, means over the images whose label is not at fault. Labels are filled where they are deeper than
`DEEPEST_PX`, and the label of picture 042 is that of 065.

The threshold of each fold is chosen on the other folds. Models are kept in `benchmarks/out/cracks` and not trained again.
Published for the 34 306 parameters: precision 0.9652, recall 0.8915, F1 0.9269, the tolerance not stated, on another split.
The data are for research only: none of these models may be shipped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.data import OUT, data_folder
from benchmarks.patch_cracks import patch_chances
from morphoscope.io.label_images import Pair, read_classes
from morphoscope.measure.tolerance import TOLERANCES_PX, distance, f1, within
from morphoscope.models.card import resolve_model
from morphoscope.models.class_maps import shown
from morphoscope.models.segment import load_segmenter
from morphoscope.recipe import parse_recipe
from morphoscope.train.class_maps import as_example
from morphoscope.train.label_images import LabelledImage, fold_of
from morphoscope.train.lessons import class_lesson
from morphoscope.train.segment import SegmenterTraining, fold_model

FOLDER, FOLDS, CHOSEN_AT = OUT / "cracks", 5, TOLERANCES_PX.index(2.0)
DEEPEST_PX = 8
SWAPPED = "042"  # its label shows the crack of picture 065
CHANCES = np.round(np.arange(0.05, 0.951, 0.05), 2)
TRAIN = {"steps": 500, "batch": 5, "crop_px": 320, "rate": 2e-3, "bands": FOLDS, "folds": FOLDS, "zoom": 1.0}
LOCAL = tuple(product((1.0, 2.0), (15, 31, 61), (0.5, 0.8, 1.2, 1.6), (30, 100, 300)))  # blur, window, spreads below, least px
CANNY = tuple(product((1.0, 2.0, 3.0), (0.8, 0.9, 0.95), (3, 5), (50, 150, 400)))  # blur, quantile, closing px, least px
Scores = NDArray[np.float64]  # (settings, tolerances, 2): precision and recall of one image
Grey = NDArray[np.uint8]


def scores(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Precision and recall at each tolerance."""
    return [within(found, true, px) for px in TOLERANCES_PX]


def local(grey: Grey, setting: tuple[float, int, float, int]) -> NDArray[np.bool_]:
    """Pixels darker than the mean of their surroundings by so many standard deviations of these; small parts left out."""
    blur, window, spreads, least = setting
    smooth = cv2.GaussianBlur(grey, (0, 0), blur).astype(np.float32)
    mean = cv2.blur(smooth, (window, window))
    spread = np.sqrt(np.maximum(cv2.blur(smooth * smooth, (window, window)) - mean * mean, 0))
    return without_small(smooth < mean - spreads * spread, least)


def canny(grey: Grey, setting: tuple[float, float, int, int]) -> NDArray[np.bool_]:
    """Both edges of a crack by Canny (upper threshold: a quantile of the gradient) and what is between; small parts left out."""
    blur, quantile, closing, least = setting
    smooth = cv2.GaussianBlur(grey, (0, 0), blur)
    dx, dy = (cv2.Sobel(smooth, cv2.CV_16S, *way) for way in ((1, 0), (0, 1)))
    high = float(np.quantile(np.abs(dx.astype(float)) + np.abs(dy), quantile))
    edges = cv2.Canny(dx, dy, 0.5 * high, high)
    return without_small(cv2.morphologyEx(edges, cv2.MORPH_CLOSE, np.ones((closing, closing), np.uint8)) > 0, least)


def without_small(mask: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """A mask without connected parts of fewer px."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    kept = stats[:, cv2.CC_STAT_AREA] >= least
    kept[0] = False
    return np.asarray(kept[labels])


def classical(pairs: list[Pair], way: Callable[..., NDArray[np.bool_]], grid: tuple[tuple[float, ...], ...]) -> Scores:
    """(images, settings, tolerances, 2), kept on disk."""
    kept = FOLDER / f"{way.__name__}.npy"
    if not kept.exists():
        each = [[scores(way(one.image(), setting), one.labels > 0) for setting in grid] for one in pairs]
        FOLDER.mkdir(parents=True, exist_ok=True)
        np.save(kept, np.array(each))
    return np.asarray(np.load(kept))


def ours(pairs: list[Pair], fold: int) -> list[NDArray[np.float32]]:
    """The probability (h, w) of a crack in each image of a fold, by the network that has not learnt them."""
    data = [without_filled(as_example(one)) for one in pairs]
    recipe = parse_recipe({"train": TRAIN, "run": {"threads": 1}})
    job = SegmenterTraining(
        data, recipe, "cracks", "crackforest", start=resolve_model("particles"), lesson=class_lesson(("crack",))
    )
    path = FOLDER / f"ours-{fold}.onnx"
    if not path.exists():
        print(f"training ours without fold {fold}", flush=True)
        fold_model(
            job, fold, path, progress=lambda step, loss: print(f"{step} {loss:.3f}", flush=True) if step % 100 == 0 else None
        )
    segmenter = load_segmenter(path, threads=1)
    held = [one for one, k in zip(pairs, job.folds, strict=True) if k == fold]
    return [shown(segmenter.maps(one.image()), (one.labels.shape[0], one.labels.shape[1]))[0] for one in held]


def without_filled(one: LabelledImage) -> LabelledImage:
    """An example of which nothing is learnt where its label is filled: deeper than `DEEPEST_PX`, which no crack is."""
    inside = distance(one.labels == 0)
    core = cv2.dilate((inside > DEEPEST_PX).astype(np.uint8), np.ones((2 * DEEPEST_PX + 1,) * 2, np.uint8)) > 0
    return replace(one, labels=np.where(core & (one.labels > 0), -1, one.labels).astype(np.int32))


def networks(pairs: list[Pair], chances: Callable[[list[Pair], int], list[NDArray[np.float32]]], folds: list[int]) -> Scores:
    """(images, thresholds, tolerances, 2) of the images of these folds, nan of others."""
    table = np.full((len(pairs), len(CHANCES), len(TOLERANCES_PX), 2), np.nan)
    fold = fold_of(len(pairs), FOLDS)
    for k in folds:
        for number, chance in zip(np.flatnonzero(fold == k), chances(pairs, k), strict=True):
            table[number] = [scores(chance > at, pairs[number].labels > 0) for at in CHANCES]
    return table


def sound(pairs: list[Pair]) -> NDArray[np.bool_]:
    """Which images have a label of their own that is filled nowhere."""
    filled = [float(distance(one.labels == 0).max()) > DEEPEST_PX for one in pairs]
    return ~np.array(filled) & np.array([one.name.split(".")[0] != SWAPPED for one in pairs])


def left_out(name: str, table: Scores, settings: tuple[object, ...] | list[float]) -> None:
    """Print the scores of each image at the setting that is best, at 2 px, on the images of other folds."""
    fold = fold_of(len(table), FOLDS)
    there = np.isfinite(table[:, 0, 0, 0])
    used = sorted(set(fold[there].tolist()))
    picked = []
    for k in used:
        others = there & (fold != k) if len(used) > 1 else there
        picked.append(int(np.argmax([f1(*table[others, s, CHOSEN_AT].mean(axis=0)) for s in range(table.shape[1])])))
    held = np.concatenate([table[there & (fold == k)][:, s] for k, s in zip(used, picked, strict=True)])
    cells = []
    for j, px in enumerate(TOLERANCES_PX):
        precision, recall = held[:, j].mean(axis=0)
        low, high = bounds(held[:, j])
        cells.append(f"{px:g} px: {precision:.4f} {recall:.4f} {f1(precision, recall):.4f} ({low:.3f} to {high:.3f})")
    typical = float(np.median([f1(*one) for one in held[:, CHOSEN_AT]]))
    cells.append(f"median image, 2 px: {typical:.4f}")
    part = "" if len(used) == FOLDS else f"; folds {used} only"
    print(f"{name:9s} {' | '.join(cells)}{part}; settings {[settings[s] for s in picked]}", flush=True)


def bounds(held: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of F1 of mean precision and recall (images, 2), images drawn again."""
    rng = np.random.default_rng(0)
    draws = [f1(*held[rng.integers(len(held), size=len(held))].mean(axis=0)) for _ in range(2000)]
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)


def main() -> None:
    """The table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = ("local", "canny", "deepthin", "crackcnn", "ours")
    parser.add_argument("--only", nargs="+", default=list(ways), choices=ways, help="rows of the table")
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(FOLDS)), help="folds of the networks")
    given = parser.parse_args()
    pairs, _ = read_classes(data_folder("crackforest"))
    print(f"{len(pairs)} images; per tolerance: precision, recall, F1 (95 % over images)")
    if "local" in given.only:
        left_out("local", classical(pairs, local, LOCAL), LOCAL)
    if "canny" in given.only:
        left_out("canny", classical(pairs, canny, CANNY), CANNY)
    for name, network in (("deepthin", "deepthin-road-27"), ("crackcnn", "crackcnn")):
        if name in given.only:
            patches = networks(pairs, lambda data, k, network=network: patch_chances(data, k, network, FOLDER), given.folds)
            left_out(name, patches, CHANCES.tolist())
    if "ours" in given.only:
        table = networks(pairs, ours, given.folds)
        left_out("ours", table, CHANCES.tolist())
        kept = sound(pairs)
        left_out(f"sound, {kept.sum()} images", np.where(kept[:, None, None, None], table, np.nan), CHANCES.tolist())


if __name__ == "__main__":
    main()
