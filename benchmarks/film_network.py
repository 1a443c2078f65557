"""Depth and width of the network `film`: `python -m benchmarks.film_network [--data bridge steel films] [--folds N]`.

Grown until held-out accuracy stops improving, on patches of bridges with cracks (16 px, colour, folds by patch: the set does not
say which photo a patch is from), on quarters of pictures of steel (50 px, grey, six classes, folds by picture) and on drawn films
(50 px, colour, the shares of five defects, folds by film). Prints for each network its size, the loss, accuracy, F1 (of several
classes the mean), AUC and mean absolute error of what was held out, and the CPU time of training.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.data import data_folder
from benchmarks.turned import Turned
from morphoscope.models.patches import PatchImage, patch_grid
from morphoscope.synth.film_scene import random_film
from morphoscope.synth.films import FilmPicture
from morphoscope.train.patch_networks import PatchNet, build_network
from morphoscope.train.score_loop import Fit, logits_of, loss_of, train_patches

Array = NDArray[np.float32]
FOLDS, FILMS = 5, 600
PRESENT = 0.1  # share of a patch from which a defect is there, for the AUC
GROWN = (
    "deepthin",
    "16 16 / 32 32 / 48 48",
    "32 / 64 / 96 / 128",
    "32 32 / 64 64 / 96 96",
    "32 32 32 / 64 64 / 96 96",
    "48 48 / 96 96 / 144 144",
    "64 64 / 128 128 / 192 192",
)


@dataclass(frozen=True)
class Data:
    """Patches (n, c, s, s) as networks see them, targets (n, k), what must not be parted, and the kind of answer."""

    patches: Array
    targets: Array
    group: NDArray[Any]
    answer: str


def bridge() -> Data:
    """Patches of bridges: crack or not."""
    with np.load(data_folder("bridge-crack-patches") / "train.npz") as stored:
        images, labels = stored["images"], stored["labels"]
    seen = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / 255
    return Data(seen, labels[:, None].astype(np.float32), np.arange(len(labels)), "multi-label")


def steel() -> Data:
    """Quarters of pictures of steel at half their size."""
    patches, labels, group = [], [], []
    folders = sorted(p for p in data_folder("neu-surface").iterdir() if p.is_dir())
    for k, folder in enumerate(folders):
        for file in sorted(folder.iterdir()):
            grey = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
            image = PatchImage(grey, channels=1, preprocess="unit-1", zoom=0.5)
            for y, x in ((0, 0), (0, 50), (50, 0), (50, 50)):
                patches.append(image.read(y, x, 50, 50))
                labels.append(k)
                group.append(f"{folder.name}/{file.name}")
    return Data(np.stack(patches), np.eye(len(folders), dtype=np.float32)[labels], np.array(group), "exclusive")


def films() -> Data:
    """Patches of drawn films: the share of each defect."""
    patches, targets, group = [], [], []
    for k in range(FILMS):
        film = FilmPicture(random_film(5000 + k, shape=(200, 250)))
        image = PatchImage(film.image, channels=3, preprocess="unit-1")
        masks = np.stack(list(film.masks.values()))
        for y, x in patch_grid(image.shape, 50, 50).corners:
            patches.append(image.read(y, x, 50, 50))
            targets.append(masks[:, y : y + 50, x : x + 50].mean(axis=(1, 2)))
            group.append(k)
    return Data(np.stack(patches), np.stack(targets).astype(np.float32), np.array(group), "multi-label")


def folds_of(group: NDArray[Any]) -> NDArray[np.int64]:
    """The fold 0 .. 4 of each patch; groups stay together."""
    names, number = np.unique(group, return_inverse=True)
    return np.asarray(np.random.default_rng(0).permutation(len(names))[number] % FOLDS)


def built(layers: str, data: Data) -> PatchNet:
    """A fresh network for some data."""
    torch.manual_seed(0)
    sizes = {"channels": data.patches.shape[1], "input_px": data.patches.shape[2], "outputs": data.targets.shape[1]}
    return build_network("deepthin", **sizes) if layers == "deepthin" else build_network("film", layers=layers, **sizes)


def auc_of(score: NDArray[Any], true: NDArray[np.bool_]) -> float:
    """Area under the ROC: how often a true patch scores above a false one."""
    ranks, count = rankdata(score), int(true.sum())
    return float((ranks[true].sum() - count * (count + 1) / 2) / (count * (len(true) - count)))


def judged(logits: torch.Tensor, targets: Array, answer: str) -> dict[str, float]:
    """Loss, accuracy, F1 and AUC (macro for several classes) of logits (n, k)."""
    loss = float(loss_of(logits, torch.from_numpy(targets), answer, 10).mean())
    values, true = logits.numpy(), targets > 0.5
    exclusive = answer == "exclusive"
    found = values == values.max(axis=1, keepdims=True) if exclusive else values > 0
    hits, alarms, missed = (found & true).sum(0), (found & ~true).sum(0), (~found & true).sum(0)
    each = (torch.softmax(logits, 1) if exclusive else torch.sigmoid(logits)).numpy()
    there = np.flatnonzero(true.any(axis=0))
    auc = [auc_of(each[:, k], targets[:, k] > PRESENT) for k in there]
    f1 = float((2 * hits / (2 * hits + alarms + missed).clip(1))[there].mean())
    error = float(np.abs(each - targets).mean())
    exact = float((found == true).all(axis=1).mean())
    return {"loss": loss, "accuracy": exact, "F1": f1, "AUC": float(np.mean(auc)), "error": error}


def grow(name: str, data: Data, layers: tuple[str, ...], *, folds: int, epochs: int) -> None:
    """Train and judge each network on the same folds."""
    fold = folds_of(data.group)
    print(
        f"{name}: {len(data.patches)} patches of {data.patches.shape[1:]}, {folds} of {FOLDS} folds, {epochs} epochs", flush=True
    )
    for one in layers:
        found, start = [], time.process_time()
        for k in range(folds):
            train, held = fold != k, fold == k
            fit = Fit(data.answer, 10, batch=100, rate=2e-3, epochs=epochs, patience=epochs, seed=k)
            network, _ = train_patches(built(one, data), Turned(data.patches[train], data.targets[train]), fit)
            found.append(judged(logits_of(network, data.patches[held]), data.targets[held], data.answer))
        minutes = (time.process_time() - start) / 60 / folds
        said = ", ".join(f"{key} {np.mean([f[key] for f in found]):.4f}" for key in found[0])
        print(f"  {one:28s} {network.parameter_count:7d} parameters: {said}; {minutes:.1f} min of CPU a fold", flush=True)


SETS: dict[str, Callable[[], Data]] = {"bridge": bridge, "steel": steel, "films": films}


def main() -> None:
    """All networks on all sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", choices=tuple(SETS), default=tuple(SETS))
    parser.add_argument("--layers", nargs="+", default=GROWN)
    parser.add_argument("--folds", type=int, default=1, choices=range(1, FOLDS + 1))
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    for name in given.data:
        grow(name, SETS[name](), tuple(given.layers), folds=given.folds, epochs=given.epochs)


if __name__ == "__main__":
    main()
