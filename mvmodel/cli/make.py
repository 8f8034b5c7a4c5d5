"""The commands that make something or measure it: train, generate, metrics, report, doctor."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel, ValidationError

from mvmodel.cli.inputs import control_masks, first_picture, training_clips
from mvmodel.cli.output import print_json, print_table, talking_aside
from mvmodel.errors import InputError, MvmodelError

if TYPE_CHECKING:
    from mvmodel.backends.training_config import TrainingClip
    from mvmodel.packs import Pack

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
PackName = Annotated[str | None, typer.Option("--pack", help="A pack's name or folder; MVMODEL_PACK, else tiny.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same result.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands, once."""
    if not any(command.callback is train for command in app.registered_commands):
        for command in (train, generate, metrics, report, doctor):
            app.command()(command)


def settings(model: type[BaseModel], values: dict[str, Any]) -> Any:
    """A config from the options that were given. Raises InputError in one sentence for a value that does not fit."""
    try:
        return model(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--{'-'.join(map(str, first['loc'])).replace('_', '-')}: {first['msg']}") from error


def train(
    clips: Annotated[Path, typer.Argument(help="A folder of clips that share one motion.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the adapter.")],
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    init_from: Annotated[Path | None, typer.Option(help="Start from this adapter, not from the pack's own.")] = None,
    scratch: Annotated[bool, typer.Option("--scratch", help="Do not start from the pack's own adapter.")] = False,
    hold_out: Annotated[int, typer.Option(help="Clips kept out, to measure on.", min=0)] = 0,
    preview_every: Annotated[int | None, typer.Option(help="Steps between pictures of what it learned.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the clips, for the model card.")] = None,
    sanity: Annotated[bool, typer.Option("--sanity", help="Only overfit the first clip, which must succeed.")] = False,
    seed: Seed = 0,
    pack: PackName = None,
    json: AsJson = False,
) -> None:
    """Tune a motion adapter on a handful of clips; stopped and started again, it goes on where it was."""
    from mvmodel.backends.training_config import TrainConfig
    from mvmodel.packs import load_pack
    from mvmodel.training.finetune import finetune, new_adapter

    models = load_pack(pack)
    given = {"steps": steps, "seed": seed, "preview_every": preview_every, "data_licence": licence}
    config = settings(TrainConfig, given)
    if scratch or models.start_adapter() is None:
        config = config.model_copy(update={"init_from": None})
    if init_from:
        config = config.model_copy(update={"init_from": str(init_from)})
    with talking_aside():
        ready, left_out = training_clips(models, clips)
    for name, reason in left_out.items():
        typer.echo(f"left out {name}: {reason}", err=True)
    if len(ready) <= hold_out:
        raise InputError(f"{clips} gives {len(ready)} usable clips, of which {hold_out} are held out; add clips")
    if sanity:
        _sanity(models, ready[0], json)
        return
    kept, held = ready[: len(ready) - hold_out], ready[len(ready) - hold_out :]
    with talking_aside():
        print_table(["trained part", "weights"], list(new_adapter(models, config).parameter_counts().items()))
        adapter = finetune(models, kept, config, out, held)
    facts: dict[str, Any] = {"adapter": str(adapter)}
    facts |= {"clips": [c.name for c in kept], "held_out": [c.name for c in held]}
    facts |= {"left_out": left_out, "config": config.model_dump(), "pack": models.info.name}
    print_json(facts) if json else print(f"{adapter}: tuned on {len(kept)} clips, {config.steps} steps")


def generate(
    prompt: Annotated[str, typer.Option(help="What to show.")],
    out: Annotated[Path, typer.Option("--out", help="The .mp4; OUT.frames.npz with the exact frames goes beside it.")],
    masks: Annotated[Path | None, typer.Option(help="Where it is: .npz, a folder of PNGs, a GIF or a video.")] = None,
    instance: Annotated[
        list[str] | None,
        typer.Option(help='Instead of --masks, once an object: "a dog=dog.npz", words of the prompt and their masks.'),
    ] = None,
    adapter: Annotated[Path | None, typer.Option(help="An adapter's folder; the pack's own when left out.")] = None,
    adapter_scale: Annotated[float | None, typer.Option(help="Its strength; 0 is the base model.")] = None,
    first_frame: Annotated[
        Path | None, typer.Option(help="A picture, or a video, for frame 1, not the ControlNet's.")
    ] = None,
    first_frame_at: Annotated[int, typer.Option(help="Which frame of that video, from 0.")] = 0,
    negative_prompt: Annotated[str, typer.Option(help="What not to show.")] = "",
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="ddim, dpm++, unipc, euler or a diffusers class.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="Strength of prompt and mask.")] = None,
    mask_guidance_scale: Annotated[float | None, typer.Option(help="A strength of the mask's own.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Share of frame 1 in the later frames' noise.")] = None,
    noise_sharing: Annotated[str | None, typer.Option(help="paper, noise or variance_preserving.")] = None,
    window: Annotated[int | None, typer.Option(help="Frames at a time of a longer video; 0 is all at once.")] = None,
    overlap: Annotated[int | None, typer.Option(help="Frames that a window is given of the one before.")] = None,
    mask_term: Annotated[bool, typer.Option(help="Off shows what the mask does.")] = True,
    seed: Seed = 0,
    pack: PackName = None,
    json: AsJson = False,
) -> None:
    """Make one video that follows a mask sequence; prints the settings that make it again, bit by bit.

    A long video is made window by window; killed and started again, it goes on where it was.
    """
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.files import hash_file, hash_value, write_aside
    from mvmodel.generation import requests as batch
    from mvmodel.packs import load_pack

    if out.suffix.lower() != ".mp4":
        raise InputError(f"{out} should end in .mp4, the one format that is written")
    if out.exists() and any(given and given.exists() and given.samefile(out) for given in (masks, first_frame)):
        raise InputError(f"{out} is what the video is made from and would be replaced; give another --out")
    models = load_pack(pack)
    wanted = {"steps": steps, "scheduler": scheduler, "guidance_scale": guidance_scale, "alpha": alpha}
    wanted |= {
        "mask_guidance_scale": mask_guidance_scale,
        "noise_sharing": noise_sharing,
        "adapter_scale": adapter_scale,
    }
    wanted |= {"window": window, "overlap": overlap}
    config = settings(GenerationConfig, wanted).for_pack(models.info)
    weights = adapter or models.start_adapter()
    if weights is None:
        raise InputError(f"pack {models.info.name} ships no adapter; train one and give it with --adapter")
    side = models.info.resolution
    sequence = control_masks(masks, instance or [], side)
    if instance and batch.bind_instances(sequence, prompt) is None:
        raise InputError(f"the prompt {prompt!r} does not contain {' and '.join(map(repr, sequence.names))}; it should")
    about = [prompt, negative_prompt, seed, config.model_dump(), sequence.content_hash(), sequence.names, mask_term]
    about += [str(weights), models.hash, str(first_frame), first_frame_at]
    room = out.parent / f".{out.name}.{hash_value(about)[:12]}"  # what a killed run left is found by the next one
    with talking_aside(), _removed_on_mistake(room):
        sequence.save(room / "masks.npz")
        request = batch.Request(
            name="video", motion="", prompt=prompt, masks=room / "masks.npz", seed=seed, negative_prompt=negative_prompt
        )
        fit = None
        if first_frame:
            shutil.rmtree(room / "first", ignore_errors=True)
            first_picture(first_frame, first_frame_at, side, room / "first" / "video.png")
            fit = batch.check_first_frame(models, request, config, room / "first")
        else:
            batch.first_frames(models, [request], config, room / "first")
        batch.generate(models, weights, [request], room / "first", config, room / "videos", mask_term)
        for made, target in (("video.npz", out.with_suffix(".frames.npz")), ("video.mp4", out)):
            with write_aside(target) as aside:
                shutil.copyfile(room / "videos" / made, aside)
        facts = _read_json(room / "videos" / "video.json")
        shutil.rmtree(room)
    facts |= {"out": str(out), "masks": str(masks) if masks else instance, "adapter": str(weights)}
    facts |= {"first_frame": str(first_frame) if first_frame else None, "first_frame_iou": fit}
    facts |= {"sha256": hash_file(out)}
    print_json(facts) if json else print(out)


def metrics(
    videos: Annotated[list[Path], typer.Argument(help="Videos from anywhere: mp4, folders of frames, .npz.")],
    masks: Annotated[Path | None, typer.Option("--masks", "--mask", help="The control masks.")] = None,
    prompt: Annotated[str | None, typer.Option(help="What they should show.")] = None,
    object_word: Annotated[str | None, typer.Option("--object", help="What to look for, if not in the prompt.")] = None,
    pack: PackName = None,
    json: AsJson = False,
) -> None:
    """Measure videos: every figure that the given inputs allow, with the scorer and the convention behind it."""
    from mvmodel.masks.files import read_masks
    from mvmodel.metrics import METRICS, score_video
    from mvmodel.metrics.appearance import diversity
    from mvmodel.packs import load_pack
    from mvmodel.reports.folder_report import read_frames

    models = load_pack(pack)
    scorer, segmenter = models.scorer(), models.segmenter()
    table, embedded = [], []
    for video in videos:
        frames = read_frames(video)
        embedded.append(scorer.images(frames))
        control = read_masks(masks, frames=len(frames), size=frames.shape[1:3]).masks if masks else None
        scores = score_video(frames, control, prompt, scorer, segmenter, object_word)
        convention = {name: METRICS[name].meaning for name in scores}
        facts = {"video": str(video), "frames": len(frames), **scores, **scorer.record, "pack": models.info.name}
        facts |= {"random": models.info.random, "convention": convention}
        if json:
            print_json(facts, line=True)
        table.append((video, scores))
    if not json:
        names = [name for name in METRICS if any(name in scores for _, scores in table)]
        way = {1: "↑", -1: "↓", 0: ""}
        rows = [
            [
                METRICS[name].label,
                way[METRICS[name].better],
                *(scores.get(name) for _, scores in table),
                METRICS[name].meaning,
            ]
            for name in names
        ]
        short = {video.name for video in videos}
        named = [video.name if len(short) == len(videos) else str(video) for video in videos]
        print_table(["figure", "better", *named, "meaning"], rows)
        if len(videos) > 1:
            print(f"diversity of these {len(videos)}: {diversity(embedded):.4f}, lower is more diverse, 1 is one video")
        print(f"scorer {scorer.name}, weights {scorer.weights_hash[:12]}; compare only figures of one scorer")
    elif len(videos) > 1:
        facts = {"videos": [str(video) for video in videos], "diversity": diversity(embedded), **scorer.record}
        print_json(facts, line=True)


def report(
    videos: Annotated[Path, typer.Argument(help="The requests' videos; a folder per setting, or one.")],
    requests: Annotated[Path, typer.Option(help="The requests' CSV: motion, prompt, masks, seed.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for report.html and metrics.csv.")],
    motion: Annotated[str | None, typer.Option(help="Only this motion's requests.")] = None,
    ablation: Annotated[Path | None, typer.Option(help="A finished ablation_study's folder, for its table.")] = None,
    pack: PackName = None,
) -> None:
    """Measure a batch of generated videos and write its report."""
    from mvmodel.packs import load_pack
    from mvmodel.reports.folder_report import write_folder_report

    with talking_aside():
        page = write_folder_report(load_pack(pack), videos, requests, out, motion, ablation)
    print(page)


def doctor(json: AsJson = False) -> None:
    """Say what this machine has, what is missing and how to mend it. Exit code 1 when something needed is missing."""
    from mvmodel.doctor import examine

    found = examine()
    if json:
        print_json([vars(finding) for finding in found])
    else:
        print_table(["", "what", "found", "mend"], [[f.mark, f.what, f.found, f.mend] for f in found])
    if any(finding.needed and not finding.ok for finding in found):
        raise typer.Exit(1)


@contextmanager
def _removed_on_mistake(room: Path) -> Iterator[None]:
    """Keeps a working folder for a run that is killed, not for one that cannot succeed as it was asked for."""
    try:
        yield
    except MvmodelError:
        shutil.rmtree(room, ignore_errors=True)
        raise


def _sanity(pack: Pack, clip: TrainingClip, as_json: bool) -> None:
    """Overfit one clip; exit code 1 when the loss does not fall as it must."""
    from mvmodel.training.overfit import MIN_LOSS_FALL, overfit

    with talking_aside():
        found = overfit(pack, clip)
    if as_json:
        print_json({**vars(found), "fall": found.fall, "needed": MIN_LOSS_FALL, "passed": found.passed})
    else:
        verdict = "passed" if found.passed else f"failed: it should fall by {MIN_LOSS_FALL:.0%} or more"
        print(f"{found.clip}: loss {found.before:.4f} -> {found.after:.4f} in {found.steps} steps, {verdict}")
    if not found.passed:
        raise typer.Exit(1)


def _read_json(path: Path) -> dict[str, Any]:
    import json

    value: dict[str, Any] = json.loads(path.read_text())
    return value
