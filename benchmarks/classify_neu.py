"""Steel surfaces in six classes: all labels in five folds, and five labels a class with and without the images that have none.

python -m benchmarks.classify_neu [--draws 10] [--backbone lite0]
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.data import data_folder
from morphoscope.recipe import Recipe, parse_recipe
from morphoscope.train.class_data import silent
from morphoscope.train.class_figures import figures, honest
from morphoscope.train.class_job import ClassTraining, prepare
from morphoscope.train.class_network import ClassNet
from morphoscope.train.classify import train_classifier

FEW = 5  # labels a class
FIRST = 10  # draws 0 to 9 served to choose the settings
Numbers = NDArray[np.int64]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--backbone", default="lite0")
    given = parser.parse_args()
    folder = data_folder("neu-surface")
    job = prepare(folder, _recipe(given.backbone))
    for method in ("frozen", "neighbours"):
        _five_folds(replace(job, recipe=_recipe(given.backbone, method)))
    _few_labels(job, given.draws, given.backbone)


def _recipe(backbone: str, method: str = "frozen") -> Recipe:
    return parse_recipe({"train": {"backbone": backbone, "method": method}})


def _five_folds(job: ClassTraining) -> None:
    held = job.hold_out(silent)
    assert held is not None
    told = figures(honest(held, job.images))
    print(
        f"all {len(job.images.truth)} labels, {job.method} {job.backbone.name}, 5 folds: accuracy {told['accuracy']:.4f} "
        f"({told['accuracy_low']:.4f} to {told['accuracy_high']:.4f}), macro F1 {told['f1']:.4f}, calibration error "
        f"{told['ece']:.4f} ({told['ece_before']:.4f} before)",
        flush=True,
    )


def _few_labels(job: ClassTraining, draws: int, backbone: str) -> None:
    """Accuracy on the images that were not drawn, from labels alone and with these images as unlabelled ones."""
    found: dict[str, list[float]] = {"labels alone": [], "with the rest unlabelled": []}
    for draw in range(FIRST, FIRST + draws):
        rng = np.random.default_rng(draw)
        chosen = np.concatenate([rng.permutation(np.flatnonzero(job.images.truth == k))[:FEW] for k in range(6)])
        rest = np.setdiff1d(np.arange(len(job.images.truth)), chosen)
        with TemporaryDirectory() as scratch:
            table = _table(job, chosen, Path(scratch))
            if draw == FIRST:
                begin = time.perf_counter()
                train_classifier(table, Path(scratch) / "few.onnx", _recipe(backbone))
                print(f"{FEW} labels a class: trained, validated and written in {time.perf_counter() - begin:.1f} s", flush=True)
            few = prepare(table, _recipe(backbone))
        for name, others in (("labels alone", None), ("with the rest unlabelled", job.images.features[rest])):
            network = _learnt(replace(few, others=others))
            found[name].append(float((_said(network, job.images.features[rest]) == job.images.truth[rest]).mean()))
        print(f"draw {draw}: " + ", ".join(f"{name} {values[-1]:.4f}" for name, values in found.items()), flush=True)
    for name, values in found.items():
        print(f"{FEW} labels a class, {name}: mean accuracy {np.mean(values):.4f} of {draws} draws, least {min(values):.4f}")


def _table(job: ClassTraining, chosen: Numbers, folder: Path) -> Path:
    path = folder / "labels.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "label"))
        for k in chosen.tolist():
            rows.writerow((job.images.data.examples[k].path, job.images.data.classes[int(job.images.truth[k])]))
    return path


def _learnt(job: ClassTraining) -> ClassNet:
    held = job.hold_out(silent)
    assert held is not None
    return job.learn(held.chosen, silent)


def _said(network: ClassNet, features: NDArray[np.float32]) -> Numbers:
    """Class numbers that the heads give raw features (n, d)."""
    with torch.inference_mode():
        scaled = network.scaled
        level = scaled.level(scaled(torch.from_numpy(features)))
        return np.asarray(network.head(level, scaled.level(network.bank)).argmax(dim=1).numpy())


if __name__ == "__main__":
    main()
