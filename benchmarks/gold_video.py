"""All frames of gold-tem: particles outlined, followed and sized, and what coalesces (called by `benchmarks.gold --video`)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.data import OUT, ROOT, data_folder
from morphoscope.measure.threshold import ThresholdSettings
from morphoscope.pipeline import analyze
from morphoscope.recipe import Recipe, load_recipe
from morphoscope.report.style import save_figure

FOLDER = OUT / "gold"
AROUND = 5  # frames before and after an event that areas are taken from


def video(settings: ThresholdSettings) -> None:
    """Segment, follow, print and draw.

    Args:
        settings: the grey level and the filter, chosen on all five masks.
    """
    recipe = _recipe(settings)
    run = analyze(data_folder("gold-tem") / "frames.tif", recipe, FOLDER / "run", overwrite=True)
    objects, tracks = (pd.read_parquet(run.path / f"{name}.parquet") for name in ("objects", "tracks"))
    events = pd.read_csv(run.path / "events.csv")
    each = per_frame(objects)
    print(f"{len(each)} frames, {len(objects)} particles, {len(tracks)} tracks of {recipe.track.min_points} frames or more")
    for name, unit in (("count", ""), ("mean_px", " px"), ("area_px2", " px^2")):
        first, last = each[name].iloc[:10].mean(), each[name].iloc[-10:].mean()
        print(f"{name}: {first:.2f}{unit} in the first ten frames, {last:.2f}{unit} in the last ten")
    print("tracks ended by", ", ".join(f"{k} {n}" for k, n in tracks["ended"].value_counts().items()))
    low, high = each["count"].quantile([0.05, 0.95])
    odd = each[(each["count"] < 0.9 * each["count"].median()) | (each["area_px2"] < 0.8 * each["area_px2"].median())]
    print(f"count between {low:.0f} and {high:.0f} in nine of ten frames; far off in the frames {odd.index.tolist()}")
    joined = balance(objects, events)
    print(f"events: {(events['kind'] == 'merge').sum()} merges, {(events['kind'] == 'split').sum()} splits")
    for kind in ("merge", "split"):
        some = joined[joined["kind"] == kind]
        if len(some):
            print(
                f"{kind}: area of one over that of both {_middle(some['area'])}, volume (area^1.5) {_middle(some['volume'])}, "
                f"{len(some)} with {AROUND} frames on either side"
            )
    save_figure(figure(each, joined), FOLDER, "video")


def _recipe(settings: ThresholdSettings) -> Recipe:
    """The recipe of the example with a grey level of its own; particles of `smallest_px` and larger, parted as it says.

    A frame that is dark as a whole (177 is black) holds nothing: polarity `auto` takes its rim for the ground.
    """
    recipe = load_recipe(ROOT / "examples" / "particles-video.toml")
    own = {"median_px": settings.median_px, "blur_px": settings.blur_px, "level": settings.level, "holes_px": 0}
    return recipe.model_copy(
        update={
            "detect": recipe.detect.model_copy(update={"model": "level"}),
            "segment": recipe.segment.model_copy(update=own),
        }
    )


def _middle(values: pd.Series) -> str:
    low, middle, high = values.quantile([0.25, 0.5, 0.75])
    return f"{middle:.3f} (quartiles {low:.3f} to {high:.3f})"


def per_frame(objects: pd.DataFrame) -> pd.DataFrame:
    """Count, mean diameter (px) and covered area (px^2) of each frame."""
    groups = objects.groupby("frame")
    return pd.DataFrame(
        {"count": groups.size(), "mean_px": groups["equivalent_diameter_px"].mean(), "area_px2": groups["area_px"].sum()}
    )


def balance(objects: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Of each event the area of the one particle over that of the two, and the same of spheres of that shadow (area^1.5).

    Areas are medians over `AROUND` frames on either side; events with fewer than three frames of one of them are left out.
    """
    rows, of = [], {k: t.set_index("frame")["area_px"] for k, t in objects.dropna(subset="track_id").groupby("track_id")}
    for kind, frame, own, other in events[["kind", "frame", "track_id", "other_id"]].itertuples(index=False):
        apart, one = (frame - AROUND, frame), (frame + 1, frame + AROUND)
        if kind == "split":
            apart, one = (frame, frame + AROUND), (frame - AROUND, frame - 1)
        parts = [of[own].loc[slice(*apart)], of[other].loc[slice(*apart)], of[other].loc[slice(*one)]]
        if min(map(len, parts)) < 3:
            continue
        a, b, both = (float(p.median()) for p in parts)
        rows.append({"kind": kind, "frame": frame, "area": both / (a + b), "volume": both**1.5 / (a**1.5 + b**1.5)})
    return pd.DataFrame(rows, columns=["kind", "frame", "area", "volume"])


def figure(each: pd.DataFrame, joined: pd.DataFrame) -> Figure:
    """Count, mean diameter and the balance of events over the frames."""
    drawn = Figure(figsize=(6.5, 6.5), layout="constrained")
    top, middle, low = drawn.subplots(3, 1, sharex=True)
    top.plot(each.index, each["count"], lw=1)
    top.set_ylabel("particles")
    middle.plot(each.index, each["mean_px"], lw=1)
    middle.set_ylabel("mean diameter (px)")
    for kind, mark in (("merge", "o"), ("split", "x")):
        some = joined[joined["kind"] == kind]
        low.plot(some["frame"], some["area"], mark, ms=4, label=f"{kind}, {len(some)}")
    low.axhline(1, color="0.6", lw=0.8)
    low.set(xlabel="frame", ylabel="area of one / of two")
    low.legend()
    return drawn
