"""What becomes of each image: its category, the set that holds the true one, accepted or not; and which to label next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.measure.honest import BETWEEN, Acceptance, HeldOut, accept_threshold, prediction_sets
from morphoscope.measure.label_next import label_next, unsureness
from morphoscope.models.card import ModelCard, held_out_of
from morphoscope.pipeline.class_project import Key, Said
from morphoscope.pipeline.image_parts import ERROR, SAID
from morphoscope.recipe import Recipe
from morphoscope.schema import IMAGES, LABEL_NEXT, conform

ACCEPT, REVIEW, FOREIGN, REJECT = "accept", "review", "foreign", "reject"
DECISIONS = (ACCEPT, REVIEW, FOREIGN, REJECT)
MODEL, PERSON = "model", "person"
CANDIDATES = 30  # times as many images as are to be named, the most unsure ones, are compared
JOIN = "|"
FOREIGN_WEIGHT = 0.5  # unsureness of foreign images: they may be a new category, or nothing worth a label


@dataclass(frozen=True)
class ClassifyResults:
    """Tables of a run of `classify`.

    `proposed` are the model's own answers, row by row as in `images`, in which the word of a person holds.
    """

    classes: tuple[str, ...]
    images: pd.DataFrame
    proposed: pd.DataFrame
    next: pd.DataFrame
    acceptance: Acceptance | None

    @property
    def counts(self) -> dict[str, int]:
        """How many images each decision was taken for."""
        return {name: int((self.images["decision"] == name).sum()) for name in DECISIONS}


def classify_results(
    rows: pd.DataFrame,
    card: ModelCard,
    recipe: Recipe,
    said: Mapping[Key, Said],
    features: Callable[[NDArray[np.int64]], NDArray[np.float32]],
) -> ClassifyResults:
    """Decide on the images of a run.

    Args:
        rows: of all parts, of files that cannot be used too.
        card: of the model.
        recipe: its section `classify`.
        said: what people said.
        features: gives those (n, d) of rows by their rising numbers.
    """
    good = rows[rows[ERROR].isna()]
    held = held_out_of(card)
    acceptance = None
    if held is not None:
        acceptance = accept_threshold(held, accuracy=recipe.classify.accuracy, confidence=recipe.classify.confidence)
    proposed = _proposed(good, card, recipe, held, acceptance)
    images = _with_people(proposed, said)
    upcoming = _next(images, proposed, good.index.to_numpy(np.int64), recipe.classify.next, card.classes, features)
    return ClassifyResults(card.classes, images, proposed, upcoming, acceptance)


def _proposed(
    rows: pd.DataFrame, card: ModelCard, recipe: Recipe, held: HeldOut | None, acceptance: Acceptance | None
) -> pd.DataFrame:
    """What the model says: `schema.IMAGES`, a row for each of `rows`."""
    names = [f"prob_{name}" for name in card.classes]
    chances = rows[names].to_numpy(float)
    best = chances.argmax(axis=1)
    top = chances[np.arange(len(best)), best]
    foreign = rows["foreign"].to_numpy(float)
    sure = top >= acceptance.threshold if acceptance is not None else np.zeros(len(top), bool)
    sure &= ~np.isin(best, [card.classes.index(name) for name in card.unvalidated])
    table = rows.drop(columns=[SAID, ERROR]).reset_index(drop=True)
    if "frame" in table:
        table["frame"] = table["frame"].fillna(0)
    table["label"] = [card.classes[k] for k in best]
    table["probability"] = top
    table["decision"] = np.select([foreign > 1, sure], [FOREIGN, ACCEPT], REVIEW)
    table["labels"] = _sets(chances, (table["decision"] != FOREIGN).to_numpy(), card, recipe, held)
    table["by"] = MODEL
    order = [name for name in IMAGES if name in table]
    at = order.index("probability") + 1
    order[at:at] = names
    return conform(table[order], IMAGES)[order]


def _sets(
    chances: NDArray[np.float64], known: NDArray[np.bool_], card: ModelCard, recipe: Recipe, held: HeldOut | None
) -> list[str | None]:
    """The prediction set of each image, the most probable class first; null where no images were held out to rest it on.

    The set of a good model has one class even where two are near, as that covers enough images. Those that are like what was
    learnt (n,) therefore get all classes from `BETWEEN` on; a larger set covers no less.
    """
    if held is None:
        return [None] * len(chances)
    inside = prediction_sets(chances, held, coverage=recipe.classify.coverage) | (known[:, None] & (chances >= BETWEEN))
    order = np.argsort(-chances, axis=1, kind="stable")
    return [JOIN.join(card.classes[k] for k in line if among[k]) for line, among in zip(order, inside, strict=True)]


def _with_people(proposed: pd.DataFrame, said: Mapping[Key, Said]) -> pd.DataFrame:
    """The same with the word of a person where there is one: a category is accepted with it."""
    table = proposed.copy()
    frames = table["frame"] if "frame" in table else pd.Series(0, index=table.index)
    for at, sha256, frame in zip(table.index, table["sha256"], frames, strict=True):
        word = said.get((str(sha256), int(frame)))
        if word is None:
            continue
        table.loc[at, "by"] = PERSON
        table.loc[at, "decision"] = word.decision if word.decision in (FOREIGN, REJECT, REVIEW) else ACCEPT
        if word.label is not None:
            table.loc[at, "label"] = word.label
            name = f"prob_{word.label}"
            table.loc[at, "probability"] = table.loc[at, name] if name in table else np.nan
    return table


def _next(
    images: pd.DataFrame,
    proposed: pd.DataFrame,
    numbers: NDArray[np.int64],
    count: int,
    classes: tuple[str, ...],
    features: Callable[[NDArray[np.int64]], NDArray[np.float32]],
) -> pd.DataFrame:
    """`schema.LABEL_NEXT`: images that no person has named yet, each content once, unsure and unlike each other."""
    chances = proposed[[f"prob_{name}" for name in classes]].to_numpy(float)
    foreign = (proposed["decision"] == FOREIGN).to_numpy()
    unsure = np.where(foreign, FOREIGN_WEIGHT, unsureness(chances))
    frames = proposed["frame"] if "frame" in proposed else pd.Series(0, index=proposed.index)
    once = ~pd.DataFrame({"sha256": proposed["sha256"], "frame": frames}).duplicated().to_numpy()
    free = np.flatnonzero(once & (images["by"] == MODEL).to_numpy())
    few = np.sort(free[np.argsort(-unsure[free], kind="stable")][: CANDIDATES * count])
    chosen = few[label_next(unsure[few], features(numbers[few]), count)] if len(few) and count else few[:0]
    second = np.argsort(-chances, axis=1, kind="stable")[:, min(1, chances.shape[1] - 1)]
    table = images.iloc[chosen]
    accepted = (proposed["decision"] == ACCEPT).to_numpy()
    near = chances[np.arange(len(chances)), second] >= BETWEEN if len(classes) > 1 else np.zeros(len(chances), bool)
    values: dict[str, Any] = {
        "file": table["file"],
        **({"frame": table["frame"]} if "frame" in table else {}),
        "label": "",
        "proposed": proposed["label"].iloc[chosen],
        "probability": proposed["probability"].iloc[chosen],
        "second": [classes[k] for k in second[chosen]],
        "why": [
            _reason(proposed["label"].iloc[k], classes[second[k]], foreign=foreign[k], near=near[k], accepted=accepted[k])
            for k in chosen
        ],
    }
    return conform(pd.DataFrame(values, index=table.index).reset_index(drop=True), LABEL_NEXT)


def _reason(first: str, second: str, *, foreign: bool, near: bool, accepted: bool) -> str:
    """Why the label of an image would teach something."""
    if foreign:
        return "far from what was learnt"
    if near:
        return f"between {first} and {second}"
    return "sure, but unlike the others listed" if accepted else f"{first}, but not sure enough"
