"""`morphoscope demo`: the main job on a built-in sample with known truth."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from morphoscope.demo import Check
    from morphoscope.pipeline import Run
    from morphoscope.pipeline.stream import Progress

KINDS = ("loops", "particles", "films", "sem")


def demo(
    kind: Annotated[str, typer.Argument(help="the sample: " + ", ".join(KINDS))] = "loops",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="folder; default: morphoscope-demo-SEED")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="the same seed gives the same video; default: a fresh one")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the demo that is in the folder")] = False,
) -> None:
    """Draw a sample with known truth, analyse it, and show found against true values with pass marks.

    loops: a video of growing dislocation loops. particles: pictures of two samples, and a video in which particles merge.
    films: a scorer is taught by a few labelled films, then scores a film that dewets and films of a grid of conditions.
    sem: categories are taught by a few labelled pictures, a mixed folder is classified, a person's corrections teach a second
    model, and the directions of nanowires are told (needs the extra `train`).
    """
    from morphoscope.cli.show import INTERRUPTED, progress_bar
    from morphoscope.errors import RunExistsError, UsageError

    if kind not in KINDS:
        raise UsageError(f"the samples are {', '.join(KINDS)}; got {kind!r}")
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    folder = output or Path(f"morphoscope-demo-{seed}")
    if (folder / "run").exists() and not overwrite:
        raise RunExistsError(f"{folder} holds a demo already; --overwrite replaces it, another -o keeps it")
    try:
        with progress_bar("analysing") as progress:
            runs, checks = STORIES[kind](folder, seed, overwrite, progress)
    except KeyboardInterrupt:
        typer.echo(
            f"interrupted; `morphoscope demo {kind} -o {folder} --seed {seed} --overwrite` starts the same again", err=True
        )
        raise typer.Exit(INTERRUPTED) from None
    _say(checks)
    for run in runs:
        typer.echo(f"report: {run.report}")
    code = max(run.exit_code for run in runs)
    if code or not all(check.passed for check in checks):
        raise typer.Exit(code or 1)


Story = tuple[list["Run"], list["Check"]]


def _loops(folder: Path, seed: int, overwrite: bool, progress: Progress | None) -> Story:
    from morphoscope.demo import run_demo

    typer.echo(f"seed {seed}: drawing a video of growing dislocation loops into {folder / 'sample'}")
    run, checks = run_demo(folder, seed, overwrite=overwrite, progress=progress)
    return [run], checks


def _particles(folder: Path, seed: int, overwrite: bool, progress: Progress | None) -> Story:
    from morphoscope.demo_particles import MODEL, run_particles_demo

    typer.echo(
        f"seed {seed}: drawing two samples of particles into {folder / 'pictures'} and a video of coalescence into "
        f"{folder / 'video'}; outlined by {MODEL}"
    )
    story = run_particles_demo(folder, seed, overwrite=overwrite, progress=progress)
    return [story.pictures, story.video], story.checks


def _films(folder: Path, seed: int, overwrite: bool, progress: Progress | None) -> Story:
    from morphoscope.demo_films import LABELLED, MODEL, run_films_demo

    typer.echo(
        f"seed {seed}: drawing {LABELLED} labelled films into {folder / 'labelled'}, a film that dewets into {folder / 'series'} "
        f"and films of a grid of conditions into {folder / 'surface'}"
    )
    story = run_films_demo(folder, seed, overwrite=overwrite, progress=progress)
    if story.model == MODEL:
        typer.echo(f"PyTorch is not installed, so nothing was taught: scored by the shipped model {MODEL}")
    else:
        typer.echo(f"scored by {story.model}: the shipped model {MODEL}, taught by the labelled films")
    return [story.series, story.surface], story.checks


def _sem(folder: Path, seed: int, overwrite: bool, progress: Progress | None) -> Story:
    from morphoscope.demo_sem import ACCURACY, run_sem_demo

    typer.echo(
        f"seed {seed}: drawing pictures of categories into {folder / 'labelled'} and mixed ones into {folder / 'pool'}; "
        "teaching, classifying, correcting, teaching again: two or three minutes"
    )
    story = run_sem_demo(folder, seed, overwrite=overwrite, progress=progress)
    for name, run in (("mixed pictures", story.first), ("new pictures, taught again", story.second)):
        counts = ", ".join(f"{count} {decision}" for decision, count in run.info["decisions"].items() if count)
        typer.echo(f"{name}: {counts} (accepted: at least {ACCURACY:.0%} right)")
    for how, taken in (("moved between the sorted folders", story.moved), ("answered in next.csv", story.told)):
        counts = ", ".join(f"{count} {label}" for label, count in sorted(taken.counts.items()) if count)
        typer.echo(f"{how}: {counts or 'none'}")
    return [story.first, story.wires, story.second], story.checks


STORIES: dict[str, Callable[[Path, int, bool, Progress | None], Story]] = {
    "loops": _loops,
    "particles": _particles,
    "films": _films,
    "sem": _sem,
}


def _say(checks: list[Check]) -> None:
    typer.echo(f"{'':<32} {'found':>11} {'true':>11} {'':<6} {'error':>9} {'allowed':>9}")
    for check in checks:
        error, limit = (
            (f"{100 * check.error:.1f} %", f"{100 * check.limit:.0f} %")
            if check.relative
            else (f"{check.error:.2f} {check.unit}", f"{check.limit:.2f} {check.unit}")
        )
        mark = typer.style("pass", fg="green") if check.passed else typer.style("FAIL", fg="red", bold=True)
        typer.echo(f"{check.name:<32} {check.found:>11.4g} {check.true:>11.4g} {check.unit:<6} {error:>9} {limit:>9}  {mark}")
