"""`morphoscope synth`: pictures or videos with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from morphoscope.errors import UsageError

KINDS = ("loops", "particles", "films", "wires", "categories")
FRAMES = {"loops": 200, "particles": 100, "films": 24, "wires": 1, "categories": 1}
SIZES = {"loops": "1120x710", "particles": "640x480", "films": "512x384", "wires": "512x384", "categories": "384x288"}
Look = Literal["tem", "sem"]
Pattern = Literal["parallel", "waves", "domains", "random"]
Motion = Literal["brownian", "assembly", "growth", "coalescence"]


def synth(
    kind: Annotated[str, typer.Argument(help="What to draw: " + ", ".join(KINDS))],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write into")],
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same pictures")] = 0,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames of a video; default: 200 of loops, 100 of particles, 24 of films")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH",
            help="Width and height in px; default: as suits the kind, such as 512x384",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in the folder")] = False,
    look: Annotated[Look, typer.Option(help="Particles: dark before a film (tem) or bright with bright edges (sem)")] = "tem",
    shapes: Annotated[str | None, typer.Option(help="Particles: disc, ellipse, facet, rod, cube, separated by commas")] = None,
    samples: Annotated[int, typer.Option(min=1, max=26, help="Particles: samples, each 1.25 times as large as the last")] = 2,
    places: Annotated[int, typer.Option(min=1, help="Particles: fields of view of each sample")] = 4,
    bar: Annotated[
        bool, typer.Option("--bar", help="Particles (with a scale bar) and wires: an info bar below each picture")
    ] = False,
    video: Annotated[Motion | None, typer.Option(help="Particles: a video of this instead of pictures of samples")] = None,
    conserved: Annotated[
        Literal["area", "volume"], typer.Option(help="What two coalescing particles keep: area of flat ones, volume of spheres")
    ] = "area",
    pictures: Annotated[
        int, typer.Option(min=1, help="Films, wires: pictures that have nothing to do with each other; of each category")
    ] = 24,
    series: Annotated[
        bool, typer.Option("--series", help="Films: one film that dewets, instead; --frames pictures of it")
    ] = False,
    surface: Annotated[
        str | None, typer.Option(metavar="NxM", help="Films: a film per pair of two conditions instead, such as 8x8")
    ] = None,
    field: Annotated[Literal["dark", "bright"] | None, typer.Option(help="Films: dark or bright field; default: either")] = None,
    objective: Annotated[float | None, typer.Option(min=1, help="Films: magnification; default: 5 or 20")] = None,
    pattern: Annotated[Pattern | None, typer.Option(help="Wires: what they follow; default: any of these")] = None,
    following: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Wires: share that follows the pattern; default: any"),
    ] = None,
    width: Annotated[float | None, typer.Option(min=1.5, max=40, help="Wires: median width in px; default: 3 to 11")] = None,
) -> None:
    """Draw pictures or a video with known truth: pictures, truth tables, label images or boxes, and a recipe for analyze."""
    if kind not in KINDS:
        raise UsageError(f"synth draws {', '.join(KINDS)}; got {kind!r}")
    shape = parse_size(size or SIZES[kind])
    if (output / "recipe.toml").exists() and not overwrite:
        raise UsageError(f"{output} holds drawn pictures already; --overwrite replaces them, another -o keeps them")
    if kind == "categories":
        _categories(output, seed, pictures, shape, overwrite=overwrite)
        return
    if kind == "loops":
        _loops(output, seed, frames or FRAMES[kind], shape)
        return
    if kind == "wires":
        chosen = {"pattern": pattern, "following": following, "width_px": width}
        stated: dict[str, Any] = {k: v for k, v in chosen.items() if v is not None}
        _wires(output, seed, pictures, {"shape": shape, "bar": bar, **stated})
        return
    if kind == "films":
        given = {"field": field, "objective": objective, "shape": shape}
        count = (frames or FRAMES[kind]) if series else pictures
        _films(output, seed, count, (series, surface), {k: v for k, v in given.items() if v is not None})
        return
    settings: dict[str, Any] = {"seed": seed, "shape": shape, "look": look}
    if shapes:
        settings["kinds"] = tuple(part.strip() for part in shapes.split(","))
    if video is not None:
        if bar:
            raise UsageError("videos are drawn without an info bar; leave out --bar")
        _particle_video(output, {**settings, "motion": video, "conserved": conserved, "n_frames": frames or FRAMES[kind]})
    else:
        if frames is not None:
            raise UsageError("--frames is the length of a video; add --video, or give --places for pictures")
        _particle_pictures(output, {**settings, "bar": bar}, samples, places)


def _loops(output: Path, seed: int, frames: int, shape: tuple[int, int]) -> None:
    from morphoscope.cli.show import progress_bar
    from morphoscope.synth.loops import LoopScene
    from morphoscope.synth.write import write_video

    scene = LoopScene(seed=seed, n_frames=frames, shape=shape)
    with progress_bar("drawing") as progress:
        write_video(scene, output, progress=progress)
    _say_video(output, frames, shape, "analyze")


def _particle_video(output: Path, settings: dict[str, Any]) -> None:
    from morphoscope.cli.show import progress_bar
    from morphoscope.synth.particle_video import MotionScene, ParticleVideo
    from morphoscope.synth.write_particles import write_particle_video

    scene = MotionScene(**settings)
    with progress_bar("drawing") as progress:
        write_particle_video(ParticleVideo(scene), output, progress=progress)
    _say_video(output, scene.n_frames, scene.shape, "analyze --model otsu")


def _particle_pictures(output: Path, settings: dict[str, Any], samples: int, places: int) -> None:
    from morphoscope.cli.show import progress_bar
    from morphoscope.synth.particle_scene import ParticleScene
    from morphoscope.synth.write_particles import sample_scenes, write_pictures

    scene = ParticleScene(**settings)
    with progress_bar("drawing") as progress:
        write_pictures(sample_scenes(scene, samples), output, places=places, progress=progress)
    typer.echo(f"{output / 'image'}: {samples * places} pictures of {samples} samples; the truth lies beside it")
    typer.echo(f"next: morphoscope segment {output / 'image'} --model otsu --recipe {output / 'recipe.toml'} -o RUN")


def _films(output: Path, seed: int, count: int, kind: tuple[bool, str | None], settings: dict[str, Any]) -> None:
    from morphoscope.cli.show import progress_bar
    from morphoscope.synth.write_films import film_series, film_surface, independent_films, write_films

    series, surface = kind
    if series and surface is not None:
        raise UsageError("--series and --surface draw different sets; give one of them")
    if surface is not None:
        down, across = parse_size(surface, "--surface")
        films = film_surface(seed, (across, down), **settings)
    else:
        films = (film_series if series else independent_films)(seed, count, **settings)
    with progress_bar("drawing") as progress:
        write_films(films, output, progress=progress)
    typer.echo(f"{output / 'image'}: {len(films.scenes)} pictures of films; masks and true extents lie beside them")
    if len(films.conditions.columns):
        typer.echo(f"next: morphoscope score {output / 'image'} --conditions {output / 'conditions.csv'} -o RUN")
    else:
        typer.echo(f"next: morphoscope train score {output} -o FILMS.onnx, or morphoscope score {output / 'image'} -o RUN")


def _wires(output: Path, seed: int, count: int, settings: dict[str, Any]) -> None:
    from morphoscope.cli.show import progress_bar
    from morphoscope.synth.write_wires import independent_wires, write_wires

    with progress_bar("drawing") as progress:
        write_wires(independent_wires(seed, count, **settings), output, progress=progress)
    typer.echo(f"{output / 'image'}: {count} pictures of wires; masks, directions and true aligned fractions lie beside them")
    typer.echo(f"next: morphoscope orient {output / 'image'} --recipe {output / 'recipe.toml'} -o RUN")


def _say_video(output: Path, frames: int, shape: tuple[int, int], command: str) -> None:
    typer.echo(f"{output / 'video.mp4'}: {frames} frames of {shape[1]}x{shape[0]} px; the truth lies beside it")
    typer.echo(f"next: morphoscope {command} {output / 'video.mp4'} --recipe {output / 'recipe.toml'} -o RUN")


def parse_size(size: str, option: str = "--size") -> tuple[int, int]:
    """(height, width) from `WxH`.

    Raises:
        UsageError: it is not two whole numbers.
    """
    parts = size.lower().split("x")
    if len(parts) != 2 or not all(p.strip().isdigit() for p in parts):
        example = "WIDTHxHEIGHT in px such as 1120x710" if option == "--size" else "two numbers of values such as 8x8"
        raise UsageError(f"{option} wants {example}, got {size!r}")
    return int(parts[1]), int(parts[0])


def _categories(output: Path, seed: int, count: int, shape: tuple[int, int], *, overwrite: bool) -> None:
    from morphoscope.synth.categories import CATEGORIES, write_categories, write_pool

    labelled, pool = output / "labelled", output / "pool"
    if (labelled.exists() or pool.exists()) and not overwrite:
        raise UsageError(f"{output} holds drawn pictures already; --overwrite replaces them, another -o keeps them")
    write_categories(labelled, count, seed=seed, shape=shape)
    _, truth = write_pool(pool, count, odd=max(count // 2, 1), between=max(count // 2, 1), seed=seed + 1, shape=shape)
    truth.to_csv(output / "pool.csv", index=False)
    typer.echo(f"{labelled}: {count} pictures of each of {', '.join(CATEGORIES)}")
    typer.echo(f"{pool}: {len(truth)} mixed ones; what they show is in {output / 'pool.csv'}")
    typer.echo(f"next: morphoscope train classify {labelled} -o CATEGORIES.onnx, then")
    typer.echo(f"      morphoscope classify {pool} --model CATEGORIES.onnx --accuracy 0.9 -o RUN")
