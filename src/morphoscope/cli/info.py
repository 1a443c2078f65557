"""`morphoscope info`: what a file holds and what it says about its scale and timing."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from morphoscope.io.frames import Frames


def info(
    file: Annotated[Path, typer.Argument(help="Video, TIFF stack, picture or folder of pictures")],
    part: Annotated[str | None, typer.Option(help="which image or dataset, by name or number, of a file with several")] = None,
    channel: Annotated[str | None, typer.Option(help="colour or channel: 0, 1, ... or red, green, blue")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs")] = False,
) -> None:
    """Show size, frames, scale and interval of a file, each with where it comes from."""
    from morphoscope.io.open import open_frames

    with open_frames(file, part=as_number(part), channel=as_number(channel)) as frames:
        found = describe(file, frames)
    typer.echo(json_module.dumps(found, indent=2, ensure_ascii=False) if json else as_text(found))


def as_number(text: str | None) -> int | str | None:
    """A name, or the number that it is."""
    return int(text) if text is not None and text.isdecimal() else text


def describe(file: Path, frames: Frames) -> dict[str, Any]:
    """Plain values about opened frames, and about the scale bar and info bar in the first of them."""
    from morphoscope.errors import TruncatedError
    from morphoscope.measure.info_bar import find_info_bar
    from morphoscope.models.scale_bar import find_scale_bar
    from morphoscope.pipeline.height_maps import is_height_map
    from morphoscope.pipeline.scale import check_scale

    try:
        picture = frames[0]
    except TruncatedError:
        picture = None
    drawn_on = picture is not None and not is_height_map(frames)  # no bar is drawn into heights
    bar = find_scale_bar(picture) if drawn_on and picture is not None else None
    info_bar = frames.metadata.get("image_height_px") or (None if picture is None else find_info_bar(picture))
    return {
        "file": str(file),
        "frames": len(frames),
        "height_px": frames.shape[0],
        "width_px": frames.shape[1],
        "dtype": str(frames.dtype),
        "calibration": frames.calibration.to_dict(),
        "scale_bar": None if bar is None else {**asdict(bar), "pixel_size_nm": bar.pixel_size_nm},
        "info_bar_from_row": info_bar,
        "metadata": dict(frames.metadata),
        "frame_data": [] if frames.frame_data is None else list(frames.frame_data.columns),
        "notes": [*frames.notes, *check_scale(frames.calibration, bar).warnings],
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
    bar = found["scale_bar"]
    if bar is not None:
        reads = f"reads {bar['text']}: {bar['pixel_size_nm']:.6g} nm per px" if bar["text"] else "its text cannot be read"
        lines.append(f"scale bar {bar['length_px']:.1f} px in the picture, {reads}")
    if found["info_bar_from_row"] is not None:
        lines.append(f"info bar  from row {found['info_bar_from_row']}")
    lines += [f"{name}: {value}" for name, value in found["metadata"].items()]
    if found["frame_data"]:
        lines.append(f"per frame {', '.join(found['frame_data'])}")
    lines += [f"axis      {a['name']} = {a['start']:g} + {a['step']:g} x frame {a['unit']}".rstrip() for a in calibration["axes"]]
    return "\n".join(lines + [f"note      {note}" for note in found["notes"]])
