"""`morphoscope doctor`: what this installation has and can do."""

from __future__ import annotations

from importlib.util import find_spec

import typer

EXTRAS = {"train": ("torch", "onnx"), "openvino": ("openvino",)}


def doctor() -> None:
    """Show versions, inference providers, cores, shipped models and extras; exit 3 where something is broken."""
    from morphoscope.errors import MorphoscopeError
    from morphoscope.models.card import shipped_models
    from morphoscope.models.runtime import available_providers, read_card
    from morphoscope.pipeline.provenance import machine, versions

    for name, version in versions().items():
        typer.echo(f"{name:<24} {version}")
    here = machine()
    typer.echo(f"{'system':<24} {here['system']}, {here['cores']} cores")
    typer.echo(f"{'providers':<24} {', '.join(available_providers())}")
    for extra, packages in EXTRAS.items():
        missing = [package for package in packages if find_spec(package) is None]
        said = "present" if not missing else f"absent (pip install 'morphoscope[{extra}]')"
        typer.echo(f"{'extra ' + extra:<24} {said}")
    broken = not shipped_models()
    if broken:
        typer.echo(f"{'model':<24} none is shipped: the installation is incomplete")
    for name, path in shipped_models().items():
        try:
            card = read_card(path)
            typer.echo(f"{'model ' + name:<24} {card.task}, loads ({path.stat().st_size / 1e6:.1f} MB)")
        except MorphoscopeError as error:
            broken = True
            typer.echo(f"{'model ' + name:<24} BROKEN: {error}")
    raise typer.Exit(3 if broken else 0)
