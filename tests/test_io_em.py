"""Formats through rosettasciio, and what `open_frames` says of wrong extensions and of what is not there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
from rsciio import digitalsurf, ripple

from em_files import dm_image, write_dm, write_ser
from morphoscope.errors import InputError, UsageError
from morphoscope.io.open import SUPPORTED, open_frames

SHAPE = (20, 30)


def signal(data: np.ndarray, unit: str = "nm", navigation: str = "s", inside: int = 2) -> dict[str, Any]:
    names, scales = ("time", "y", "x")[-data.ndim :], (0.5, 0.3, 0.2)[-data.ndim :]
    axes = [
        {
            "name": name,
            "scale": scale,
            "offset": 0.0,
            "size": size,
            "index_in_array": k,
            "navigate": k < data.ndim - inside,
            "units": navigation if name == "time" else unit,
        }
        for k, (name, scale, size) in enumerate(zip(names, scales, data.shape, strict=True))
    ]
    metadata = {"General": {"title": "a"}, "Signal": {"signal_type": ""}}
    return {
        "data": data,
        "axes": axes,
        "metadata": metadata,
        "original_metadata": {},
        "learning_results": {},
        "attributes": {},
        "package": "",
        "package_version": "",
    }


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_stack_through_ripple(tmp_path: Path, dtype: Any) -> None:
    data = np.random.default_rng(0).integers(0, 200, (4, *SHAPE)).astype(dtype)
    ripple.file_writer(str(tmp_path / "a.rpl"), signal(data))
    with open_frames(tmp_path / "a.rpl") as frames:
        assert (len(frames), frames.shape, frames.dtype) == (4, SHAPE, dtype)
        np.testing.assert_array_equal(np.concatenate([block for _, block in frames.blocks(0, 4, 3)]), data)
        assert frames.calibration.pixel_size_nm == pytest.approx((0.3, 0.2))
        assert frames.calibration.frame_interval_s == pytest.approx(0.5)
        assert frames.calibration.provenance["pixel_size_nm"] == "header (rosettasciio)"


def test_a_surface_through_digitalsurf(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(-50, 50, SHAPE).astype(np.int16)
    digitalsurf.file_writer(str(tmp_path / "a.sur"), signal(data, unit="um"))
    with open_frames(tmp_path / "a.sur") as frames:
        np.testing.assert_allclose(frames[0], data, atol=1e-4)
        assert frames.calibration.pixel_size_nm == pytest.approx((300, 200), rel=1e-5)


def test_spectra_and_damage(tmp_path: Path) -> None:
    ripple.file_writer(str(tmp_path / "a.rpl"), signal(np.zeros((5, 40), np.float32), inside=1))
    with pytest.raises(InputError, match="spectra"):
        open_frames(tmp_path / "a.rpl")
    for suffix in (".tvips", ".mib", ".bcf", ".emi", ".prz", ".sur"):
        (tmp_path / f"b{suffix}").write_bytes(bytes(range(1, 200)) * 8)
        with pytest.raises(InputError, match=rf"b\{suffix}"):
            open_frames(tmp_path / f"b{suffix}")


def test_without_the_plug_in_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tvips").write_bytes(bytes(100))
    monkeypatch.setitem(sys.modules, "rsciio.tvips", None)
    with pytest.raises(UsageError, match=r'pip install "morphoscope\[em\]"'):
        open_frames(tmp_path / "a.tvips")


@pytest.fixture
def real(tmp_path: Path) -> dict[str, Path]:
    """A good file of each kind."""
    image = np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.uint8)
    folder = tmp_path / "real"
    folder.mkdir()
    for suffix in (".png", ".jpg", ".bmp"):
        cv2.imwrite(str(folder / f"a{suffix}"), image)
    tifffile.imwrite(folder / "a.tif", image)
    with h5py.File(folder / "a.h5", "w") as file:
        file["data"] = image
    mrcfile.write(folder / "a.mrc", image.astype(np.float32))
    write_dm(folder / "a.dm3", dm_image(image), version=3)
    write_dm(folder / "a.dm4", dm_image(image))
    write_ser(folder / "a.ser", image[None])
    (folder / "a.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))
    (folder / "a.avi").write_bytes(b"RIFF\x10\x00\x00\x00AVI LIST" + bytes(100))
    (folder / "a.txt").write_text("1 2 3\n4 5 6\n")
    return {path.suffix: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("is_really", "named", "words"),
    [
        (".png", ".tif", "a PNG picture by its content.*rename it to b.png"),
        (".tif", ".png", "a TIFF file by its content.*rename it to b.tif"),
        (".h5", ".dm4", "an HDF5 file by its content.*rename it to b.h5"),
        (".mp4", ".tif", "an MP4 or QuickTime video by its content.*rename it to b.mp4"),
        (".avi", ".mrc", "an AVI video"),
        (".txt", ".mrc", "a text file by its content.*cannot be read as .mrc"),
        (".txt", ".tif", "a text file"),
        (".mrc", ".h5", "an MRC file by its content.*rename it to b.mrc"),
        (".dm3", ".ser", "a DigitalMicrograph 3 file by its content.*rename it to b.dm3"),
        (".dm4", ".emd", "a DigitalMicrograph 4 file"),
        (".ser", ".mp4", "a SER file"),
        (".jpg", ".txt", "a JPEG picture"),
        (".bmp", ".gwy", "a BMP picture"),
        (".png", ".tvips", "a PNG picture"),
        (".tif", ".xyzzy", "a TIFF file by its content.*rename it to b.tif"),
        (".h5", "", "an HDF5 file"),
    ],
)
def test_a_wrong_extension_is_named_with_the_right_one(
    tmp_path: Path, real: dict[str, Path], is_really: str, named: str, words: str
) -> None:
    shutil.copy(real[is_really], tmp_path / f"b{named}")
    with pytest.raises(InputError, match=words):
        open_frames(tmp_path / f"b{named}")


def test_the_right_extension_opens(real: dict[str, Path]) -> None:
    for suffix in (".png", ".jpg", ".bmp", ".tif", ".h5", ".mrc", ".dm3", ".dm4", ".ser", ".txt"):
        with open_frames(real[suffix]) as frames:
            assert frames[0].shape == frames.shape


def test_pictures_may_swap_their_suffixes(tmp_path: Path, real: dict[str, Path]) -> None:
    shutil.copy(real[".png"], tmp_path / "b.jpg")
    with open_frames(tmp_path / "b.jpg") as frames:
        assert frames.shape == SHAPE


def test_parts_of_what_has_none_are_refused(real: dict[str, Path]) -> None:
    for suffix in (".png", ".ser", ".mrc", ".txt", ".mp4"):
        with pytest.raises(UsageError, match="part"):
            open_frames(real[suffix], part=3)
    with pytest.raises(UsageError, match="folder"):
        open_frames(real[".png"].parent, part="x")
    with pytest.raises(UsageError, match="channel"):
        open_frames(real[".mp4"], channel=1)


def test_all_families_are_named_as_supported() -> None:
    for word in (".mp4", ".tif", ".png", ".mrc", ".dm4", ".ser", ".emd", ".gwy", ".spm", ".txt", ".tvips", "`em`"):
        assert word in SUPPORTED
