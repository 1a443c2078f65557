"""`morphoscope rerun`: a run again, with its own recipe and inputs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer


def rerun(
    run: Annotated[Path, typer.Argument(help="a run folder")],
    output: Annotated[Path, typer.Option("--output", "-o", help="the new run folder")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the run that is in the new folder")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run that is in the new folder")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
) -> None:
    """Analyse the inputs of a run again with its recipe; `morphoscope diff` then compares the two."""
    from morphoscope.cli.show import carry_out
    from morphoscope.pipeline import open_run
    from morphoscope.pipeline.again import analyze_again

    start = partial(analyze_again, open_run(run))
    carry_out(start, "detecting", output, overwrite=overwrite, resume=resume, as_json=as_json)
