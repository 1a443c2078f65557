"""Where label images of a run go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from morphoscope.pipeline.mask_files import mask_names


def test_the_suffix_is_replaced_or_added_where_names_would_be_shared() -> None:
    assert mask_names(["in/a.png", "b.tif"]) == {"in/a.png": "masks/in/a.tif", "b.tif": "masks/b.tif"}
    assert mask_names(["a.png", "a.jpg"]) == {"a.png": "masks/a.png.tif", "a.jpg": "masks/a.jpg.tif"}
    assert mask_names(["a.png", "a.jpg", "a.png.png"])["a.png.png"] == "masks/a.png.png.tif"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.sampled_from([".png", ".tif", ".jpg"]), max_size=3))))
def test_no_two_files_share_a_label_image(parts: list[tuple[str, list[str]]]) -> None:
    files = [stem + "".join(suffixes) for stem, suffixes in parts]
    names = mask_names([*files, *files])
    assert set(names) == set(files)
    assert len(set(names.values())) == len(names)
