"""Where the real data lies: MORPHOSCOPE_DATA, else `shared/data` beside the project."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "benchmarks" / "out"


def data_folder(name: str) -> Path:
    """The folder of one data set; ends the program with a clear message where it is absent."""
    base = Path(os.environ.get("MORPHOSCOPE_DATA", ROOT.parent / "shared" / "data"))
    if not (base / name).is_dir():
        sys.exit(f"wanted the data set {name} in {base}; set MORPHOSCOPE_DATA to the folder that holds it")
    return base / name
