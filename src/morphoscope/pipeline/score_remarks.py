"""What a run of `score` says of itself: patches, scale, intervals, doubts."""

from __future__ import annotations

import json

import pandas as pd

from morphoscope.models.card import ModelCard
from morphoscope.pipeline.image_parts import SAID, good_rows, said_of_images
from morphoscope.pipeline.score_error import all_as_trained, by_scale
from morphoscope.pipeline.score_images import DIM, GREY
from morphoscope.pipeline.score_job import Job
from morphoscope.pipeline.score_results import ScoreResults


def score_warnings(rows: pd.DataFrame, results: ScoreResults, job: Job) -> list[str]:
    """What to know before using the numbers."""
    good = good_rows(rows)
    said = said_of_images(good, but={GREY, DIM}) + _of_kinds(good, job.scorer.card)
    card, scores, wanted = job.scorer.card, results.scores, job.recipe.score
    bare = int(scores["pixel_size_nm"].isna().sum())
    if by_scale(card) and bare and wanted.patch_px is None:
        said.append(
            f"{bare} of {len(scores)} images have no scale: they are scored by patches of {card.seen_px or card.patch_px:g} px "
            f"as if they had the {card.pixel_size_nm:.4g} nm per px that {card.name} was trained at. State their scale "
            "(--scale), or the patch (--patch)."
        )
    sizes = scores["patch_px"]
    if float(sizes.max()) > 1.02 * float(sizes.min()) and not scores["pixel_size_nm"].notna().all():
        said.append("Patches differ in size from image to image, as some images have a scale and some have none.")
    return said


def _of_kinds(rows: pd.DataFrame, card: ModelCard) -> list[str]:
    """How many images are of a kind that the model has not learnt."""
    told = [set(json.loads(texts)) for texts in rows[SAID]]
    grey, dim = (sum(kind in one for one in told) for kind in (GREY, DIM))
    said = []
    if grey and card.channels == 3 and card.training.get("grey") is not True:
        said.append(
            f"{grey} of {len(rows)} images are grey, and {card.name} was trained on colour: its scores of them may be far off, "
            "whatever their intervals say. Compare their maps with the pictures, or train a model on grey images (train score)."
        )
    if dim and card.preprocess == "unit-1":
        said.append(
            f"{dim} of {len(rows)} images use less than a quarter of the range of their 16 bits, as those of 10 to 14 bits do; "
            f"{card.name} takes values over the whole range, so they are nearly black. Stretch them, or store them in 8 bits."
        )
    return said


def score_notes(results: ScoreResults, job: Job, *, told: bool) -> list[str]:
    """How patches were chosen and where intervals come from."""
    card = job.scorer.card
    said = [_patches(results.scores, card, job)]
    said += interval_notes(card, results)
    if job.recipe.score.stride_px is None and job.recipe.score.maps:
        said.append("Maps have a px per patch; --stride, a fraction of the patch, gives finer ones.")
    if card.answer == "ordinal":
        said.append(f"Scores are the expected degree over the highest: times {card.levels} they are on the scale of the labels.")
    if told and results.along is None and not results.surfaces and not results.said:
        said.append("The conditions have no column of times and no two numbers that vary: no trend and no response surface.")
    return said + results.said


def _patches(scores: pd.DataFrame, card: ModelCard, job: Job) -> str:
    low, high = float(scores["patch_px"].min()), float(scores["patch_px"].max())
    size = f"{low:.4g} px" if high <= 1.001 * low else f"{low:.4g} to {high:.4g} px"
    wanted = job.recipe.score
    if wanted.patch_px is not None:
        why = "as given"
    elif wanted.patch_nm is not None:
        why = f"{wanted.patch_nm:g} nm by each image's scale"
    elif by_scale(card) and scores["pixel_size_nm"].notna().any():
        why = "the size in nm that the model was trained at, by each image's scale"
    else:
        why = "as the model was trained"
    return f"Patches have a side of {size} in the image ({why})."


def interval_notes(card: ModelCard, results: ScoreResults) -> list[str]:
    """Where the intervals of extents come from."""
    scores = results.scores
    own = all_as_trained(scores, card)
    known = [name for name in results.classes if name in card.extent_error]
    others = [name for name in results.classes if name not in card.extent_error]
    said = []
    if known and own.any():
        listed = ", ".join(f"S_{name} {card.extent_error[name]:.2g}" for name in known)
        said.append(f"Intervals of extents are the model's own error on images that were held out of its training: {listed}.")
    if known and not own.all():
        said.append(
            f"{int((~own).sum())} of {len(scores)} images have patches of another size than the model was trained with, "
            "for which its error is not known: their intervals are from blocks of patches."
        )
    drawn = others or ([] if own.all() else known)
    if drawn:
        listed = ", ".join(f"S_{name}" for name in drawn)
        said.append(
            f"Intervals of {listed} {'' if others else 'in these images '}say how far another place of a film might differ "
            "(patches drawn again in blocks), not what the model gets wrong, which is not known. Meant to be 95 %, they held the "
            "mean of drawn films in 83 to 96 % of places."
        )
        bare = int(scores[f"S_{drawn[0]}_low"].isna().sum())
        if bare:
            said.append(f"{bare} of {len(scores)} images have too few patches for an interval.")
    return said
