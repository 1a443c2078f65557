from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from morphoscope.calibration import Axis, Calibration
from morphoscope.report.overlay import draw_overlay, stamp_text, to_grey, track_colour, write_still

SCALED = Calibration(pixel_size_nm=(0.4, 0.4), frame_interval_s=2.0, axes=(Axis("dose", "dpa", 0.85, 0.01),))


def _objects(n: int = 1, *, tracked: bool = True) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x, y = (np.array([60.0]), np.array([50.0])) if n == 1 else (rng.uniform(0, 1119, n), rng.uniform(0, 709, n))
    table = pd.DataFrame({"x_px": x, "y_px": y, "width_px": 20.0, "height_px": 12.0, "ellipse_x_px": x, "ellipse_y_px": y})
    table = table.assign(major_px=18.0, minor_px=8.0, angle_deg=0.0)
    return table.assign(track_id=pd.array(range(n), dtype="Int64")) if tracked else table


def test_box_and_ellipse_lie_where_they_should() -> None:
    grey = np.full((100, 200), 128, dtype=np.uint8)
    drawn = draw_overlay(grey, _objects(tracked=False), Calibration())
    assert drawn.shape == (100, 200, 3) and drawn.dtype == np.uint8
    y, x = np.nonzero((drawn != 128).any(axis=2))
    assert (x.min(), x.max(), y.min(), y.max()) == (50, 70, 44, 56)
    assert (drawn[44, 60] != 128).any() and (drawn[46, 60] != 128).any()  # box top, ellipse top
    assert (drawn[50, 60] == 128).all()
    assert (grey == 128).all()


def test_angle_is_counter_clockwise_as_seen() -> None:
    grey = np.zeros((100, 200), dtype=np.uint8)
    row = _objects(tracked=False).assign(angle_deg=45.0, width_px=0.0, height_px=0.0)
    drawn = draw_overlay(grey, row, Calibration()).max(axis=2)
    reach = int(round(9 / np.sqrt(2)))
    assert drawn[50 - reach, 60 + reach] > 60 and drawn[50 + reach, 60 + reach] == 0


def test_zoom_keeps_pixel_centres() -> None:
    grey = np.zeros((60, 80), dtype=np.uint8)
    row = _objects(tracked=False).assign(x_px=40.0, y_px=30.0, width_px=10.0, height_px=10.0).drop(columns="ellipse_x_px")
    drawn = draw_overlay(grey, row, Calibration(), zoom=3)
    y, x = np.nonzero(drawn.max(axis=2))
    assert drawn.shape == (180, 240, 3)
    assert (x.min() + x.max()) / 2 == pytest.approx(40 * 3 + 1, abs=0.6)
    assert (y.min() + y.max()) / 2 == pytest.approx(30 * 3 + 1, abs=0.6)


def test_scale_bar_only_with_a_scale_and_of_true_length() -> None:
    grey = np.full((300, 500), 90, dtype=np.uint8)
    assert (draw_overlay(grey, _objects().head(0), Calibration()) == 90).all()
    drawn = draw_overlay(grey, _objects().head(0), SCALED)
    rows = (drawn == 255).all(axis=2).sum(axis=1)
    assert rows.max() == pytest.approx(20 / 0.4, abs=2)  # 22 % of 200 nm allows 20 nm


def test_track_colours_are_stable_bright_and_apart() -> None:
    assert track_colour(7) == track_colour(7)
    for i in range(60):
        colour = np.array(track_colour(i))
        assert colour @ (0.3, 0.59, 0.11) > 0.5 * 255 and np.abs(colour - track_colour(i + 1)).max() > 40


def test_objects_without_ellipse_or_track() -> None:
    grey = np.zeros((100, 200), dtype=np.uint8)
    table = pd.concat([_objects(), _objects()], ignore_index=True).assign(track_id=pd.array([3, None], dtype="Int64"))
    table.loc[1, ["major_px", "ellipse_x_px"]] = np.nan
    drawn = draw_overlay(grey, table, SCALED, "frame 0")
    assert drawn.any() and not np.array_equal(drawn, draw_overlay(grey, table.iloc[:0], SCALED, "frame 0"))
    edge = _objects().assign(x_px=[0.0], y_px=[0.0], ellipse_x_px=[0.0], ellipse_y_px=[0.0])
    assert draw_overlay(np.zeros((9, 9), dtype=np.uint8), edge, SCALED, "frame 0").shape == (9, 9, 3)


def test_other_dtypes_and_limits() -> None:
    ramp = np.arange(0, 4000, dtype=np.uint16).reshape(40, 100)
    grey = to_grey(ramp)
    assert grey.dtype == np.uint8 and grey.min() == 0 and grey.max() == 255
    assert (to_grey(ramp, (4000, 8000)) == 0).all()
    assert to_grey(np.full((3, 3), np.nan, dtype=np.float32)).tolist() == [[0] * 3] * 3


def test_still_is_the_frame(tmp_path) -> None:
    drawn = draw_overlay(np.full((60, 90), 50, dtype=np.uint8), _objects(), SCALED)
    path = write_still(tmp_path / "figures", drawn)
    assert path.name == "overlay.png"
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], drawn)


def test_stamp_says_what_is_known() -> None:
    assert stamp_text(SCALED, 12) == "frame 12   24.0 s   0.97 dpa"
    assert stamp_text(Calibration(), 12) == "frame 12"


@pytest.mark.parametrize("side", [1, 2, 3, 30])
def test_pictures_too_small_for_their_stamp_are_drawn_all_the_same(side: int) -> None:
    grey = np.full((side, side), 90, dtype=np.uint8)
    drawn = draw_overlay(grey, _objects().iloc[:0], Calibration(), "a-rather-long-name-of-a-file.png")
    assert drawn.shape == (side, side, 3) and (drawn == 90).all() == (side <= 3)


def test_the_stamp_hides_little() -> None:
    grey = np.full((120, 160), 120, dtype=np.uint8)
    stamped = draw_overlay(grey, _objects().iloc[:0], Calibration(), "fr\u00e4me 12   3.0 s")
    assert 0.002 < (stamped != 120).any(axis=-1).mean() < 0.1 and stamped.max() > 240
    assert np.median(stamped[(stamped != 120).any(axis=-1)]) > 30
    assert (draw_overlay(grey, _objects().iloc[:0], Calibration(), "a very long name of a file " * 9) != 120).any()
