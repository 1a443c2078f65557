"""Lives from tracks: which were seen to begin, how long each was watched, and whether its end was seen."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

SEEN_TO_BEGIN = ("appeared", "split")
SEEN_TO_END = ("gap", "merge")


class Watch(NamedTuple):
    """How lives were watched.

    Attributes:
        last_frame: number of the last frame analysed.
        step: frame numbers from one analysed frame to the next.
        memory: frames that linking bridges: an end nearer than that to the last frame cannot be told from a gap.
        min_points: shortest track kept.
    """

    last_frame: int
    step: int = 1
    memory: int = 0
    min_points: int = 1


def lives(tracks: pd.DataFrame, watch: Watch) -> pd.DataFrame:
    """Lives seen to begin: `track_id`, `age_frames`, `died`, `entry_frames`, for `survival.kaplan_meier`.

    All are watched up to the last frame in which a disappearance can be told from a gap, and lives that go on there are censored
    there, whatever the rest of the video shows; so are those that leave over the field's edge. Tracks shorter than `min_points`
    were left out, so each life is at risk from that age on (left truncation): else the short-lived would seem not to exist.

    Args:
        tracks: `schema.TRACKS` with `began`, `ended`.
        watch: how they were watched.

    Returns:
        Ages in frame numbers; a detection stands for `step` of them.
    """
    end = watch.last_frame - (watch.memory + 1) * watch.step
    own = tracks[tracks["began"].isin(SEEN_TO_BEGIN) & (tracks["first_frame"] <= end)]
    last = own["last_frame"].clip(upper=end)
    table = pd.DataFrame(
        {
            "track_id": own["track_id"],
            "age_frames": (last - own["first_frame"] + watch.step).astype(float),
            "died": own["ended"].isin(SEEN_TO_END) & (own["last_frame"] < end),
            "entry_frames": float((watch.min_points - 1) * watch.step),
        }
    )
    return table[table["age_frames"] > table["entry_frames"]].reset_index(drop=True)
