"""What several commands print: progress on stderr, the summary of a run on stdout."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from morphoscope.pipeline import Run
    from morphoscope.pipeline.stream import Progress

WHOLE = 1e7  # numbers below it are printed without an exponent
INTERRUPTED = 130  # 128 and the number of the signal, as shells have it


@contextmanager
def progress_bar(text: str, *, quiet: bool = False) -> Iterator[Progress | None]:
    """A progress bar on stderr as the callback `analyze` takes; None where nothing is to be shown or nobody looks."""
    from rich.console import Console

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(text, total=None)

        def tell(done: int, total: int) -> None:
            ended = done >= total
            bar.update(task, completed=done, total=total, description="tracks, figures, report" if ended else text)

        yield tell


@contextmanager
def resumable(output: Path) -> Iterator[None]:
    """End a command that Ctrl-C interrupts with exit code 130, and say how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        hint = "the same command with --resume, and without --overwrite, goes on"
        typer.echo(f"interrupted; what is done is kept in {output}: {hint}", err=True)
        raise typer.Exit(INTERRUPTED) from None


def carry_out(start: Callable[..., Run], text: str, output: Path, *, overwrite: bool, resume: bool, as_json: bool) -> NoReturn:
    """Make a run, say what it found and end the command with its exit code.

    Args:
        start: takes `output`, `overwrite`, `resume` and `progress`, and gives the run.
        text: what it does, for the progress bar.
        output: the run folder.
        overwrite: replace the run that is there.
        resume: go on with it.
        as_json: print JSON and nothing else on stdout.

    Raises:
        UsageError: a run is to be replaced and gone on with.
        typer.Exit: in the end.
    """
    from morphoscope.errors import UsageError

    if overwrite and resume:
        raise UsageError("--overwrite starts again, --resume goes on: give one of them")
    with resumable(output), progress_bar(text, quiet=as_json) as progress:
        run = start(output=output, overwrite=overwrite, resume=resume, progress=progress)
    say_run(run, as_json=as_json)
    raise typer.Exit(run.exit_code)


def say_run(run: Run, *, as_json: bool = False) -> None:
    """Print what a run found; its warnings go to stderr."""
    for warning in run.warnings:
        typer.echo(f"note: {warning}", err=True)
    if as_json:
        typer.echo(json.dumps(run_facts(run), indent=2, ensure_ascii=False))
        return
    for line in run.info.get("findings") or ():
        typer.echo(line)
    for one in run.runs or (run,):
        if run.runs:
            typer.echo(f"{one.path.name}:")
        _say_quantities(one)
    speed = run.info.get("frames_per_s")
    typer.echo(f"report: {run.report}" + (f"   ({speed} frames/s)" if speed else ""))


def run_facts(run: Run) -> dict[str, Any]:
    """The headline of a run for machines."""
    quantities = [
        {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        for row in run.quantities.astype(object).where(run.quantities.notna(), None).to_dict("records")
    ]
    keys = (
        "counts",
        "decisions",
        "promise",
        "findings",
        "frames_per_s",
        "seconds",
        "peak_memory_mb",
        "timings_s",
        "failed",
        "runs",
    )
    facts = {key: run.info[key] for key in keys if key in run.info}
    return {
        "folder": str(run.path),
        "report": str(run.report),
        "exit_code": run.exit_code,
        "warnings": run.warnings,
        **facts,
        "quantities": quantities,
    }


def _say_quantities(run: Run) -> None:
    counts = run.info["counts"]
    typer.echo("  " + ", ".join(f"{value} {name}" for name, value in counts.items()))
    for row in run.quantities.to_dict("records"):
        if row["name"] in counts or math.isnan(row["value"]):
            continue
        value, spread = with_spread(row["value"], row["low"], row["high"])
        typer.echo(f"  {row['name']:<24} {value:>11} {row['unit']}{spread}")


def with_spread(value: float, low: float, high: float) -> tuple[str, str]:
    """A value, and its interval, its lower bound or nothing in words."""
    shown, least, most = readable(value, low, high)
    if math.isnan(low):
        return shown, ""
    return shown, f"  (at least {least})" if math.isnan(high) else f"  ({least} to {most})"


def readable(value: float, low: float, high: float) -> tuple[str, str, str]:
    """A value and its interval (nan: none) with the digits that tell them apart; whole numbers without an interval in full."""
    half, top = (high - low) / 2, max(abs(end) for end in (value, low, high) if not math.isnan(end))
    known = math.isfinite(half) and half > 0
    if not known and value == round(value) and abs(value) < WHOLE:
        return f"{value:.0f}", f"{low:.4g}", f"{high:.4g}"
    if not (known and 1e-3 <= top < WHOLE and half > 1e-6 * top):
        return f"{value:.4g}", f"{low:.4g}", f"{high:.4g}"
    decimals = max(1 - math.floor(math.log10(half)), 3 - math.floor(math.log10(top)), 0)
    return f"{value:.{decimals}f}", f"{low:.{decimals}f}", f"{high:.{decimals}f}"
