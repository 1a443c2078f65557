"""`morphoscope models`: the models in the package."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def models(as_json: Annotated[bool, typer.Option("--json", help="print the cards as JSON")] = False) -> None:
    """List the shipped models and what their cards say."""
    from rich.console import Console
    from rich.table import Table

    from morphoscope.models.card import shipped_models
    from morphoscope.models.runtime import read_card

    cards = {name: read_card(path) for name, path in shipped_models().items()}
    if as_json:
        typer.echo(json.dumps({name: card.model_dump(mode="json") for name, card in cards.items()}, indent=2))
        return
    table = Table("name", "task", "classes", "nm per px", "threshold", "F1", "trained on", "licence of the data")
    for name, card in cards.items():
        table.add_row(
            name,
            card.task,
            ", ".join(card.classes),
            "any" if card.pixel_size_nm is None else f"{card.pixel_size_nm:.4g}",
            f"{card.threshold:.3g}",
            f"{card.metrics['f1']:.3f}" if "f1" in card.metrics else "",
            ", ".join(source.name for source in card.data),
            ", ".join(source.licence for source in card.data),
        )
    Console().print(table)
