"""Progress of a training on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer


@contextmanager
def progress_bars(total: int | None) -> Iterator[Callable[[str, int, float], None]]:
    """What a training calls with (stage, step, loss): a bar for each stage, or a line where there is no terminal."""
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        rows = {}

        def show(stage: str, step: int, loss: float) -> None:
            if stage not in rows:
                rows[stage] = bar.add_task(stage, total=total)
                if not bar.console.is_terminal:
                    typer.echo(f"{stage} ...", err=True)
            bar.update(rows[stage], completed=step, description=stage if loss != loss else f"{stage}, loss {loss:.3f}")

        yield show
