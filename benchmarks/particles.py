"""Particles against Otsu + watershed on images never learnt: `python -m benchmarks.particles`.

Prints F1 at IoU 0.5 (greedy one-to-one, pooled over folds of whole images), then the errors of count and mean diameter.
The models of the held-out folds are trained first where `benchmarks/out/particles` lacks them; `--only present` leaves
those out, the figures are then of the other folds.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.classical import GRID, otsu_watershed
from benchmarks.data import OUT, ROOT, data_folder, imagenet_weights
from morphoscope.measure.mask_scores import Counts, count_matches, f1_of
from morphoscope.measure.threshold import threshold_labels
from morphoscope.models.segment import load_segmenter
from morphoscope.recipe import load_recipe
from morphoscope.train.label_images import read_label_images
from morphoscope.train.lessons import INSTANCE_THRESHOLDS
from morphoscope.train.segment import SegmenterTraining, counts_by_threshold, fold_model, validate

FOLDER = OUT / "particles"


def classical(job: SegmenterTraining, folds: list[int]) -> Counts:
    """Pooled counts (3,) of Otsu + watershed, the settings of each of these folds chosen on all other images (kept on disk)."""
    kept = FOLDER / "classical.npy"
    if not kept.exists():
        each = [[count_matches(otsu_watershed(one.image * 255, s), one.labels) for s in GRID] for one in job.data]
        FOLDER.mkdir(parents=True, exist_ok=True)
        np.save(kept, np.array(each))
    counts, pooled = np.load(kept), np.zeros(3, np.int64)
    for fold in folds:
        best = int(f1_of(counts[job.folds != fold].sum(axis=0)).argmax())
        print(f"fold {fold}: {GRID[best]}")
        pooled += counts[job.folds == fold, best].sum(axis=0)
    return pooled


def plain(job: SegmenterTraining) -> Counts:
    """Pooled counts (3,) of the package's own Otsu and watershed with the settings that it has by default."""
    return np.sum([count_matches(threshold_labels(one.image), one.labels) for one in job.data], axis=0)


def network(job: SegmenterTraining, folds: list[int], folder: Path) -> Counts:
    """Pooled counts (3,) of the models of these folds, the threshold of each chosen on the other folds."""
    counts = [counts_by_threshold(job, fold, _model(folder, fold)) for fold in folds]
    for fold, table in zip(folds, counts, strict=True):
        print(
            f"fold {fold}: F1 by threshold "
            + ", ".join(f"{t:g} {f:.3f}" for t, f in zip(INSTANCE_THRESHOLDS, f1_of(table), strict=True))
        )
    ship, chosen, pooled = validate(np.stack(counts))
    print(f"thresholds chosen on the other folds: {chosen}; on all: {ship}")
    if len(folds) == 1:
        print("one fold alone: its threshold was chosen on itself, which flatters it")
    errors = np.array([row for fold in folds for row in _per_image(job, fold, folder, ship)])
    print(
        f"per image at {ship}: median error of count {np.median(errors[:, 0]):.3f}, "
        f"of mean diameter {np.nanmedian(errors[:, 1]):.3f}"
    )
    return pooled


def _per_image(job: SegmenterTraining, fold: int, folder: Path, threshold: float) -> list[tuple[float, float]]:
    """Relative errors of count and mean diameter (nan where none is found) of each image of a fold."""
    segmenter, errors = load_segmenter(_model(folder, fold)), []
    for one in job.held_out(fold):
        found, true = (_diameters(x) for x in (segmenter.segment([one.image], threshold=threshold)[0], one.labels))
        size = abs(found.mean() / true.mean() - 1) if len(found) else np.nan
        errors.append((abs(len(found) / len(true) - 1), float(size)))
    return errors


def _diameters(labels: np.ndarray) -> np.ndarray:
    area = np.bincount(labels.ravel())[1:]
    return np.sqrt(4 * area[area > 0] / np.pi)


def _model(folder: Path, fold: int) -> Path:
    return folder / f"fold-{fold}.onnx"


def main() -> None:
    """Both, on all folds or on those whose models are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imagenet", type=Path, help="efficientnet-lite0-57934424.pth; default: that of its package")
    parser.add_argument("--only", choices=("present",), help="train nothing")
    parser.add_argument("--models", type=Path, default=FOLDER, help="the folder of the folds' models")
    given = parser.parse_args()
    data = data_folder("emps-particles")
    recipe = load_recipe(ROOT / "examples" / "train-particles.toml")
    job = SegmenterTraining(read_label_images(data), recipe, "particles", data.name)
    folds = list(range(recipe.train.bands))
    lacking = [fold for fold in folds if not _model(given.models, fold).exists()]
    if given.only:
        folds = [fold for fold in folds if fold not in lacking]
    elif lacking:
        job = replace(job, imagenet=given.imagenet or imagenet_weights())
        for fold in lacking:
            print(f"training without fold {fold}", flush=True)
            fold_model(job, fold, _model(given.models, fold))
    _say("Otsu + watershed of scikit-image, tuned", classical(job, folds or list(range(recipe.train.bands))))
    _say("--model otsu as it stands, all images", plain(job))
    if folds:
        _say("particles", network(job, folds, given.models))


def _say(name: str, pooled: Counts) -> None:
    right, wrong, missed = pooled
    print(f"{name}: F1 {float(f1_of(pooled)):.3f} ({right} right, {wrong} wrong, {missed} missed)\n", flush=True)


if __name__ == "__main__":
    main()
