"""The word of a person taken into a project: from a sorted folder, a folder per category, or a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from morphoscope.errors import InputError, ProjectConflictError, UsageError
from morphoscope.pipeline.class_project import AT_ONCE, Key, Said, words_in
from morphoscope.pipeline.classify_results import ACCEPT
from morphoscope.pipeline.sorted_back import Found, find_sorted, lost_links, settle
from morphoscope.pipeline.sorting import FOLDER, MANIFEST
from morphoscope.pipeline.word_tables import Word, words_of_data
from morphoscope.project import Project
from morphoscope.project.places import sha256_of


@dataclass
class Taken:
    """What was taken into a project: `images` newly said or changed, `same` as before, by category or decision in `counts`.

    `conflicts` were said otherwise by somebody else meanwhile, `twice` lie in two categories, `left_out` cannot be used: none of
    them was written. `new` are categories that nobody had used before; of those that are `single` there is one image, and
    training wants two.
    """

    images: int = 0
    same: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    new: list[str] = field(default_factory=list)
    single: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """What was not written, and why."""
        return [*self.conflicts, *self.twice, *self.left_out]


def take_labels(source: str | Path, project: str | Path, *, confirm: bool = False, author: str | None = None) -> Taken:
    """Take a person's categories and decisions into a project; they win over a model's, and training learns them.

    Args:
        source: a run of `classify` with sorted images, or its folder `sorted`: images that were moved since are corrections (to
            another category; to `foreign`; to `reject`, so that they are not learnt; to `review`, so that somebody looks again),
            and images put there are new; one that was copied into a second folder is told of and not taken. Or labelled images
            in any layout of one class each that `train classify` takes, or a CSV `file,label` with, as wanted, `decision`,
            `frame` and `group` such as a filled-in next.csv: rows without label and decision are passed over.
        project: made where it is missing.
        confirm: images that were left where they were accepted are confirmed: a person has looked at them all.
        author: who; None: the login name.

    Raises:
        InputError: nothing there, or no project.
        UsageError: labels of another kind, or `confirm` without a sorted folder.
    """
    source, path = Path(source), Path(project)
    if not source.exists():
        raise InputError(f"there is no file or folder {source}; check the path")
    folder = next((one for one in (source, source / FOLDER) if (one / MANIFEST).is_file()), None)
    if folder is None:
        if confirm:
            raise UsageError(
                f"{source} holds no sorted images of a run of `classify`, of which those left in place are confirmed"
            )
        with Project.open(path, author) as store:
            words, wrong = words_of_data(source, store)
            taken, _ = _take(words, store)
            taken.left_out += wrong
            return taken
    found = find_sorted(folder)
    doubtful = {one.sha256 for one in found if one.was is not None and one.copied and one.moved}
    said = [_word_of(one, confirm=confirm, doubtful=one.sha256 in doubtful) for one in found]
    with Project.open(path, author) as store:
        taken, versions = _take([word for word in said if word is not None], store)
    taken.left_out += [f"{place}: the image that this link points to is gone" for place in lost_links(folder)]
    settle(folder, found, versions)
    return taken


def _word_of(one: Found, *, confirm: bool, doubtful: bool) -> Word | None:
    """What a file of a sorted folder says; None where it says nothing new.

    Of `doubtful` images there is one copy more than was filed, in another folder: what each of them says counts.
    """
    was = one.was
    if not one.moved and not doubtful and (one.silent or not (confirm and one.decision == ACCEPT)):
        return None
    if one.was is None and one.silent:
        return None
    place = one.path
    frames: tuple[int, ...] = (0,)
    seen: dict[int, int] = {}
    if was is not None:
        original = Path(was.source)
        place = original if original.is_file() and sha256_of(original) == one.sha256 else one.path
        frames, seen = was.frames, dict(zip(was.frames, was.seen, strict=True))
    label = one.label if one.decision == ACCEPT else None
    return Word(place, one.sha256, label, one.decision, frames=frames, seen=seen, left=not one.moved and not doubtful)


def _take(words: Sequence[Word], project: Project) -> tuple[Taken, dict[str, tuple[int, ...]]]:
    """Write words; and the versions of those that now hold, by SHA-256."""
    taken, before = Taken(), words_in(project)
    agreed = _without_contradictions(_said(words, before), taken)
    known = {str(label) for label in project.image_labels()["label"].dropna()}
    versions: dict[str, tuple[int, ...]] = {}
    for first in range(0, len(agreed), AT_ONCE):
        with project.batch():
            for word in agreed[first : first + AT_ONCE]:
                written = _write(word, project, before, taken)
                if written is not None:
                    versions[word.sha256] = written
    used = {word.label for word in agreed if word.label is not None and word.sha256 in versions}
    taken.new = sorted(used - known) if known else []
    taken.single = [name for name in taken.new if taken.counts[name] == 1]
    return taken, versions


def _said(words: Sequence[Word], before: Mapping[Key, Said]) -> list[Word]:
    """Words without those of copies that were left in place where another copy was moved, now or before."""
    moved = {word.sha256 for word in words if not word.left}
    known = {word.sha256 for word in words if word.left and _is_known(word, before)}
    left = [word for word in words if word.left and word.sha256 not in moved]
    return [
        *(word for word in words if not word.left),
        *(word for word in left if word.sha256 not in known or _is_known(word, before)),
    ]


def _is_known(word: Word, before: Mapping[Key, Said]) -> bool:
    there = [before.get((word.sha256, frame)) for frame in word.frames]
    return all(one is not None and (one.label, one.decision or ACCEPT) == (word.label, word.decision) for one in there)


def _without_contradictions(words: Sequence[Word], taken: Taken) -> list[Word]:
    """One word for each image; images of which several say different things are told of and left out."""
    kept: dict[tuple[str, tuple[int, ...]], Word] = {}
    wrong: dict[str, set[str]] = {}
    for word in words:
        known = kept.setdefault((word.sha256, word.frames), word)
        if known.says != word.says:
            wrong.setdefault(word.sha256, set()).update((f"{known.path} ({known.says})", f"{word.path} ({word.says})"))
    taken.twice += [f"one image with different words: {' and '.join(sorted(said))}; keep one" for said in wrong.values()]
    return [word for word in kept.values() if word.sha256 not in wrong]


def _write(word: Word, project: Project, before: dict[Key, Said], taken: Taken) -> tuple[int, ...] | None:
    """Write one word; the versions of its frames, None where it could not be written."""
    versions, changed = [], False
    try:
        with project.batch():  # all frames of an image or none
            image = project.add_image(word.path, group=word.group, sha256=word.sha256)
            for frame in word.frames:
                there = before.get((image, frame))
                if there is not None and (there.label, there.decision or ACCEPT) == (word.label, word.decision):
                    versions.append(there.version)
                    continue
                seen = word.seen.get(frame)
                versions.append(project.set_label(image, word.label, frame=frame, decision=word.decision, seen=seen))
                changed = True
    except ProjectConflictError as error:
        taken.conflicts.append(f"{word.path.name}: {error}")
        return None
    except (InputError, UsageError) as error:
        taken.left_out.append(str(error) if word.path.name in str(error) else f"{word.path}: {error}")
        return None
    taken.images += changed
    taken.same += not changed
    taken.counts[word.says] += changed
    return tuple(versions)


def taken_facts(taken: Taken) -> dict[str, object]:
    """The same as plain values, for machines."""
    counts = dict(sorted((name, n) for name, n in taken.counts.items() if n))
    lists = {name: getattr(taken, name) for name in ("new", "single", "conflicts", "twice", "left_out")}
    return {"images": taken.images, "same": taken.same, "counts": counts, **lists}
