"""`morphoscope labels`: what a label file holds, and labels from one format into another."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from morphoscope.errors import PartialError, RunExistsError, UsageError

if TYPE_CHECKING:
    from morphoscope.io.label_set import LabelSet

LISTED = 20  # damaged records that are named in full
labels = typer.Typer(no_args_is_help=True, help="Show label files, convert them, take categories into a project.")

Source = Annotated[Path, typer.Argument(metavar="SRC", help="Label file, or folder of label files")]
From = Annotated[str | None, typer.Option("--from", help="Format of SRC; found out from the content where it is not given")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs")]


@labels.command()
def convert(
    src: Source,
    dst: Annotated[Path, typer.Argument(metavar="DST", help="Label file or folder to write; yolo and voc are folders")],
    to: Annotated[str, typer.Option("--to", help="Format: csv, coco, yolo, voc, imagej, cvat, trackmate, napari, trackpy, ...")],
    from_: From = None,
    as_json: AsJson = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files of the same names; others stay")] = False,
) -> None:
    """Write labels in another format, and say what it cannot hold.

    Image names are written as seen from DST. Ends with 4 where damaged records were left out.
    """
    from morphoscope.io.labels import label_source, label_targets, read_labels, recognise_labels, relocated, write_labels

    root, targets = label_targets(dst, to)
    if to != "project":  # labels are added to a project
        _check_free(dst, targets, overwrite=overwrite, folder=root == dst)
    kind = from_ or recognise_labels(label_source(src))
    found = read_labels(src, kind=kind)
    lost = write_labels(relocated(found, root), dst, to)
    facts = describe(src, kind, found) | {"written": str(dst), "written_as": to, "lost": lost}
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        for line in _counted(facts):
            typer.echo(line)
        typer.echo(f"written   {dst} ({to})")
        for line in lost:
            typer.echo(f"changed   {line}")
        for line in facts["notes"]:
            typer.echo(f"note      {line}")
    _end(found)


@labels.command()
def take(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC", help="run of `classify` with sorted images, folder per category, or CSV file,label[,decision]"
        ),
    ],
    project: Annotated[Path, typer.Option("--project", help="the project; made where it is missing")],
    confirm: Annotated[
        bool, typer.Option("--confirm", help="sorted images left under accept are confirmed: somebody has looked at them all")
    ] = False,
    author: Annotated[str | None, typer.Option(help="who says so; default: the login name")] = None,
    as_json: AsJson = False,
) -> None:
    """Take a person's categories into a project: images moved between sorted folders, a folder per category, or a table.

    They win over what models propose, and `train classify --from-project` learns them. Ends with 4 where images could not be
    taken: said otherwise by somebody else meanwhile, found in two categories, or not there.
    """
    from morphoscope.pipeline import take_labels
    from morphoscope.pipeline.corrections import taken_facts

    taken = take_labels(source, project, confirm=confirm, author=author)
    facts = taken_facts(taken)
    if as_json:
        typer.echo(json.dumps({"project": str(project), **facts}, indent=2, ensure_ascii=False))
    else:
        counts = ", ".join(f"{n} {name}" for name, n in sorted(taken.counts.items()) if n)
        typer.echo(f"taken     {taken.images} images" + (f": {counts}" if counts else ""))
        if taken.same:
            typer.echo(f"known     {taken.same} images said the same before")
        if taken.new:
            typer.echo(f"new       categories {', '.join(taken.new)}")
        for name in taken.single:
            typer.echo(f"note      there is one image of {name}: training wants a second one")
        typer.echo(f"project   {project}")
    if taken.wrong:
        listed = "\n".join(f"  {line}" for line in taken.wrong[:LISTED])
        more = f"\n  and {len(taken.wrong) - LISTED} more" if len(taken.wrong) > LISTED else ""
        raise PartialError(f"{len(taken.wrong)} images were not taken:\n{listed}{more}")


@labels.command()
def info(src: Source, from_: From = None, as_json: AsJson = False) -> None:
    """Show the format of labels, their images, objects of each class and shapes. Ends with 4 where records are damaged."""
    from morphoscope.io.labels import label_source, read_labels, recognise_labels

    kind = from_ or recognise_labels(label_source(src))
    found = read_labels(src, kind=kind)
    facts = describe(src, kind, found)
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        for line in [*_counted(facts), *(f"note      {note}" for note in facts["notes"])]:
            typer.echo(line)
    _end(found)


def describe(source: Path, kind: str, found: LabelSet) -> dict[str, Any]:
    """Plain values about labels: file, format, counts of images, objects by class and by shape, notes and skipped records."""
    from morphoscope.io.label_formats.losses import shape_kind

    missing = sum(not (found.root / file).exists() for file in found.images)
    notes = list(found.notes)
    if missing:
        notes.append(
            f"{missing} of {len(found.images)} images are not there as seen from {found.root}: their names stay as they are"
        )
    return {
        "file": str(source),
        "format": kind,
        "images": len(found.images),
        "images_without_objects": len(set(found.images) - {label.file for label in found.labels}),
        "objects": found.counts(),
        "shapes": dict(sorted(Counter(shape_kind(label) for label in found.labels).items())),
        "tracks": len({(label.file, label.track_id) for label in found.labels if label.track_id is not None}),
        "notes": notes,
        "skipped": list(found.skipped),
    }


def _counted(facts: dict[str, Any]) -> list[str]:
    objects, shapes = facts["objects"], facts["shapes"]
    empty = facts["images_without_objects"]
    lines = [
        f"read      {facts['file']} ({facts['format']})",
        f"images    {facts['images']}" + (f", {empty} of them without objects" if empty else ""),
        f"objects   {sum(objects.values())}" + (f": {_listed(objects)}" if objects else ""),
    ]
    lines += [f"shapes    {_listed(shapes)}"] if shapes else []
    return lines + ([f"tracks    {facts['tracks']}"] if facts["tracks"] else [])


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _check_free(dst: Path, targets: list[Path], *, overwrite: bool, folder: bool) -> None:
    if folder and dst.exists() and not dst.is_dir():
        raise UsageError(f"{dst} is a file, and this format is written into a folder; name another")
    if not folder and dst.is_dir():
        raise UsageError(f"{dst} is a folder, and this format is written into a file; name a file in it")
    taken = [path for path in targets if (any(path.iterdir()) if path.is_dir() else path.exists())]
    if taken and not overwrite:
        raise RunExistsError(f"{taken[0]} is there already; name another, or replace files of the same names with --overwrite")


def _end(found: LabelSet) -> None:
    """End with the code for partial work where records were damaged."""
    if found.skipped:
        more = len(found.skipped) - LISTED
        listed = [f"  {line}" for line in found.skipped[:LISTED]] + ([f"  and {more} more"] if more > 0 else [])
        raise PartialError(f"{len(found.skipped)} damaged records were left out, the others are done:\n" + "\n".join(listed))
