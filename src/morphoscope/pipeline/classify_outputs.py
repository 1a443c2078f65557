"""What a run of `classify` leaves in its folder: tables, the figure of decisions, the report with its contact sheets."""

from __future__ import annotations

import math
from typing import Any

from morphoscope.io.tables import write_csv, write_table
from morphoscope.pipeline.classify_job import ClassifyJob
from morphoscope.pipeline.classify_remarks import quantities
from morphoscope.pipeline.classify_results import ACCEPT, FOREIGN, MODEL, PERSON, REVIEW, ClassifyResults
from morphoscope.pipeline.contact_sheets import contact_sheets
from morphoscope.recipe_text import recipe_toml
from morphoscope.report.class_figures import decisions
from morphoscope.report.class_report import write_class_report
from morphoscope.report.score_cards import Card
from morphoscope.report.style import save_figure


def write_classify_outputs(job: ClassifyJob, results: ClassifyResults, info: dict[str, Any]) -> None:
    """Write everything but run.json, images and decisions first."""
    folder, recipe, card = job.output, job.recipe, job.classifier.card
    told = quantities(results, recipe)
    with job.clock.stage("write tables"):
        write_table(folder / "images.parquet", results.images)
        if recipe.report.csv:
            write_csv(folder / "images.csv", results.images)
        if len(results.next):
            write_csv(folder / "next.csv", results.next)
        write_csv(folder / "quantities.csv", told)
        (folder / "recipe.toml").write_text(recipe_toml(recipe), encoding="utf-8")
    with job.clock.stage("figures"):
        found = results.acceptance
        threshold = found.threshold if found is not None and found.possible else None
        save_figure(decisions(results.images, threshold=threshold), folder / "figures", "decisions", recipe.report.svg)
    with job.clock.stage("contact sheets"):
        sheets = contact_sheets(results.images, job.looker) if recipe.report.overlay else []
    with job.clock.stage("report"):
        timed = {name: round(seconds, 3) for name, seconds in job.clock.seconds.items()}
        write_class_report(
            folder,
            run={**info, "timings_s": timed},
            cards=cards(results),
            quantities=told,
            upcoming=results.next,
            card=card.model_dump(mode="json"),
            sheets=sheets,
        )


def cards(results: ClassifyResults) -> list[Card]:
    """Accepted, left to a person, foreign, said by people; each with what is known of it."""
    images, found = results.images, results.acceptance
    total, own = len(images), images[images["by"] == MODEL]
    count = {name: int((own["decision"] == name).sum()) for name in (ACCEPT, REVIEW, FOREIGN)}
    promised = ["nothing can be promised"]
    if found is not None and found.possible:
        promised = [
            f"at least {100 * found.target:.4g} % right, {100 * found.confidence:.4g} % confidence",
            f"probability {found.threshold:.4g} or more",
        ]
    elif found is not None:
        promised = [f"at most {math.floor(1000 * found.promised) / 10:g} % could be promised"]
    shown = [
        Card("accepted", f"{count[ACCEPT]} of {total}", tuple(promised)),
        Card("left to a person", f"{count[REVIEW]} of {total}", ("not sure enough",)),
        Card("foreign", f"{count[FOREIGN]} of {total}", ("like none of the images learnt",)),
    ]
    named = int((images["by"] == PERSON).sum())
    return shown + ([Card("said by people", f"{named} of {total}", ("hold, whatever the model says",))] if named else [])
