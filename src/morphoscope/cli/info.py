"""`morphoscope info`: what a file holds and what it says about its scale and timing."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from morphoscope.io.frames import Frames


def info(
    file: Annotated[Path, typer.Argument(help="Video, TIFF stack, picture or folder of pictures")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs")] = False,
) -> None:
    """Show size, frames, scale and interval of a file, each with where it comes from."""
    from morphoscope.io.open import open_frames

    with open_frames(file) as frames:
        found = describe(file, frames)
    typer.echo(json_module.dumps(found, indent=2, ensure_ascii=False) if json else as_text(found))


def describe(file: Path, frames: Frames) -> dict[str, Any]:
    """Plain values about opened frames: file, frames, height_px, width_px, dtype, calibration, notes."""
    return {
        "file": str(file),
        "frames": len(frames),
        "height_px": frames.shape[0],
        "width_px": frames.shape[1],
        "dtype": str(frames.dtype),
        "calibration": frames.calibration.to_dict(),
        "notes": list(frames.notes),
    }


def as_text(found: dict[str, Any]) -> str:
    """The values of `describe` as lines for people."""
    calibration = found["calibration"]
    source = calibration["provenance"]
    size, interval = calibration["pixel_size_nm"], calibration["frame_interval_s"]
    unknown = "not in the file; give it as calibration.{} in the recipe"
    scale = unknown.format("pixel_size_nm")
    if size:
        square = f"{size[0]:.6g} nm per px" if size[0] == size[1] else f"{size[0]:.6g} (y), {size[1]:.6g} (x) nm per px"
        field = f"field {found['width_px'] * size[1]:.4g} x {found['height_px'] * size[0]:.4g} nm"
        scale = f"{square}, from the {source['pixel_size_nm']}; {field}"
    time = f"{interval:.6g} s, from the {source['frame_interval_s']}" if interval else unknown.format("frame_interval_s")
    lines = [
        f"file      {found['file']}",
        f"frames    {found['frames']}",
        f"size      {found['width_px']} x {found['height_px']} px, {found['dtype']}",
        f"scale     {scale}",
        f"interval  {time}",
    ]
    lines += [f"axis      {a['name']} = {a['start']:g} + {a['step']:g} x frame {a['unit']}".rstrip() for a in calibration["axes"]]
    return "\n".join(lines + [f"note      {note}" for note in found["notes"]])
