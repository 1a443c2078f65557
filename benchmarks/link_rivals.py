"""trackpy and laptrack on the same registered positions, each with the settings that were best on another seed."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import trackpy
from laptrack import LapTrack

from benchmarks.link_scenes import Scene, idf1

Link = Callable[..., Any]
trackpy.quiet()


def by_trackpy(table: pd.DataFrame, *, reach: float, memory: int) -> Any:
    """trackpy.link with numba; nothing is tracked where it gives up (SubnetOversizeException)."""
    renamed = table[["frame", "x_reg_px", "y_reg_px"]].rename(columns={"x_reg_px": "x", "y_reg_px": "y"})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            linked = trackpy.link(renamed, reach, memory=memory, link_strategy="numba")
    except trackpy.SubnetOversizeException:
        return np.full(len(table), np.nan)
    return linked["particle"].reindex(table.index)


def by_laptrack(table: pd.DataFrame, *, reach: float, gap_reach: float, memory: int) -> Any:
    """LapTrack with gap closing, without splits and merges; its alternative costs at their upper end, which is best here."""
    linker = LapTrack(
        cutoff=reach**2,
        gap_closing_cutoff=gap_reach**2,
        gap_closing_max_frame_count=memory,
        splitting_cutoff=False,
        merging_cutoff=False,
        alternative_cost_percentile=100,
    )
    rows = table[["frame", "x_reg_px", "y_reg_px"]].assign(row=np.arange(len(table)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = linker.predict_dataframe(rows, ["x_reg_px", "y_reg_px"], only_coordinate_cols=False)[0]
    track = np.full(len(table), np.nan)
    track[found["row"].to_numpy()] = found["track_id"].to_numpy()
    return track


def _trackpy_settings(scene: Scene) -> Iterator[dict[str, float]]:
    spread = np.hypot(scene.step_px, np.sqrt(2) * scene.noise_px)
    for reach, memory in itertools.product((2.2, 3.0, 4.0, 5.0), (2, 5, 10)):
        yield {"reach": reach * spread, "memory": memory}


def _laptrack_settings(scene: Scene) -> Iterator[dict[str, float]]:
    spread = np.hypot(scene.step_px, np.sqrt(2) * scene.noise_px)
    for reach, (gap, memory) in itertools.product((3.0, 4.5), ((1.0, 8), (1.6, 8), (1.6, 3))):
        yield {"reach": reach * spread, "gap_reach": gap * reach * spread, "memory": memory}


RIVALS: dict[str, tuple[Link, Callable[[Scene], Iterator[dict[str, float]]]]] = {
    "trackpy": (by_trackpy, _trackpy_settings),
    "laptrack": (by_laptrack, _laptrack_settings),
}


def tuned(name: str, scene: Scene, table: pd.DataFrame) -> dict[str, float]:
    """The settings of a rival that give the highest IDF1 on a scene."""
    link, settings = RIVALS[name]
    return max(settings(scene), key=lambda chosen: idf1(table, link(table, **chosen)))
