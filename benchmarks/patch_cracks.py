"""Networks of patches on cracks, pixel by pixel; see `benchmarks.cracks`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import data_folder
from morphoscope.io.colour import read_colour
from morphoscope.io.label_images import Pair
from morphoscope.measure.tolerance import distance
from morphoscope.models.patch_segment import PatchSegmenter
from morphoscope.models.score import load_scorer
from morphoscope.recipe import parse_recipe
from morphoscope.train.export import export_scorer
from morphoscope.train.label_images import fold_of
from morphoscope.train.score import prepare

FOLDS, EPOCHS = 5, 20
FILLED_PX = 12  # images with labels deeper than this are not learnt: fields of cracks are filled there
STRIDES = {"crackcnn": 3}  # px; the padded network is run patch by patch, which costs much


def patch_chances(pairs: list[Pair], fold: int, network: str, folder: Path) -> list[NDArray[np.float32]]:
    """The probability (h, w) of a crack in each image of a fold, by a network of patches that has not learnt them.

    AdamW and a falling rate as `train score` has them, in place of the published training.
    """
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
        clean = [distance(one.labels == 0).max() <= FILLED_PX for one in pairs]
        learnt, _ = job.learn([names[one.name] for one, k, fit in zip(pairs, number, clean, strict=True) if k != fold and fit])
        export_scorer(learnt, job.card(), path)
    segmenter = PatchSegmenter(load_scorer(path, threads=1), stride_px=STRIDES.get(network, 1))
    return [segmenter.maps(read_colour(one.path))[0] for one, k in zip(pairs, number, strict=True) if k == fold]
