"""Cracks in cross-sections of coatings (coating-cracks) from few images: `python -m benchmarks.coating [--images 10 5 1]`.

Prints the IoU of cracks and oxide in images of samples never learnt, with 10, 5 and 1 training images: `train segment
--from particles` with `examples/train-coating.toml` and fewer steps for fewer images. The fourteen images come from nine
samples, told by their names; a sample is never split. The threshold of each of the four folds, and below which size
parts are left out, is chosen on the three others.
Models are kept in `benchmarks/out/coating` and not trained again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import OUT, ROOT, data_folder
from morphoscope.evaluate_masks import interval
from morphoscope.io.label_images import Pair, read_classes
from morphoscope.measure.mask_scores import iou_of
from morphoscope.models.card import resolve_model
from morphoscope.models.class_maps import shown
from morphoscope.models.segment import load_segmenter
from morphoscope.recipe import Recipe, load_recipe
from morphoscope.train.class_maps import as_example
from morphoscope.train.lessons import class_lesson, count_classes
from morphoscope.train.segment import SegmenterTraining, fold_model

FOLDER, CLASSES = OUT / "coating", ("oxide", "crack")
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
            lesson=class_lesson(CLASSES, upright=settings.upright, contrast=settings.contrast),
        )
        print(f"training with {count} images without fold {fold}", flush=True)
        fold_model(job, None, path)
    return str(path)


def counts(one: Pair, path: str) -> NDArray[np.int64]:
    """Right, wrong and missed pixels (settings, classes, 3) of an image."""
    segmenter = load_segmenter(path, threads=1)
    chance, best = shown(segmenter.maps(one.image()), (one.labels.shape[0], one.labels.shape[1]))
    return count_classes(chance, best, one.labels, len(CLASSES))


def main() -> None:
    """A line for each number of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", nargs="+", type=int, default=[10, 5, 1], help="how many are learnt")
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(len(SAMPLES))), help="folds that are tested")
    given = parser.parse_args()
    pairs, _ = read_classes(data_folder("coating-cracks"))
    for count in given.images:
        held = {k: [one for one in pairs if fold_of_sample(one) == k] for k in given.folds}
        table = {k: np.stack([counts(one, model(pairs, k, count)) for one in some]) for k, some in held.items()}
        picked = []
        for k in given.folds:
            others = [table[j].sum(axis=0) for j in given.folds if j != k] or [table[k].sum(axis=0)]
            picked.append(int(iou_of(np.sum(others, axis=0))[:, 1].argmax()))
        chosen = np.concatenate([table[k][:, at] for k, at in zip(given.folds, picked, strict=True)])
        scores = iou_of(chosen.sum(axis=0))
        bounds = [interval(chosen[:, k], lambda pooled: float(iou_of(pooled))) for k in range(len(CLASSES))]
        parts = [
            f"{name} {v:.3f} ({low:.3f} to {high:.3f})" for name, v, (low, high) in zip(CLASSES, scores, bounds, strict=True)
        ]
        each = [f"{k}: {iou_of(table[k][:, at].sum(axis=0))[1]:.3f}" for k, at in zip(given.folds, picked, strict=True)]
        print(f"{count:2d} images: IoU {', '.join(parts)}; cracks by fold {', '.join(each)}", flush=True)


if __name__ == "__main__":
    main()
