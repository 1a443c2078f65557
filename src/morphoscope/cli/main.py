"""The `morphoscope` command: all commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from morphoscope import __version__
from morphoscope.errors import MorphoscopeError

# each is the function, or the application with subcommands, of its own name in the module of its own name
COMMANDS = (
    *("demo", "init", "analyze", "segment", "score", "classify", "orient", "evaluate", "compare", "train", "synth"),
    *("info", "models", "doctor", "rerun", "diff", "labels"),
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"morphoscope {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Microscope images and in-situ videos to reviewed physical results: detect, measure, track, report.

    Start with `morphoscope demo`. Exit codes: 0 done, 2 wrong use, 3 bad input, 4 partly done.
    """


def build_app() -> typer.Typer:
    """The typer application with all commands."""
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown", add_completion=False)
    app.callback()(_root)
    for name in COMMANDS:
        found = getattr(import_module(f"morphoscope.cli.{name}"), name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (of this process where no arguments are given) and exit."""
    try:
        build_app()(args=None if arguments is None else list(arguments), prog_name="morphoscope")
    except MorphoscopeError as error:
        print(f"morphoscope: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:  # a full disk, a folder without the right to write
        print(f"morphoscope: {error.strerror or error}" + (f": {error.filename}" if error.filename else ""), file=sys.stderr)
        sys.exit(MorphoscopeError.exit_code)
