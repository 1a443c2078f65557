"""Defects of nanofibres told with each way to learn, and what a split by image flatters: `python -m benchmarks.nanofibre`.

The images of one group of nanofibre-sem are shifted copies of one micrograph. Five folds, once with groups kept together and once
with images dealt for themselves; accuracy, macro F1 and calibration error (15 bins, before and after calibration) with intervals
of 95 % by drawing groups again.
"""

from __future__ import annotations

import argparse
import sys

import pandas as pd

from benchmarks.data import OUT, data_folder
from morphoscope.measure.honest import calibrated_error
from morphoscope.recipe import Recipe
from morphoscope.report.comparison import write_comparison
from morphoscope.train.compare import METHODS, Comparison, Plan, compare_classifiers

SPLITS = {False: "by group", True: "by image"}


def run(backbones: list[str], methods: list[str], *, by_image: bool, threads: int, seed: int) -> Comparison:
    """One split."""
    recipe = Recipe.model_validate({"run": {"threads": threads}, "train": {"seed": seed}})
    plan, seen = Plan(tuple(backbones), tuple(methods), by_image=by_image), set[str]()

    def tell(stage: str, step: int, loss: float) -> None:
        if stage not in seen:
            print(f"{stage} ...", file=sys.stderr, flush=True)
        seen.add(stage)

    return compare_classifiers(data_folder("nanofibre-sem"), recipe, plan, progress=tell)


def say(split: str, result: Comparison) -> None:
    """The rows of one split."""
    for row in result.table.to_dict("records"):

        def between(name: str, row: dict[str, float] = row) -> str:
            return f"{row[name]:.3f} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"

        cells = [f"{split:<9} {row['backbone']:<13} {row['method']:<11}", *(between(name) for name in ("accuracy", "f1"))]
        cells += [between("ece_before"), between("ece"), f"{row['train_s']:5.0f} s", f"{row['ms_per_image']:4.0f} ms"]
        print("  ".join(cells), flush=True)


def main() -> None:
    """Both splits of all backbones and methods."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", nargs="+", default=["lite0"])
    parser.add_argument("--method", nargs="+", default=list(METHODS))
    parser.add_argument("--split", nargs="+", choices=list(SPLITS.values()), default=list(SPLITS.values()))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print("split     backbone      method       accuracy  macro F1  ECE before  ECE after  one training  an image")
    tables = []
    for by_image, split in SPLITS.items():
        if split not in given.split:
            continue
        result = run(given.backbone, given.method, by_image=by_image, threads=given.threads, seed=given.seed)
        say(split, result)
        folder = OUT / "nanofibre" / split.replace(" ", "-")
        write_comparison(
            folder, rows=result.table, folds=result.folds, name="nanofibre-sem", notes=result.notes, warnings=result.skipped
        )
        tables.append(result.table.assign(split=split))
        for (_, method), said in result.answers.items():
            mean, most = calibrated_error(said.top)
            print(f"{split}, {method}: true probabilities would show an ECE of {mean:.3f}, of {most:.3f} in one of 20 sets")
    pd.concat(tables).to_csv(OUT / "nanofibre" / "compare.csv", index=False)


if __name__ == "__main__":
    main()
