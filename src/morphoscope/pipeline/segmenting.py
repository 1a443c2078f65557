"""`segment`: a label image for each picture and its objects measured; nothing is registered or tracked."""

from __future__ import annotations

from collections.abc import Sequence

from morphoscope.pipeline.finders import MaskFinder
from morphoscope.pipeline.folder import Run
from morphoscope.pipeline.run import Source, analyze
from morphoscope.pipeline.stream import Progress
from morphoscope.recipe import Recipe, as_recipe

MODEL = "particles"


def segment(
    inputs: Source | Sequence[Source],
    recipe: Recipe | Source | None = None,
    output: Source = "morphoscope-run",
    *,
    overwrite: bool = False,
    resume: bool = False,
    segmenter: MaskFinder | None = None,
    progress: Progress | None = None,
) -> Run:
    """Outline particles, measure them and report; nothing is registered or tracked.

    Files of a folder are fields of view of their own. Frames of one file show one place: their particles are not pooled.

    Args:
        inputs: images, folders of images of any sizes, stacks or videos. Several: a run each, in subfolders.
        recipe: settings, or the path of a TOML file; None for the defaults. A recipe that names no model gets `particles`.
        output: the run folder: `masks/` with a label image per file under its relative path (a page per frame of a stack, 0 for
            the background, else `mask_label` of objects.parquet), the tables, run.json and the report.
        overwrite: replace a run that is there.
        resume: go on with a run that was broken off.
        segmenter: used instead of the recipe's model.
        progress: called with (frames done, frames in all).

    Returns:
        The run; its `exit_code` is 4 where part of the input could not be used.

    Raises:
        InputError: nothing could be segmented.
        UsageError: the recipe does not fit the input, the model gives no masks, or the folder is in use.
        KeyboardInterrupt: Ctrl-C; the parts done stay, and `resume` goes on with them.
    """
    settings = as_recipe(recipe)
    return analyze(inputs, for_masks(settings), output, overwrite=overwrite, resume=resume, detector=segmenter, progress=progress)


def for_masks(recipe: Recipe) -> Recipe:
    """The recipe as `segment` takes it: masks written, frames independent, the model for particles where it names none."""
    detect = recipe.detect
    if "model" not in detect.model_fields_set and detect.objects is None:
        detect = detect.model_copy(update={"model": MODEL})
    return recipe.model_copy(
        update={
            "detect": detect,
            "frames": recipe.frames.model_copy(update={"series": False}),
            "report": recipe.report.model_copy(update={"masks": recipe.report.masks is not False}),
        }
    )
