"""What a split by augmented copy flatters: `python -m benchmarks.score_split`.

A few images of each class of neu-surface are learnt twice. Once whole images are held out for the test; once each image is first
turned and mirrored in all eight ways and the copies are dealt at random (as behind some published tables), so that nearly every
tested copy has been learnt in another turn. Beside both claims: the accuracy of the same models on images that neither has seen.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.data import data_folder
from morphoscope.evaluate_scores import evaluate_scores
from morphoscope.io.score_data import read_score_data
from morphoscope.models.score import load_scorer
from morphoscope.recipe import Recipe
from morphoscope.train.score import train_scorer

SPLITS = {"image": "by image", "copy": "by augmented copy"}


def deal(folder: Path, learnt: int, judged: int, seed: int) -> None:
    """Copy some images of each class to learn/ and others to rest/."""
    rng = np.random.default_rng(seed)
    for name in sorted(p.name for p in data_folder("neu-surface").iterdir()):
        files = sorted((data_folder("neu-surface") / name).iterdir())
        order = rng.permutation(len(files))
        for part, some in (("learn", order[:learnt]), ("rest", order[learnt : learnt + judged])):
            (folder / part / name).mkdir(parents=True)
            for k in some:
                shutil.copy(files[k], folder / part / name)


def main() -> None:
    """Both splits, of the same images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learnt", type=int, default=6, help="images a class")
    parser.add_argument("--judged", type=int, default=30, help="images a class that neither has seen")
    parser.add_argument("--network", default="lite")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    claims, truths = {name: list[float]() for name in SPLITS}, {name: list[float]() for name in SPLITS}
    for seed in range(given.seeds):
        with TemporaryDirectory() as scratch:
            folder = Path(scratch)
            deal(folder, given.learnt, given.judged, seed)
            for name in SPLITS:
                settings = {"split": name, "network": given.network, "seed": seed}
                recipe = Recipe.model_validate({"train": settings, "run": {"threads": given.threads}})
                card = train_scorer(folder / "learn", folder / f"{name}.onnx", recipe).card
                scorer = load_scorer(folder / f"{name}.onnx", threads=given.threads)
                found = evaluate_scores(scorer, read_score_data(folder / "rest"))
                claims[name].append(card.metrics["accuracy"])
                truths[name].append(found.metrics["accuracy"])
                print(f"seed {seed}, {SPLITS[name]}: claimed {claims[name][-1]:.3f}, true {truths[name][-1]:.3f}", flush=True)
    print(f"\n{given.learnt} images a class, network {given.network}, mean of {given.seeds} draws")
    print(f"{'split':<20} {'accuracy claimed':>17} {'on images never seen':>21}")
    for name, said in SPLITS.items():
        print(f"{said:<20} {np.mean(claims[name]):17.3f} {np.mean(truths[name]):21.3f}")


if __name__ == "__main__":
    main()
