"""Registration within a run: links to key frames, whatever the chunks, the threads and the breaks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pandas as pd
import pytest

from doubles import SHAPE, BlobDetector, film, write_stack
from morphoscope.io.tables import table_hash
from morphoscope.pipeline import analyze, outputs
from morphoscope.pipeline.register import KEYS, Registration, displaced
from morphoscope.recipe import parse_recipe
from morphoscope.track.displacement import BACK, BATCH, DETOURS, partners

N = 2 * BATCH + 12
SETTINGS = {"report": {"overlay": False}}


@pytest.fixture(scope="module")
def frames():
    return film(N, shift_per_frame=(0.3, -0.2))


def rows(frames, numbers, wanted, *, threads=1):
    """The rows of the wanted frames, after those needed before them were added; `frames` holds the stored frames."""
    registration = Registration(SHAPE, numbers)
    for number in registration.needed_before(wanted):
        registration.add(number, frames[number])
    tasks = [registration.add(number, frames[number]) for number in wanted]
    if threads == 1:
        return [task() for task in tasks]
    with ThreadPoolExecutor(threads) as pool:
        return [f.result() for f in reversed([pool.submit(task) for task in reversed(tasks)])]


def table(found, numbers):
    return pd.DataFrame(found).assign(frame=list(numbers), file="")


def test_frames_are_linked_to_their_keys(frames):
    found = table(rows(frames, range(N), range(N)), range(N))
    assert found[KEYS[0]].isna().tolist() == [len(partners(i)) < 2 for i in range(N)]
    assert found.loc[2 * BATCH, list(KEYS)].dropna().tolist() == [BATCH, 0] and found.loc[2 * BATCH + 5, KEYS[0]] == 2 * BATCH
    key = found[f"{KEYS[0]}_dx"] / (found["frame"] - found[KEYS[0]])
    assert key.dropna().to_numpy() == pytest.approx(0.3, abs=0.05)
    moved = displaced(found)
    assert moved["shift_x_px"].to_numpy() == pytest.approx(0.3 * np.arange(N), abs=0.15)
    assert moved["shift_y_px"].to_numpy() == pytest.approx(-0.2 * np.arange(N), abs=0.15)
    assert (moved["shift_quality"] > 0.5).all() and not moved["jump"].any()


@pytest.mark.parametrize("begin", [1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH, N - 1])
def test_beginning_anywhere_gives_the_same_rows(frames, begin):
    whole = rows(frames, range(N), range(N))
    assert pd.DataFrame(rows(frames, range(N), range(begin, N))).equals(pd.DataFrame(whole[begin:]))


def test_threads_and_their_order_make_no_difference(frames):
    assert pd.DataFrame(rows(frames, range(N), range(N), threads=4)).equals(pd.DataFrame(rows(frames, range(N), range(N))))


def test_keys_are_counted_in_analysed_frames(frames):
    numbers = range(3, N, 2)
    found = table(rows(frames, numbers, numbers), numbers)
    assert found[KEYS[0]].dropna().unique().tolist() == [numbers[0], numbers[BATCH]]
    assert displaced(found)["shift_x_px"].to_numpy() == pytest.approx(0.6 * np.arange(len(numbers)), abs=0.15)


def test_what_is_held_does_not_grow(frames):
    registration, held = Registration(SHAPE, range(20 * BATCH)), []
    for number in range(20 * BATCH):
        registration.add(number, frames[0])
        held.append(len(registration._views))
    assert max(held) <= max(BACK) + 2 + DETOURS
    assert max(held[10 * BATCH :]) == max(held[15 * BATCH :])


LOST = [BATCH - 1, BATCH, BATCH + 1, 2 * BATCH]


@pytest.fixture(scope="module")
def blanked(frames):
    """Frames of a shut beam: two key frames and both neighbours of one."""
    noise = np.random.default_rng(0).integers(0, 20, (N, *SHAPE), dtype=np.uint8)
    return [noise[i] if i in LOST else frame for i, frame in enumerate(frames)]


def test_blank_key_frames_are_gone_around(blanked):
    found = table(rows(blanked, range(N), range(N)), range(N))
    assert found["detour"].dropna().tolist() == [BATCH - 2, 2 * BATCH - 1]
    moved, seen = displaced(found), np.setdiff1d(np.arange(N), LOST)
    assert moved["shift_x_px"].to_numpy()[seen] == pytest.approx(0.3 * seen, abs=0.3)
    assert moved["shift_y_px"].to_numpy()[seen] == pytest.approx(-0.2 * seen, abs=0.3)
    assert np.flatnonzero(moved["shift_quality"] == 0).tolist() == LOST


@pytest.mark.parametrize("begin", [BATCH + 1, BATCH + 2, 2 * BATCH + 1])
def test_beginning_after_blank_frames_gives_the_same_rows(blanked, begin):
    whole = rows(blanked, range(N), range(N))
    assert pd.DataFrame(rows(blanked, range(N), range(begin, N), threads=3)).equals(pd.DataFrame(whole[begin:]))


def test_without_keys_the_steps_are_summed():
    steps = pd.DataFrame({"frame": [4, 6, 8], "file": "", "dx": [9.0, 1.0, 20.0], "dy": [9.0, 2.0, -0.5], "quality": 0.9})
    moved = displaced(steps)
    assert moved["shift_x_px"].to_numpy() == pytest.approx([0, 1, 21]) and moved["jump"].tolist() == [False, False, True]
    assert moved["shift_y_px"].to_numpy() == pytest.approx([0, 2, 1.5])
    unknown = displaced(steps.assign(quality=[1.0, 0.0, 0.9]))
    assert unknown["shift_x_px"].to_numpy() == pytest.approx([0, 0, 20], abs=1e-5)
    assert unknown["shift_quality"].tolist() == pytest.approx([1, 0, 0.9])


def test_a_slow_change_of_content_with_text_and_growing_objects_stays_true():
    rng = np.random.default_rng(0)
    shape, n = (220, 300), 3 * BATCH
    grounds = [cv2.GaussianBlur(rng.normal(0, 1, (360, 460)).astype(np.float32), (0, 0), 2.5) for _ in range(2)]
    path = np.cumsum(rng.normal(0, 0.25, (n, 2)), axis=0)
    path[40:] += [31, -22]
    path -= path[0]
    discs = rng.uniform(40, 180, (9, 2))
    series = []
    for i, (x, y) in enumerate(path):
        ground = 128 + 250 * (grounds[0] * (1 - 0.5 * i / n) + grounds[1] * 0.5 * i / n)
        for k, (u, v) in enumerate(discs):
            if i > 6 * k:
                centre = (round((u + 80) * 16), round((v + 70) * 16))
                cv2.circle(ground, centre, round((2 + 0.1 * (i - 6 * k)) * 16), 60.0, -1, cv2.LINE_AA, 4)
        matrix = np.array([[1, 0, 80 - x], [0, 1, 70 - y]])
        seen = cv2.warpAffine(ground, matrix, shape[::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        picture = np.clip(np.rint(seen + rng.normal(0, 5, shape)), 0, 255).astype(np.uint8)
        cv2.putText(picture, f"{i / 10:.1f} dpa", (8, 212), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2)
        cv2.line(picture, (10 + i, 30), (22 + i, 42), 255, 2)  # a cursor
        series.append(picture)
    registration = Registration(shape, range(n))
    moved = displaced(table([registration.add(i, picture)() for i, picture in enumerate(series)], range(n)))
    error = moved[["shift_x_px", "shift_y_px"]].to_numpy() - path
    assert np.flatnonzero(moved["jump"]).tolist() == [40]
    assert np.sqrt((error**2).sum(axis=1).mean()) < 0.25


@pytest.mark.parametrize("lost", [False, True])
def test_a_run_warns_of_frames_with_objects_that_were_not_recognised(frames, tmp_path, monkeypatch, lost):
    monkeypatch.setattr(outputs, "_draw_figures", lambda *_: {})
    other = np.random.default_rng(0).integers(130, 256, SHAPE, dtype=np.uint8)
    other[40:50, 60:70] = 20
    path = write_stack(tmp_path / "film.tif", np.stack([*frames[:3], other if lost else frames[3], *frames[4:6]]))
    run = analyze(path, parse_recipe(SETTINGS), tmp_path / "run", detector=BlobDetector())
    assert run.frames["count"].min() > 0
    assert any("not known in 1 of the 6 frames" in said and "(frame 3)" in said for said in run.warnings) == lost


def hashes(run):
    return [table_hash(getattr(run, name)) for name in ("objects", "frames", "tracks")]


def test_a_run_does_not_depend_on_chunks_threads_or_breaks(frames, tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "_draw_figures", lambda *_: {})
    path = write_stack(tmp_path / "film.tif", frames)

    def recipe(chunk, threads=2):
        return parse_recipe({**SETTINGS, "run": {"chunk": chunk, "threads": threads}})

    whole = analyze(path, recipe(200), tmp_path / "whole", detector=BlobDetector())
    assert whole.frames["shift_quality"].between(0.5, 1).all()
    other = analyze(path, recipe(7, 1), tmp_path / "other", detector=BlobDetector())
    with pytest.raises(KeyboardInterrupt):
        analyze(path, recipe(5), tmp_path / "broken", detector=BlobDetector(fail_at=BATCH + 9))
    (tmp_path / "broken" / "parts" / "frames-000002.parquet").unlink()  # and a hole
    rest = BlobDetector()
    resumed = analyze(path, recipe(5), tmp_path / "broken", detector=rest, resume=True)
    assert 0 < rest.calls < N
    assert hashes(whole) == hashes(other) == hashes(resumed)
