"""Networks of patches on cracks, pixel by pixel; see `benchmarks.cracks`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import data_folder
from morphoscope.io.label_images import Pair
from morphoscope.models.patch_segment import PatchSegmenter
from morphoscope.models.score import load_scorer
from morphoscope.recipe import parse_recipe
from morphoscope.train.export import export_scorer
from morphoscope.train.label_images import fold_of
from morphoscope.train.score import prepare

FOLDS, EPOCHS = 5, 20


def patch_chances(pairs: list[Pair], fold: int, network: str, folder: Path) -> list[NDArray[np.float32]]:
    """The probability (h, w) of a crack in each image of a fold, by a network of patches that has not learnt them."""
    number = fold_of(len(pairs), FOLDS)
    path = folder / f"{network}-{fold}.onnx"
    if not path.exists():
        print(f"training {network} without fold {fold}", flush=True)
        settings = {"network": network, "target": "centre", "epochs": EPOCHS, "folds": 0}
        job, _ = prepare(
            data_folder("crackforest"),
            parse_recipe({"train": settings, "score": {"patch_px": 27}, "run": {"threads": 1}}),
            name=path.stem,
        )
        names = {Path(one.example.name).stem: k for k, one in enumerate(job.pictures)}
        learnt, _ = job.learn([names[one.name] for one, k in zip(pairs, number, strict=True) if k != fold])
        export_scorer(learnt, job.card(), path)
    segmenter = PatchSegmenter(load_scorer(path, threads=1))
    return [segmenter.maps(_picture(one))[0] for one, k in zip(pairs, number, strict=True) if k == fold]


def _picture(pair: Pair) -> NDArray[np.uint8]:
    from morphoscope.io.colour import read_colour

    return np.asarray(read_colour(pair.path))
