"""Builds every shipped model again: `python -m benchmarks.defaults` (about an hour and a half on two cores)."""

from __future__ import annotations

import json

from benchmarks.data import OUT, ROOT, data_folder
from morphoscope.recipe import load_recipe
from morphoscope.train.detect import train_detector
from morphoscope.train.read_text import train_scale_text


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


if __name__ == "__main__":
    loops()
    scale_text()
