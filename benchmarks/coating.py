"""Cracks in cross-sections of coatings (coating-cracks) from few images: `python -m benchmarks.coating [--images 10 5 1]`.

Prints the IoU of cracks and oxide in images of samples never learnt, with 10, 5 and 1 training images: `train segment
--from particles` with `examples/train-coating.toml` and fewer steps for fewer images. The fourteen images come from nine
samples, told by their names; a sample is never split. The threshold of each of the four folds is chosen on the
three others. Cracks are also compared within 2 px, and the labels with themselves,
moved by a pixel. Models are kept in `benchmarks/out/coating` and not trained again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.data import OUT, ROOT, data_folder
from morphoscope.evaluate_masks import interval
from morphoscope.io.label_images import Pair, read_classes
from morphoscope.measure.mask_scores import count_pixels, iou_of
from morphoscope.measure.tolerance import f1, within
from morphoscope.models.card import resolve_model
from morphoscope.models.class_maps import shown
from morphoscope.models.segment import load_segmenter
from morphoscope.recipe import Recipe, load_recipe
from morphoscope.train.class_maps import as_example
from morphoscope.train.lessons import CLASS_THRESHOLDS, class_lesson, count_classes
from morphoscope.train.segment import SegmenterTraining, fold_model

FOLDER, CLASSES = OUT / "coating", ("oxide", "crack")
CRACK, NEAR_PX = 2, 2.0
STEPS = {10: 600, 5: 400, 1: 200}
SAMPLES = (
    ("010417#4", "021519#3", "032919#10"),
    ("032919#6", "040617#3"),
    ("070516#1", "070516#3"),
    ("111418#4", "S879"),
)  # of each fold


def fold_of_sample(pair: Pair) -> int:
    """The fold that an image's sample belongs to."""
    return next(k for k, names in enumerate(SAMPLES) if pair.name.split("_")[0] in names)


def learnt(pairs: Sequence[Pair], fold: int, count: int) -> list[Pair]:
    """So many images that are not of a fold, drawn by chance; fewer are among more."""
    others = [one for one in pairs if fold_of_sample(one) != fold]
    return [others[k] for k in np.random.default_rng(fold).permutation(len(others))[:count]]


def model(pairs: Sequence[Pair], fold: int, count: int) -> str:
    """The path of the network that has learnt so many images, none of them of the fold."""
    path = FOLDER / f"{count}-images-without-{fold}.onnx"
    if not path.exists():
        recipe = load_recipe(ROOT / "examples" / "train-coating.toml")
        settings = recipe.train.model_copy(update={"steps": STEPS.get(count, recipe.train.steps)})
        job = SegmenterTraining(
            [as_example(one) for one in learnt(pairs, fold, count)],
            Recipe(train=settings, run=recipe.run.model_copy(update={"threads": 1})),
            path.stem,
            "coating-cracks",
            start=resolve_model("particles"),
            lesson=class_lesson(CLASSES, upright=settings.upright),
        )
        print(f"training with {count} images without fold {fold}", flush=True)
        fold_model(job, None, path)
    return str(path)


def seen(one: Pair, path: str) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """What a network shows in an image, see `models.class_maps.shown`."""
    return shown(load_segmenter(path, threads=1).maps(one.image()), (one.labels.shape[0], one.labels.shape[1]))


def near(one: Pair, path: str, threshold: float) -> tuple[float, float]:
    """Precision and recall of the cracks of an image within `NEAR_PX`."""
    chance, best = seen(one, path)
    return within((chance > threshold) & (best == CRACK), one.labels == CRACK, NEAR_PX)


def row(pairs: Sequence[Pair], count: int, folds: Sequence[int]) -> None:
    """Print the scores with so many training images; the threshold of a fold is chosen on the others."""
    held = {k: [one for one in pairs if fold_of_sample(one) == k] for k in folds}
    paths = {k: model(pairs, k, count) for k in folds}
    table = {k: np.stack([count_classes(*seen(one, paths[k]), one.labels, len(CLASSES)) for one in held[k]]) for k in folds}
    picked = {}
    for k in folds:
        others = [table[j].sum(axis=0) for j in folds if j != k] or [table[k].sum(axis=0)]
        picked[k] = int(iou_of(np.sum(others, axis=0))[:, CRACK - 1].argmax())
    chosen = np.concatenate([table[k][:, picked[k]] for k in folds])
    bounds = [interval(chosen[:, k], lambda pooled: float(iou_of(pooled))) for k in range(len(CLASSES))]
    scores = zip(CLASSES, iou_of(chosen.sum(axis=0)), bounds, strict=True)
    parts = [f"{name} {v:.3f} ({low:.3f} to {high:.3f})" for name, v, (low, high) in scores]
    each = [f"{k}: {iou_of(table[k][:, at].sum(axis=0))[CRACK - 1]:.3f}" for k, at in picked.items()]
    precision, recall = np.mean([near(one, paths[k], CLASS_THRESHOLDS[picked[k]]) for k in folds for one in held[k]], axis=0)
    thresholds = [CLASS_THRESHOLDS[at] for at in picked.values()]
    print(
        f"{count:2d} images: IoU {', '.join(parts)}; cracks by fold {', '.join(each)}; within {NEAR_PX:g} px: precision "
        f"{precision:.3f}, recall {recall:.3f}, F1 {f1(precision, recall):.3f}; thresholds {thresholds}",
        flush=True,
    )


def slack(pairs: Sequence[Pair]) -> None:
    """Print the IoU of the labelled cracks with themselves after they were moved, thinned or thickened."""
    true = [(one.labels == CRACK).astype(np.uint8) for one in pairs]
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    moved = {px: [np.roll(one, by, axis) for one in true for axis in (0, 1) for by in (-px, px)] for px in (1, 2)}
    changed = {
        **{f"moved by {px} px": (some, [one for one in true for _ in range(4)]) for px, some in moved.items()},
        "thinner by 1 px on each side": ([cv2.erode(one, cross) for one in true], true),
        "thicker by 1 px on each side": ([cv2.dilate(one, cross) for one in true], true),
    }
    told = []
    for name, both in changed.items():
        counts = np.sum([count_pixels(*pair, 1) for pair in zip(*both, strict=True)], axis=0)
        told.append(f"{name} {iou_of(counts)[0]:.3f}")
    print(f"IoU of the labelled cracks with themselves: {', '.join(told)}", flush=True)


def main() -> None:
    """What such labels allow, then a line for each number of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", nargs="+", type=int, default=[10, 5, 1], help="how many are learnt")
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(len(SAMPLES))), help="folds that are tested")
    given = parser.parse_args()
    pairs, _ = read_classes(data_folder("coating-cracks"))
    slack(pairs)
    for count in given.images:
        row(pairs, count, given.folds)


if __name__ == "__main__":
    main()
