"""What a run of `classify` says of itself: what is promised and what is not, findings, quantities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from morphoscope.measure.honest import BETWEEN
from morphoscope.models.card import ModelCard
from morphoscope.pipeline.classify_results import ACCEPT, FOREIGN, JOIN, MODEL, PERSON, REVIEW, ClassifyResults
from morphoscope.pipeline.image_parts import good_rows, said_of_images
from morphoscope.recipe import Recipe
from morphoscope.schema import QUANTITIES, conform

FEWER = 0.5  # times the share of the held-out images that is accepted, below which images are said to be unlike them
MANY_FOREIGN = 0.2
LIKE = 5  # images of a run at least, for shares to be compared


def promise_facts(results: ClassifyResults) -> dict[str, Any] | None:
    """What the accepted rest on, as plain values; None where no images were held out."""
    found = results.acceptance
    if found is None:
        return None
    threshold = found.threshold if found.possible else None
    return {
        "accuracy": found.target,
        "confidence": found.confidence,
        "possible": found.possible,
        "threshold": threshold,
        "held_out_share": found.share,
        "held_out_accuracy": None if math.isnan(found.accuracy) else found.accuracy,
        "accuracy_low": None if math.isnan(found.low) else found.low,
        "promised_at_most": found.promised,
        "groups": found.groups,
        "said": found.sentence,
    }


def classify_warnings(rows: pd.DataFrame, results: ClassifyResults, card: ModelCard) -> list[str]:
    """What to know before using the decisions."""
    said = said_of_images(good_rows(rows))
    found, own = results.acceptance, results.proposed
    if found is None:
        said.append(
            f"{card.name} carries no answers on images it has not learnt: no accuracy can be promised, nothing is accepted, and "
            "no prediction sets are given. Train it on more images of each category, some of which are then held out."
        )
    elif not found.possible:
        said.append(f"Nothing is accepted: {found.sentence}.")
    for name in card.unvalidated:
        count = int(((own["label"] == name) & (own["decision"] != FOREIGN)).sum())
        said.append(
            f"No image of {name} was held out when {card.name} was trained: how well it is told from others is not known, and no "
            f"promise covers it. Answers that name it ({count}) are left to a person. Train with images of it from more groups."
        )
    foreign = float((own["decision"] == FOREIGN).mean())
    if foreign > MANY_FOREIGN and len(own) >= LIKE:
        said.append(
            f"{foreign:.0%} of the images are like none that {card.name} has learnt. Look at the sheet of foreign images: they "
            "may be a category of their own, or come from another instrument; label some and train again."
        )
    kept = own["decision"] != FOREIGN
    if found is not None and found.possible and kept.sum() >= LIKE:
        share = float((own.loc[kept, "decision"] == ACCEPT).mean())
        if share < FEWER * found.share:
            said.append(
                f"The model is sure enough of {share:.0%} of the images only, of those held out in its training it was of "
                f"{found.share:.0%}: these images are unlike them, and what is promised of the accepted may not hold. Label some."
            )
    return said


def classify_notes(results: ClassifyResults, recipe: Recipe, card: ModelCard) -> list[str]:
    """What the decisions rest on."""
    said = []
    if results.acceptance is not None:
        said.append(
            "What is promised holds for images that come as those held out in the training did: the same categories in like "
            "shares, the same kind of instrument. Images of other kinds are found by their distance, but not all of them."
        )
    images = results.images
    copies = len(images) - len(images.drop_duplicates([name for name in ("sha256", "frame") if name in images]))
    if copies:
        said.append(f"{copies} of the {len(images)} images are copies, byte by byte, of others among them.")
    bare = int(images["pixel_size_nm"].isna().sum())
    if bare and bare < len(images):
        said.append(f"{bare} of {len(images)} images have no scale; categories do not depend on it.")
    unknown = sorted(set(images["label"]) - set(card.classes))
    if unknown:
        said.append(f"People gave images the categories {', '.join(unknown)}, which {card.name} does not know: train it again.")
    named = int((images["by"] == PERSON).sum())
    if named:
        changed = int(((images["by"] == PERSON) & (images["label"] != results.proposed["label"])).sum())
        said.append(f"{named} images have the word of a person, {changed} of them another category than the model's.")
    return said


def classify_findings(results: ClassifyResults, recipe: Recipe) -> list[str]:
    """The result in a few sentences: how much is left to a person."""
    images, own = results.images, results.images[results.images["by"] == MODEL]
    accepted, review, foreign = (int((own["decision"] == name).sum()) for name in (ACCEPT, REVIEW, FOREIGN))
    total = len(images)
    target = f"{recipe.classify.accuracy:.4g}"
    said = [
        f"{accepted} of {total} images are accepted (right in at least {target} of them is wanted), {review} are left to a "
        f"person, {foreign} are foreign" + (f", {total - len(own)} have a person's word" if total > len(own) else "")
    ]
    if results.acceptance is not None:
        said.append(results.acceptance.sentence)
    between = own.loc[own["decision"] != FOREIGN, "labels"].dropna()
    several = between[between.str.contains(JOIN, regex=False)]
    if len(several):
        common = several.map(lambda text: " and ".join(sorted(text.split(JOIN)))).value_counts()
        sure = int((own.loc[several.index, "decision"] == ACCEPT).sum())
        said.append(
            f"{len(several)} images lie between categories, {sure} of them accepted, most often {common.index[0]} "
            f"({common.iloc[0]} images)"
        )
    return said


def quantities(results: ClassifyResults, recipe: Recipe) -> pd.DataFrame:
    """Rows of `schema.QUANTITIES`: decisions, what is promised, mean size of the sets, share of each category."""
    images, found = results.images, results.acceptance
    total = len(images)
    rows: list[tuple[str, float, float, float, str, int, str]] = []
    for name, count in results.counts.items():
        if count or name in (ACCEPT, REVIEW, FOREIGN):
            rows.append((f"decision {name}", count / total, math.nan, math.nan, "share", total, "of all images"))
    if found is not None and found.possible:
        how = f"held-out images, {found.confidence:.0%} lower bound, groups as one"
        rows.append(("accuracy of the accepted", found.accuracy, found.low, math.nan, "share", found.groups, how))
    sets = results.proposed["labels"].dropna()
    if len(sets):
        size = float(np.mean([text.count(JOIN) + 1 for text in sets]))
        how = f"prediction sets, coverage {recipe.classify.coverage:.4g}; unless foreign all from a probability of {BETWEEN:g} on"
        rows.append(("categories per image", size, math.nan, math.nan, "", len(sets), how))
    named = images[images["decision"].isin((ACCEPT, REVIEW))]
    for label, count in named["label"].value_counts().sort_index().items():
        how = "most probable category or a person's, foreign images left out"
        rows.append((f"share {label}", count / max(len(named), 1), math.nan, math.nan, "share", len(named), how))
    return conform(pd.DataFrame(rows, columns=list(QUANTITIES)), QUANTITIES)
