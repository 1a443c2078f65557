"""Which file is of which sample."""

from __future__ import annotations

import pandas as pd
import pytest

from morphoscope.errors import InputError, RecipeError
from morphoscope.pipeline.samples import name_samples, read_samples, samples_of
from morphoscope.recipe import load_recipe, parse_recipe
from morphoscope.recipe_text import recipe_toml

FILES = pd.Series(["a1.tif", "a2.tif", "b1.tif", "b1.tif", "c.tif"])


def lines(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["file", "sample"])


def test_names_win_over_patterns_and_the_rest_has_no_sample() -> None:
    found = samples_of(FILES, lines(("a*", "annealed"), ("a2.tif", "as made"), ("b?.tif", "as made")))
    assert found == {"a1.tif": "annealed", "a2.tif": "as made", "b1.tif": "as made", "c.tif": None}


def test_two_samples_for_a_file_or_none_for_all_are_refused() -> None:
    with pytest.raises(InputError, match="a1.tif into the samples one and two"):
        samples_of(FILES, lines(("a*", "one"), ("*1.tif", "two")))
    with pytest.raises(InputError, match="no file of the input"):
        samples_of(FILES, lines(("d.tif", "one")))


def test_both_tables_get_the_sample_and_files_without_one_are_told(tmp_path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("file, sample\na*, one\nb*, two\n")
    objects, frames, said = name_samples(pd.DataFrame({"file": FILES}), pd.DataFrame({"file": FILES.unique()}), path)
    assert objects["sample"].tolist()[:4] == ["one", "one", "two", "two"] and objects["sample"].isna().sum() == 1
    assert frames["sample"].isna().sum() == 1 and "1 of 4 files" in said[0] and "c.tif" in said[0]
    same = name_samples(objects, frames, None)
    assert same[0] is objects and same[1] is frames and same[2] == []


@pytest.mark.parametrize("text", ["name,sample\na,b\n", "file,sample\n", "file,sample\na,\n", ""])
def test_a_table_that_is_none_is_refused(tmp_path, text) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="s.csv"):
        read_samples(path)


def test_samples_make_the_images_independent_and_their_file_lies_beside_the_recipe(tmp_path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[frames]\nsamples = "s.csv"\n')
    recipe = load_recipe(path)
    assert not recipe.frames.series and recipe.frames.samples == str(tmp_path / "s.csv")
    again = tmp_path / "again.toml"
    again.write_text(recipe_toml(recipe))
    assert load_recipe(again) == recipe
    with pytest.raises(RecipeError, match="followed in time"):
        parse_recipe({"frames": {"samples": "s.csv", "series": True}})
    with pytest.raises(RecipeError, match="one of cluster_distance_px"):
        parse_recipe({"physics": {"cluster_distance_px": 3.0, "cluster_distance_nm": 3.0}})
