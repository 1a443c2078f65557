"""The figures of the main job on real data: `python -m benchmarks.loops` (`make bench`).

Prints, with the shipped architecture, resolution and settings: F1 on bands of x never learnt (pooled over four bands), count and
size errors, robustness against noise, then the time per stage and the memory of `analyze` on the whole video and on 200 frames.
The models of the held-out bands are trained first where `benchmarks/out/loops` lacks them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.data import OUT, ROOT, data_folder
from morphoscope.by_place import ByPlace
from morphoscope.evaluate import noise_table, score_images, summarise
from morphoscope.io.labels import read_boxes
from morphoscope.recipe import load_recipe
from morphoscope.train.detect import UNVALIDATED, DetectorTraining
from morphoscope.train.export import export_detector

RECIPE = ROOT / "examples" / "train-loops.toml"


def fold_models(job: DetectorTraining) -> list[Path]:
    """The models of the held-out bands, trained where they are not there yet."""
    models = [OUT / "loops" / f"band-{k}.onnx" for k in range(job.recipe.train.bands)]
    for model, band in zip(models, job.bands(), strict=True):
        if not model.exists():
            print(f"training {model.name} (some minutes)", flush=True)
            network = job.fit(band)
            export_detector(network, job.card(network, threshold=UNVALIDATED, metrics={}), model)
    return models


def accuracy() -> None:
    """Detection by place, count, size, noise."""
    data = read_boxes(data_folder("loops-stem"))
    job = DetectorTraining(data, ("loop",), load_recipe(RECIPE), "loops")
    find = ByPlace(fold_models(job), job.bands(), data)
    result = summarise(score_images(find, data), min_objects=40)
    print("\n== detection on bands of x never learnt, pooled ==")
    print(f"thresholds chosen on the other bands: {find.thresholds}")
    print(result.by_iou.to_string(index=False, float_format="%.3f"))
    print("\n== per frame ==")
    print(result.frames.to_string(index=False, float_format="%.3f"))
    for name in ("f1", "f1_at_0.5", "count_error_mean", "count_error_worst", "size_error_mean", "size_error_worst"):
        print(f"{name}: {result.metrics[name]:.4f}")
    print("\n== recall by true size (px) ==")
    print(result.by_size.to_string(index=False, float_format="%.3f"))
    print("\n== noise ==")
    print(noise_table(find, data).to_string(index=False, float_format="%.4f"))


def speed() -> None:
    """Frames per second, time per stage and peak memory of `analyze`, each run a process of its own."""
    video = data_folder("loops-stem") / "video.mp4"
    for frames in (200, None):
        with tempfile.TemporaryDirectory() as scratch:
            recipe = Path(scratch) / "recipe.toml"
            text = (ROOT / "examples" / "loops.toml").read_text(encoding="utf-8")
            recipe.write_text(_limited(text, frames), encoding="utf-8")
            run = Path(scratch) / "run"
            command = ["analyze", str(video), "--recipe", str(recipe), "-o", str(run), "--no-overlay"]
            subprocess.run([sys.executable, "-m", "morphoscope.cli", *command], check=True, stdout=subprocess.DEVNULL)
            facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
        print(f"\n== analyze, {frames or 'all'} frames, overlay off ==")
        print(
            json.dumps({k: facts[k] for k in ("counts", "timings_s", "peak_memory_mb", "frames_per_s") if k in facts}, indent=2)
        )


def _limited(text: str, frames: int | None) -> str:
    if frames is None:
        return text
    return (
        text.replace("[frames]", f"[frames]\nstop = {frames}") if "[frames]" in text else f"{text}\n[frames]\nstop = {frames}\n"
    )


def main() -> None:
    """Both, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("all", "accuracy", "speed"), default="all")
    part = parser.parse_args().part
    if part in ("all", "accuracy"):
        accuracy()
    if part in ("all", "speed"):
        speed()


if __name__ == "__main__":
    main()
