"""`morphoscope synth`: pictures or videos with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from morphoscope.errors import UsageError

KINDS = ("loops",)


def synth(
    kind: Annotated[str, typer.Argument(help="What to draw: " + ", ".join(KINDS))],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write into")],
    seed: Annotated[int, typer.Option(help="Same seed, same video")] = 0,
    frames: Annotated[int, typer.Option(min=1, help="Number of frames")] = 200,
    size: Annotated[str, typer.Option(metavar="WxH", help="Width and height in px")] = "1120x710",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the video that is in the folder")] = False,
) -> None:
    """Draw a video with known truth: video.mp4, truth tables, labelled frames and a recipe for analyze."""
    if kind not in KINDS:
        raise UsageError(f"synth draws {', '.join(KINDS)}; got {kind!r}")
    if (output / "video.mp4").exists() and not overwrite:
        raise UsageError(f"{output} holds a video already; --overwrite replaces it, another -o keeps it")
    from morphoscope.synth.loops import LoopScene
    from morphoscope.synth.write import write_video

    scene = LoopScene(seed=seed, n_frames=frames, shape=parse_size(size))
    with Progress(transient=True) as bar:
        task = bar.add_task("drawing", total=frames)
        write_video(scene, output, progress=lambda done, _: bar.update(task, completed=done))
    typer.echo(f"{output / 'video.mp4'}: {frames} frames of {size} px; the truth lies beside it")
    typer.echo(f"next: morphoscope analyze {output / 'video.mp4'} --recipe {output / 'recipe.toml'} -o RUN")


def parse_size(size: str) -> tuple[int, int]:
    """(height, width) from `WxH`.

    Raises:
        UsageError: it is not two whole numbers.
    """
    parts = size.lower().split("x")
    if len(parts) != 2 or not all(p.strip().isdigit() for p in parts):
        raise UsageError(f"--size wants WIDTHxHEIGHT in px such as 1120x710, got {size!r}")
    return int(parts[1]), int(parts[0])
