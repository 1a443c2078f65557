"""Finders that a recipe names: what would change nothing is refused."""

from __future__ import annotations

import pytest

from morphoscope.errors import ModelError, RecipeError
from morphoscope.pipeline.load import load_finder
from morphoscope.recipe import parse_recipe

ZOOM, OUTLINE = {"segment": {"zoom": 1.4}}, {"segment": {"outline": "half level"}}


@pytest.mark.parametrize("name", ["otsu", "multi-otsu", "local", "level", "spots"])
@pytest.mark.parametrize("settings", [ZOOM, OUTLINE, {"detect": {"threshold": 0.3}}])
def test_settings_of_models_are_refused_without_one(name: str, settings: dict[str, dict[str, object]]) -> None:
    ((section, values),) = settings.items()
    given = {"segment": {"level": 9.0}, "detect": {"model": name}}
    given[section] |= values
    with pytest.raises(RecipeError, match=rf"{section}\.{next(iter(values))} = .* change nothing: .*{name} is no model"):
        load_finder(parse_recipe(given))
    assert load_finder(parse_recipe(given | {section: {k: v for k, v in given[section].items() if k not in values}}))


def test_settings_of_segmenters_are_refused_of_a_detector_that_takes_a_threshold() -> None:
    for settings in (ZOOM, OUTLINE):
        with pytest.raises(RecipeError, match="loops finds boxes"):
            load_finder(parse_recipe(settings))
    assert load_finder(parse_recipe({"detect": {"threshold": 0.3}}))
    assert load_finder(parse_recipe({**ZOOM, **OUTLINE, "detect": {"model": "particles", "threshold": 0.5}}))


def test_an_unknown_model_is_told_what_there_is_with_and_without_one() -> None:
    with pytest.raises(ModelError, match=r"particles.*'nope'.*without a model there are otsu"):
        load_finder(parse_recipe({"detect": {"model": "nope"}}))
