"""Cracks in patches of bridges: `python -m benchmarks.bridge_cracks [--split random blocks] [--methods ...] [--again]`.

Five folds of bridge-crack-patches (16 px, colour, 6000 of 20 000 with a crack), each method tested on patches it has not learnt:
the layers of DeepThin and our network `film`, both trained here for a fixed number of epochs on turned and mirrored patches,
beside what came before: a support vector machine on histograms of oriented gradients, and gradient boosting on local binary
patterns (scikit-learn, scikit-image), also with the mean and the spread of the grey values beside the patterns. Prints F1,
precision and recall at 0.5 and AUC of the five folds together, with 95 % intervals.

The set has copies, and patches that lie side by side in one photograph follow each other in the file; both are counted first. So
the folds are dealt in two ways: `random`, patch by patch and stratified, as is usual; and `blocks`, without copies and in whole
blocks of 250 patches that follow each other, so that next to nothing of a photograph is on both sides.

Scores are kept in `benchmarks/out/bridge-cracks`; --again makes them anew. About an hour of one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.feature import hog, local_binary_pattern
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.data import OUT, data_folder
from benchmarks.turned import Turned
from morphoscope.measure.classification import auc_of_weights, bootstrap, counts, rates
from morphoscope.train.patch_networks import build_network
from morphoscope.train.score_loop import Fit, logits_of, train_patches

FOLDER = OUT / "bridge-cracks"
FOLDS, BLOCK = 5, 250
LUMA = np.array([0.299, 0.587, 0.114])
Images, Array = NDArray[np.uint8], NDArray[np.float64]


def read() -> tuple[Images, NDArray[np.bool_]]:
    """Patches (n, 16, 16, 3), RGB, and whether each shows a crack."""
    with np.load(data_folder("bridge-crack-patches") / "train.npz") as stored:
        return stored["images"], stored["labels"] == 1


def first_of_copies(images: Images) -> NDArray[np.bool_]:
    """Whether a patch (n, ...) is the first of all that equal it."""
    _, first = np.unique(images.reshape(len(images), -1), axis=0, return_index=True)
    return np.isin(np.arange(len(images)), first)


def tell_relations(images: Images, labels: NDArray[np.bool_]) -> None:
    """Print how many patches have copies, and how well patches that follow each other fit together at their sides."""
    _, kind, number = np.unique(images.reshape(len(images), -1), axis=0, return_inverse=True, return_counts=True)
    copied = number[kind.ravel()] > 1
    for truth, name in ((True, "with a crack"), (False, "without")):
        print(
            f"{name}: {np.sum(copied & (labels == truth))} of {np.sum(labels == truth)} have an equal patch elsewhere in the file"
        )
    print("step of grey levels (rms) from the right side of a patch to the left side of the k-th after it, median of all pairs:")
    for truth, name in ((True, "with a crack"), (False, "without")):
        some = images[labels == truth].astype(float)
        steps = {k: np.sqrt(((some[:-k, :, -1] - some[k:, :, 0]) ** 2).mean(axis=(1, 2))) for k in (1, 2, 1000)}
        print(f"  {name}: " + ", ".join(f"k = {k}: {np.median(step):.1f}" for k, step in steps.items()))


def seen(images: Images) -> NDArray[np.float32]:
    """Patches as networks see them (n, 3, 16, 16)."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / 255


def network(name: str, epochs: int, rate: float) -> Callable[[Images, NDArray[np.bool_], Images], Array]:
    """A method: a network trained on patches."""

    def method(images: Images, labels: NDArray[np.bool_], unseen: Images) -> Array:
        torch.manual_seed(0)
        built = build_network(name, outputs=1, channels=3, input_px=16)
        fit = Fit("multi-label", 10, 100, rate, epochs, epochs, 0)
        trained, _ = train_patches(built, Turned(seen(images), labels[:, None].astype(np.float32)), fit)
        return torch.sigmoid(logits_of(trained, seen(unseen)))[:, 0].numpy().astype(float)

    return method


def gradients(images: Images) -> Array:
    """Histograms of oriented gradients (n, 324): 9 directions in cells of 4 px, blocks of 2 x 2 cells."""
    return np.stack([hog(grey, 9, (4, 4), (2, 2), block_norm="L2-Hys") for grey in images @ LUMA])


def patterns(images: Images) -> Array:
    """Histograms of uniform local binary patterns (n, 70): 8 neighbours at 1, 2 and 3 px, and at 1 px in each quarter."""
    rows = []
    for grey in (images @ LUMA).astype(np.uint8):
        maps = [local_binary_pattern(grey, 8, radius, "uniform").astype(int) for radius in (1, 2, 3)]
        parts = [*maps, *(maps[0][y : y + 8, x : x + 8] for y in (0, 8) for x in (0, 8))]
        histograms = [np.bincount(part.ravel(), minlength=10) / part.size for part in parts]
        rows.append(np.concatenate(histograms))
    return np.stack(rows)


def svm(images: Images, labels: NDArray[np.bool_], unseen: Images) -> Array:
    """SVM with a Gaussian kernel on HOG; its margin as a score with the decision at 0.5."""
    machine = make_pipeline(StandardScaler(), SVC(C=10.0, gamma="scale", cache_size=1000))
    machine.fit(gradients(images), labels)
    return np.asarray(1 / (1 + np.exp(-machine.decision_function(gradients(unseen)))))


def light(images: Images) -> Array:
    """The mean and the spread of the grey values (n, 2)."""
    grey = (images @ LUMA).reshape(len(images), -1)
    return np.stack([grey.mean(axis=1), grey.std(axis=1)], axis=1)


def boosting(*parts: Callable[[Images], Array]) -> Callable[[Images, NDArray[np.bool_], Images], Array]:
    """A method: gradient boosting on features."""

    def features(images: Images) -> Array:
        return np.hstack([part(images) for part in parts])

    def method(images: Images, labels: NDArray[np.bool_], unseen: Images) -> Array:
        machine = HistGradientBoostingClassifier(max_iter=400, learning_rate=0.1, random_state=0)
        machine.fit(features(images), labels)
        return np.asarray(machine.predict_proba(features(unseen))[:, 1])

    return method


METHODS: dict[str, tuple[str, Callable[[Images, NDArray[np.bool_], Images], Array]]] = {
    "svm": ("SVM on HOG", svm),
    "boosting": ("boosting on LBP", boosting(patterns)),
    "light": ("the same with light", boosting(patterns, light)),
    "film": ("film (ours)", network("film", 18, 2e-3)),
    "deepthin": ("DeepThin's layers", network("deepthin", 11, 1e-3)),
}


def dealt(labels: NDArray[np.bool_], block: NDArray[np.int64], *, split: str) -> NDArray[np.int64]:
    """The fold 0 to 4 of each patch."""
    dealer = (
        StratifiedKFold(FOLDS, shuffle=True, random_state=0)
        if split == "random"
        else StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    )
    fold = np.empty(len(labels), np.int64)
    for k, (_, held) in enumerate(dealer.split(labels, labels, block)):
        fold[held] = k
    return fold


def scores_of(name: str, split: str, images: Images, labels: NDArray[np.bool_], fold: NDArray[np.int64], *, again: bool) -> Array:
    """Scores (n,) of all patches, each by what has learnt the other folds; kept fold by fold."""
    out, method = np.empty(len(labels)), METHODS[name][1]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for k in range(FOLDS):
        path, held = FOLDER / f"{split}-{name}-{k}.npy", fold == k
        if again or not path.exists():
            start = time.process_time()
            np.save(path, method(images[~held], labels[~held], images[held]))
            print(f"  {METHODS[name][0]}, fold {k + 1}: {time.process_time() - start:.0f} s of processor", flush=True)
        out[held] = np.load(path)
    return out


def row(labels: NDArray[np.bool_], scores: Array, groups: NDArray[np.int64]) -> str:
    """F1, precision, recall and AUC with intervals."""
    truth, found, area = labels[:, None], scores[:, None] > 0.5, auc_of_weights(labels, scores)

    def both(weights: Array) -> Array:
        return np.array([rates(counts(truth, found, weights))["f1"][0], area(weights)])

    (f1, auc), (low, high) = both(np.ones(len(labels))), bootstrap(both, groups, draws=400)
    rest = rates(counts(truth, found))
    return (
        f"{f1:.4f} ({low[0]:.4f} to {high[0]:.4f})   {rest['precision'][0]:.4f}      {rest['recall'][0]:.4f}   "
        f"{auc:.5f} ({low[1]:.5f} to {high[1]:.5f})"
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description="cracks in patches of bridges")
    parser.add_argument("--split", nargs="+", default=["random", "blocks"], choices=("random", "blocks"))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--again", action="store_true", help="train again what is kept")
    given = parser.parse_args()
    torch.set_num_threads(1)
    images, labels = read()
    tell_relations(images, labels)
    for split in given.split:
        kept = first_of_copies(images) if split == "blocks" else np.ones(len(labels), bool)
        some, truth = images[kept], labels[kept]
        block = np.flatnonzero(kept) // BLOCK
        fold = dealt(truth, block, split=split)
        print(f"\n{split}: {len(truth)} patches, {truth.sum()} with a crack")
        print(f"{'':20s}F1                          precision   recall   AUC")
        groups = np.arange(len(truth)) if split == "random" else np.unique(block, return_inverse=True)[1]
        for name in given.methods:
            scores = scores_of(name, split, some, truth, fold, again=given.again)
            print(f"{METHODS[name][0]:20s}{row(truth, scores, groups)}", flush=True)


if __name__ == "__main__":
    main()
