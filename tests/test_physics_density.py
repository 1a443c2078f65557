from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson

from morphoscope.calibration import Calibration
from morphoscope.errors import UsageError
from morphoscope.physics.density import density, poisson_interval, sizes

SCALE = Calibration(pixel_size_nm=(0.5, 0.5))


def test_density_per_volume_by_hand():
    table = density(
        pd.DataFrame({"count": [80]}), valid_area_px=1000 * 800, calibration=SCALE, thickness_nm=75, visibility_factor=1.75
    ).iloc[0]
    volume_cm3 = (500e-7) * (400e-7) * (75e-7)
    assert table["density"] == pytest.approx(80 * 1.75 / volume_cm3) and table["density_unit"] == "cm^-3"
    assert table["density_raw"] == pytest.approx(80 / volume_cm3) and table["count_corrected"] == 140
    assert table["density_low"] < table["density"] < table["density_high"]
    assert table["valid_area_nm2"] == pytest.approx(200_000)


def test_density_per_area_and_without_a_scale():
    frames = pd.DataFrame({"frame": [3, 4], "count": [10, 0]}, index=[5, 6])
    area = density(frames, valid_area_px=[4e6, 2e6], calibration=SCALE)
    assert area["density"].tolist() == pytest.approx([10, 0]) and set(area["density_unit"]) == {"um^-2"}
    assert area["density_low"].iloc[1] == 0 and area["density_high"].iloc[1] == pytest.approx(3.689 / 0.5, rel=1e-3)
    assert area.index.tolist() == [5, 6] and "density" not in frames
    bare = density(frames, valid_area_px=4e6, calibration=Calibration(), thickness_nm=75)
    assert bare["density"].isna().all() and bare["density_unit"].isna().all() and bare["count_corrected"].tolist() == [10, 0]


def test_poisson_interval_is_exact():
    n = np.arange(0, 60)
    low, high = poisson_interval(n)
    assert low[0] == 0 and poisson.sf(n[1:] - 1, low[1:]) == pytest.approx(0.025)
    assert poisson.cdf(n, high) == pytest.approx(0.025)


@pytest.mark.parametrize(
    "wrong", [{"thickness_nm": 0}, {"thickness_nm": -1}, {"visibility_factor": 0}, {"visibility_factor": np.nan}]
)
def test_impossible_values_are_refused(wrong):
    with pytest.raises(UsageError):
        density(pd.DataFrame({"count": [1]}), valid_area_px=1.0, calibration=SCALE, **wrong)


def test_sizes_of_frames_with_and_without_objects():
    objects = pd.DataFrame({"frame": [0, 0, 0, 2], "major_px": [1.0, 2.0, 6.0, 4.0]})
    table = sizes(SCALE.with_nm(objects).assign(major_nm=objects["major_px"] / 2), [0, 1, 2])
    assert table["count"].tolist() == [3, 0, 1] and table["size_median_nm"].tolist()[::2] == [1, 2]
    assert table["size_q3_px"].iloc[0] == 4 and np.isnan(table["size_median_px"].iloc[1])
    assert sizes(objects, [0])["size_median_nm"].isna().all()
