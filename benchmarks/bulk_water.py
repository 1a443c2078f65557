"""Beads in water: tracks, drift and mean squared displacement beside trackpy's own walkthrough.

`python -m benchmarks.bulk_water` prints the number of tracks and the power law A t^n of the ensemble MSD from positions that
trackpy located, with trackpy alone, with our linking by plain distances and with our linking by likelihood. The published
figures need beads judged detection by detection; judged by the means of their tracks, trackpy too finds others ("by track").
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import pandas as pd

from benchmarks.data import data_folder
from morphoscope.calibration import Calibration
from morphoscope.physics.anomalous import anomalous
from morphoscope.physics.brownian import fit_pooled
from morphoscope.physics.ensemble_drift import ensemble_drift, subtract_drift
from morphoscope.physics.msd import ensemble_msd, power_law
from morphoscope.track.link import link

UM_PER_PX, FRAMES_PER_S = 100 / 285, 24
CALIBRATION = Calibration(pixel_size_nm=(1000 * UM_PER_PX,) * 2, frame_interval_s=1 / FRAMES_PER_S)
NM2_PER_UM2 = 1e6
RANGE_PX, MEMORY, STUB = 5, 3, 25
PUBLISHED = {"tracks": 1505, "A (um2/s^n)": 1.602, "n": 1.080}


def features() -> pd.DataFrame:
    """Positions with the columns of a registered table."""
    table = pd.read_csv(data_folder("bulk-water") / "features.csv.gz")
    return table.rename(columns={"x": "x_reg_px", "y": "y_reg_px"})


def kept(table: pd.DataFrame, track: str, of: str = "detection") -> tuple[pd.DataFrame, int]:
    """What looks like beads in focus in tracks of 25 detections or more; and how many have 25 or more.

    The walkthrough, and the published figures, judge each detection; `of="track"` judges tracks by their mean.
    """
    linked = table[table[track].notna()]
    long = linked[linked.groupby(track)["frame"].transform("size") >= STUB]
    look = long[["mass", "size", "ecc"]] if of == "detection" else long.groupby(track)[["mass", "size", "ecc"]].transform("mean")
    return long[(look["mass"] > 50) & (look["size"] < 2.6) & (look["ecc"] < 0.3)], long[track].nunique()


def ours(of: str = "detection", **options: Any) -> dict[str, Any]:
    """The walkthrough with our functions; `options` go to `link`, `of` to `kept`."""
    table = features()
    start = time.perf_counter()
    table["track_id"] = link(table[["frame", "x_reg_px", "y_reg_px"]], **options)
    linked_in = time.perf_counter() - start
    beads, tracks = kept(table, "track_id", of)
    start = time.perf_counter()
    still = subtract_drift(beads, ensemble_drift(beads))
    rows = {"tracks": tracks, "beads": beads["track_id"].nunique(), "link s": linked_in}
    for weights in ("independent", "pairs"):
        msd = ensemble_msd(still, CALIBRATION, weights=weights)
        law = power_law(msd["lag_s"], msd["msd_nm2"] / NM2_PER_UM2)
        suffix = "" if weights == "independent" else " by pairs"
        rows |= {f"A (um2/s^n){suffix}": law.amplitude, f"n{suffix}": law.exponent}
    better = anomalous(still, CALIBRATION)
    pooled = fit_pooled(still, CALIBRATION)
    rows |= {
        "n, noise fitted": f"{better.exponent:.3f} ({better.low:.3f} to {better.high:.3f})",
        "D um2/s by likelihood": "{:.3f} ({:.3f} to {:.3f})".format(*(v / NM2_PER_UM2 for v in pooled[3:6])),
        "localisation nm": pooled.localisation_nm,
        "physics s": time.perf_counter() - start,
    }
    return rows


def theirs(of: str = "detection") -> dict[str, Any]:
    """The walkthrough with trackpy alone."""
    import trackpy

    trackpy.quiet()
    table = features().rename(columns={"x_reg_px": "x", "y_reg_px": "y"})
    start = time.perf_counter()
    linked = trackpy.link(table, RANGE_PX, memory=MEMORY)
    linked_in = time.perf_counter() - start
    long = trackpy.filter_stubs(linked, STUB)
    beads, _ = kept(long.reset_index(drop=True), "particle", of)
    start = time.perf_counter()
    still = trackpy.subtract_drift(beads, trackpy.compute_drift(beads))
    msd = trackpy.emsd(still.reset_index(drop=True), UM_PER_PX, FRAMES_PER_S)
    law = trackpy.utils.fit_powerlaw(msd, plot=False).iloc[0]
    rows = {"tracks": long["particle"].nunique(), "beads": beads["particle"].nunique(), "A (um2/s^n)": law["A"], "n": law["n"]}
    return rows | {"link s": linked_in, "physics s": time.perf_counter() - start}


def main() -> None:
    """Print all of them side by side."""
    warnings.simplefilter("ignore")
    columns = {
        "published": PUBLISHED,
        "trackpy": theirs(),
        "ours, distance": ours(max_distance_px=RANGE_PX, memory=MEMORY, cost="distance"),
        "trackpy, by track": theirs("track"),
        "ours, distance, by track": ours("track", max_distance_px=RANGE_PX, memory=MEMORY, cost="distance"),
        "ours, likelihood": ours(max_distance_px=RANGE_PX, memory=MEMORY),
        "ours, range found": ours(memory=MEMORY),
    }
    table = pd.DataFrame(columns)
    print(table.map(lambda v: f"{v:.4g}" if isinstance(v, float) else v).fillna("").to_string())


if __name__ == "__main__":
    main()
