"""How fast images are classified: `python -m benchmarks.classify_speed [--images 300] [--backbone lite0]`.

Grey images of 1024 x 768 px with an info bar, as PNG, TIFF and JPEG, through the whole command: decoding, the network (weights of
ImageNet, heads of chance, 1000 known images), tables and report; two threads. Beside wall clock the CPU time of the process is
printed, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from morphoscope.models.card import ModelCard
from morphoscope.models.classify import load_classifier
from morphoscope.pipeline.classifying import classify
from morphoscope.recipe import parse_recipe
from morphoscope.train.backbones import build_backbone
from morphoscope.train.class_network import ClassNet
from morphoscope.train.export import export_classifier

WIDTH, HEIGHT, BAR, THREADS, KNOWN = 1024, 768, 60, 2, 1000
CLASSES = tuple(f"class {k}" for k in range(10))
SUFFIXES = (".png", ".tif", ".jpg")


def picture(seed: int) -> NDArray[np.uint8]:
    """A grey image with structure on all scales and an info bar."""
    rng = np.random.default_rng(seed)
    grey = sum(cv2.resize(rng.random((n * 3, n * 4)).astype(np.float32), (WIDTH, HEIGHT)) * 60 for n in (3, 20, 80))
    grey = np.clip(grey + rng.normal(20, 6, (HEIGHT, WIDTH)), 0, 255).astype(np.uint8)
    grey[-BAR:] = 0
    cv2.putText(grey, f"20.0 kV  x 50 000  {seed}", (20, HEIGHT - 20), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 2)
    return grey


def model(path: Path, backbone: str) -> None:
    """A classifier that has learnt nothing but costs what any other of its kind does."""
    network = ClassNet(build_backbone(backbone), classes=len(CLASSES), known=KNOWN)
    with torch.no_grad():
        network.bank.normal_()
        network.head.last.weight.normal_()
        network.reach.fill_(1e3)
    card = ModelCard(
        name="speed",
        task="classify",
        classes=CLASSES,
        preprocess="standard-rgb-1",
        postprocess="classes-of-image-1",
        view_px=network.backbone.side,
        answer="exclusive",
    )
    export_classifier(network, card, path)


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--backbone", default="lite0")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, path = Path(scratch) / "images", Path(scratch) / "speed.onnx"
        folder.mkdir()
        for k in range(given.images):
            cv2.imwrite(str(folder / f"{k}{SUFFIXES[k % len(SUFFIXES)]}"), picture(k))
        model(path, given.backbone)
        _network(path)
        recipe = parse_recipe({"classify": {"model": str(path)}, "run": {"threads": THREADS}})
        wall, spent = time.perf_counter(), time.process_time()
        classify(folder, recipe, Path(scratch) / "run")
        wall, spent = time.perf_counter() - wall, time.process_time() - spent
    print(
        f"{given.images} images of {WIDTH} x {HEIGHT} px, {given.backbone}, files to report: {given.images / wall:.1f} images/s "
        f"by the clock; {1e3 * spent / given.images:.1f} ms of CPU each, or {THREADS * given.images / spent:.1f} images/s on "
        f"{THREADS} cores of their own"
    )


def _network(path: Path) -> None:
    """The parts on one core: the image as the network sees it, and its answer."""
    classifier, image = load_classifier(path, threads=1), picture(0)
    seen = classifier.prepare(image)
    for name, work in (("prepare", lambda: classifier.prepare(image)), ("answer", lambda: classifier.answers([seen]))):
        spent = time.process_time()
        for _ in range(20):
            work()
        print(f"{name}: {1e3 * (time.process_time() - spent) / 20:.1f} ms of CPU", flush=True)


if __name__ == "__main__":
    main()
