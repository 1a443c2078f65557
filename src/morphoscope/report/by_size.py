"""The figure of diffusion by size, as the published analysis has it (doi 10.1016/j.commatsci.2021.110560)."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from morphoscope.calibration import Calibration
from morphoscope.physics.brownian import PooledD
from morphoscope.report.style import BLUE, SINGLE, VERMILION, empty_note, new_figure, styled


@styled
def diffusion_by_size(
    table: pd.DataFrame,
    pooled: PooledD,
    calibration: Calibration,
    *,
    lag_frames: int,
    where: str = "",
    tracks: int | None = None,
    one_d: bool = True,
) -> Figure:
    """Mean D_eff with its standard error in bins of the track's median size; the pooled likelihood D as a line with its band.

    A bin with one track has no bar.

    Args:
        table: `schema.DIFFUSION_BY_SIZE`.
        pooled: of the same frames and region.
        calibration: gives the lag in s.
        lag_frames: lag of D_eff in frame numbers.
        where: the frames and region the tracks are from, said in the figure.
        tracks: how many have a D_eff there, in a bin or not; what the bins do not hold is said in the figure.
        one_d: whether the pooled D may be a diffusion coefficient in the strict sense.
    """
    figure = new_figure(SINGLE * 1.25, 2.7)
    if not (calibration.has_scale and calibration.frame_interval_s):
        return empty_note(figure, "diffusion by size wants a scale and a frame interval")
    shown = table[(table["n_tracks"] > 1) & table["d_eff_nm2_per_s"].notna()]
    if shown.empty:
        return empty_note(figure, _why_empty(table, tracks))
    ax = figure.subplots()
    low, high = shown["size_low_nm"].to_numpy(float), shown["size_high_nm"].to_numpy(float)
    value, error = shown["d_eff_nm2_per_s"].to_numpy(float), shown["standard_error"].to_numpy(float)
    middle = (low + high) / 2
    ax.bar(middle, value, width=(high - low) * 0.86, color=BLUE, alpha=0.75, linewidth=0)
    ax.errorbar(
        middle, value, error, fmt="none", ecolor="#1d2329", elinewidth=0.8, capsize=1.6, capthick=0.8, label="standard error"
    )
    if math.isfinite(pooled.D_nm2_per_s):
        label = "pooled D, without localisation error" if one_d else "pooled D of the shortest steps"
        ax.axhline(pooled.D_nm2_per_s, color=VERMILION, linewidth=1.2, label=label)
        if math.isfinite(pooled.D_nm2_per_s_low) and math.isfinite(pooled.D_nm2_per_s_high):
            ax.axhspan(pooled.D_nm2_per_s_low, pooled.D_nm2_per_s_high, color=VERMILION, alpha=0.18, linewidth=0)
    ax.set_xlim(float(table["size_low_nm"].min()), float(table["size_high_nm"].max()))
    ax.set_ylim(0, float((value + error).max()) * 1.14 or 1.0)  # 0: nothing moved at all
    ax.grid(axis="x", visible=False)
    tau = lag_frames * calibration.frame_interval_s
    ax.set(xlabel="median size of the track, major axis (nm)", ylabel=f"$D_{{eff}}$ at $\\tau$ = {tau:.3g} s (nm$^2$ s$^{{-1}}$)")
    said = f"{int(shown['n_tracks'].sum())} tracks" + (f", {where}" if where else "")
    outside = 0 if tracks is None else tracks - int(table["n_tracks"].sum())
    if outside:
        said += f"\n{outside} outside {bins_span(table)}"
    ax.text(0.985, 0.97, said, transform=ax.transAxes, ha="right", va="top", fontsize=7)
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.1, columnspacing=1.2)
    return figure


def bins_span(table: pd.DataFrame) -> str:
    """From where to where the bins of `schema.DIFFUSION_BY_SIZE` go."""
    return f"{table['size_low_nm'].min():.3g} to {table['size_high_nm'].max():.3g} nm"


def _why_empty(table: pd.DataFrame, tracks: int | None) -> str:
    binned = int(table["n_tracks"].sum())
    if tracks == 0:
        return "no track has a step over the lag in the steady frames and the inner region"
    if not binned and tracks:
        return f"none of {tracks} tracks has a median size from {bins_span(table)}, where the bins of size are"
    return f"no bin of size has two tracks; {binned} lie in bins alone"
