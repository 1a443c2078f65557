"""How long a stack of 10 000 frames takes to open and to seek in, and what memory that needs: `python -m benchmarks.stacks`.

Each kind of file is written once into a scratch folder and opened in a process of its own, so that memory is that of one file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import mrcfile
import numpy as np
import tifffile

FRAMES, SIDE, SOUGHT = 10_000, 128, 200
PAGE = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 251).astype(np.uint16)


def plain_tiff(path: Path) -> None:
    """Pages one after the other, four strips each."""
    with tifffile.TiffWriter(path) as tiff:
        for _ in range(FRAMES):
            tiff.write(PAGE, contiguous=False, rowsperstrip=SIDE // 4, metadata=None)


def packed_tiff(path: Path) -> None:
    """Pages one after the other, deflated."""
    with tifffile.TiffWriter(path) as tiff:
        for _ in range(FRAMES):
            tiff.write(PAGE, contiguous=False, compression="zlib", metadata=None)


def imagej_tiff(path: Path) -> None:
    """One run of data, as ImageJ writes stacks."""
    tifffile.imwrite(path, np.broadcast_to(PAGE, (FRAMES, SIDE, SIDE)), imagej=True, metadata={"axes": "TYX"})


def mrc(path: Path) -> None:
    """An MRC stack."""
    with mrcfile.new_mmap(path, (FRAMES, SIDE, SIDE), mrc_mode=6) as file:
        file.data[:] = PAGE


def hdf5(path: Path) -> None:
    """An HDF5 dataset with a chunk per frame, compressed."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (FRAMES, SIDE, SIDE), "u2", chunks=(1, SIDE, SIDE), compression="gzip")
        for k in range(FRAMES):
            data[k] = PAGE


KINDS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "TIFF, strips": ("strips.tif", plain_tiff),
    "TIFF, deflate": ("deflate.tif", packed_tiff),
    "TIFF, ImageJ": ("imagej.tif", imagej_tiff),
    "MRC": ("stack.mrc", mrc),
    "HDF5, gzip": ("stack.h5", hdf5),
}


def measure(path: Path) -> dict[str, float]:
    """Seconds to the first frame, milliseconds for a random one, and MB of memory that reading 200 of them adds."""
    from morphoscope.io.open import open_frames
    from morphoscope.pipeline.provenance import peak_memory_mb

    before = peak_memory_mb() or 0.0
    start = time.perf_counter()
    with open_frames(path) as frames:
        np.testing.assert_array_equal(frames[0], PAGE)
        first = time.perf_counter() - start
        sought = np.random.default_rng(0).integers(0, FRAMES, SOUGHT).tolist()
        start = time.perf_counter()
        for number in sought:
            np.testing.assert_array_equal(frames[number], PAGE)
        seek = (time.perf_counter() - start) / SOUGHT
    return {
        "first frame s": round(first, 4),
        "random frame ms": round(1e3 * seek, 3),
        "memory MB": round((peak_memory_mb() or 0.0) - before, 1),
    }


def main() -> None:
    """Write, open and print a line for each kind."""
    if len(sys.argv) == 2:
        print(json.dumps(measure(Path(sys.argv[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, write) in KINDS.items():
            path = Path(folder) / file
            write(path)
            command = [sys.executable, "-m", "benchmarks.stacks", str(path)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            print(
                f"{name:14} {FRAMES} frames of {SIDE} x {SIDE} px, {path.stat().st_size / 1e6:.0f} MB: {said.strip()}", flush=True
            )
            path.unlink()


if __name__ == "__main__":
    main()
