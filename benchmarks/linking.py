"""Identity kept by linking: `python -m benchmarks.linking [scenes|loops]` (part of `make bench`).

Scenes with truth (1120 x 710 px, 300 objects, 400 frames, drift 0.5 px a frame, three jumps of 40 px, 10 % missed, 3 % false,
localisation noise 0.7 px) from slow to Brownian steps of a quarter of the mean spacing, and with births and deaths; trackpy and
laptrack, tuned on another seed, are given the same registration, which is found from the positions alone. Then the real video of
dislocation loops, frames 461 to 805.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.data import OUT, ROOT, data_folder
from benchmarks.link_rivals import RIVALS, tuned
from benchmarks.link_scenes import FIELD, Scene, idf1, registered
from morphoscope.pipeline import analyze
from morphoscope.recipe import load_recipe
from morphoscope.report.style import BLUE, DOUBLE, GREEN, ORANGE, new_figure, save_figure, styled
from morphoscope.track.drift_from_objects import drift_from_objects
from morphoscope.track.link import link

STEPS = (0.03, 0.3, 1.0, 3.0, 6.0, 12.9)  # px per axis and frame; the last is a quarter of the mean spacing
TURNOVERS = (0.001, 0.003, 0.01, 0.03)
TUNING = {"seed": 1000, "frames": 40, "jumps": 1}
COLOURS = {"morphoscope": BLUE, "trackpy": ORANGE, "laptrack": GREEN}


def scenes() -> None:
    """IDF1 and seconds of all three linkers; the table and the curves go to benchmarks/out/linking."""
    rows = [_compare("step", Scene(7, step_px=step)) for step in STEPS]
    rows += [_compare("turnover", Scene(7, turnover=rate)) for rate in TURNOVERS]
    table = pd.DataFrame(rows)
    table.to_csv(_out() / "linking.csv", index=False)
    save_figure(_curves(table), _out(), "curves", False)
    lead = table["morphoscope"] - table[list(RIVALS)].max(axis=1)
    print(f"\nsmallest lead of IDF1 over the better rival: {lead.min():.4f}; figure: {_out() / 'curves.png'}")


def _compare(kind: str, scene: Scene) -> dict[str, float | str]:
    table = _registered(scene)
    start = time.perf_counter()
    row: dict[str, float | str] = {"kind": kind, "step_px": scene.step_px, "turnover": scene.turnover}
    row["morphoscope"] = idf1(table, link(table, field=FIELD))
    row["morphoscope_s"] = time.perf_counter() - start
    other = replace(scene, **TUNING)
    known = _registered(other)
    for name, (rival, _) in RIVALS.items():
        settings = tuned(name, other, known)
        start = time.perf_counter()
        row[name] = idf1(table, rival(table, **settings))
        row[f"{name}_s"] = time.perf_counter() - start
        row[f"{name}_settings"] = ", ".join(f"{key} {value:.3g}" for key, value in settings.items())
    print("  ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True)
    return row


def _registered(scene: Scene) -> pd.DataFrame:
    table = scene.detections()
    return registered(table, drift_from_objects(table))


@styled
def _curves(table: pd.DataFrame):
    figure = new_figure(DOUBLE, 2.7)
    left, right = figure.subplots(1, 2)
    spacing = Scene(0).spacing_px
    for ax, kind, column, scale in ((left, "step", "step_px", 1 / spacing), (right, "turnover", "turnover", 100.0)):
        rows = table[table["kind"] == kind]
        for name, colour in COLOURS.items():
            ax.semilogx(rows[column] * scale, rows[name], "o-", color=colour, markersize=3.5, label=name)
    left.set(xlabel="Brownian step per axis / mean spacing", ylabel="IDF1", ylim=(0, 1.02))
    right.set(xlabel="objects replaced per frame (%), step 0.3 px", ylim=(0.945, 1.002))
    left.legend()
    return figure


def _out() -> Path:
    (OUT / "linking").mkdir(parents=True, exist_ok=True)
    return OUT / "linking"


def loops() -> None:
    """Tracks of the loops in frames 461 to 805 with the default model and recipe, and identities after detections are hidden."""
    recipe = load_recipe(ROOT / "examples" / "loops.toml")
    frames = recipe.frames.model_copy(update={"start": 461, "stop": 806})
    report = recipe.report.model_copy(update={"overlay": False})
    with tempfile.TemporaryDirectory() as scratch:
        run = analyze(
            data_folder("loops-stem") / "video.mp4",
            recipe.model_copy(update={"frames": frames, "report": report}),
            Path(scratch) / "run",
        )
        objects = run.objects
    print("\n== loops-stem, frames 461 to 805 ==")
    memory = recipe.track.memory
    for name, tracks in {
        "the run": objects["track_id"],
        "default memory": link(objects, field=FIELD),
        "plain linking, range 8 px": link(objects, max_distance_px=8, memory=memory, cost="distance"),
        "without size and score": link(objects[["frame", "x_reg_px", "y_reg_px"]], memory=memory),
    }.items():
        print(f"{name}: {_lives(objects, tracks)}")
    whole = objects["track_id"].astype(float).fillna(-1)
    shares = []
    for seed in range(5):
        kept = objects[np.random.default_rng(seed).random(len(objects)) >= 0.1]
        again = link(kept, max_distance_px=recipe.track.max_distance_px, memory=memory, field=FIELD)
        same = kept.assign(identity=whole[kept.index], x_true_px=kept["x_px"], y_true_px=kept["y_px"])
        shares.append(idf1(same, again))
    print(f"identities kept after a random 10 % of detections are hidden: {np.mean(shares):.4f} (least of 5: {min(shares):.4f})")


def _lives(objects: pd.DataFrame, tracks: pd.Series) -> str:
    table = objects.assign(track=tracks).dropna(subset="track").groupby("track")["frame"].agg(["size", "min", "max"])
    span = table["max"] - table["min"] + 1
    long, life = table[span > 3], span[span > 3]
    share = long["size"].sum() / len(objects)
    return (
        f"{len(long)} tracks longer than 3 frames, mean life {life.mean():.0f} frames, {100 * share:.2f} % of detections in them"
    )


def main() -> None:
    """All, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("all", "scenes", "loops"), default="all")
    part = parser.parse_args().part
    if part in ("all", "loops"):
        loops()
    if part in ("all", "scenes"):
        scenes()


if __name__ == "__main__":
    main()
