"""`mvmodel train`: fine-tune a motion adapter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mvmodel.cli.inputs import (
    check_adapter,
    check_inputs_exist,
    config_from_options,
    parse_assignments,
    read_section,
)
from mvmodel.cli.options import (
    AsJson,
    FitClipMasks,
    FitName,
    Memory,
    Overflow,
    OverflowName,
    Overwrite,
    PackName,
    RunSize,
    SegmenterName,
)
from mvmodel.cli.output import print_json, print_table, stdout_to_stderr
from mvmodel.cli.outputs import adapter_output
from mvmodel.config import parse_config
from mvmodel.errors import InputError
from mvmodel.outputs import guarded_outputs
from mvmodel.picture_size import PictureSize, parse_size_option

if TYPE_CHECKING:
    from mvmodel.backends.training_config import TrainConfig, TrainingClip
    from mvmodel.masks.fit import Fit
    from mvmodel.packs import Pack
    from mvmodel.training.clips import LoadedClips


def train(
    clips: Annotated[Path, typer.Argument(help="Folder of clips that share one motion.")],
    out: Annotated[Path, typer.Option("--out", help="Output folder for the adapter.")],
    steps: Annotated[int | None, typer.Option("--steps", help="Number of optimiser steps.")] = None,
    init_from: Annotated[
        Path | None, typer.Option("--init-from", help="Start from this adapter, not from the pack's start adapter.")
    ] = None,
    scratch: Annotated[bool, typer.Option("--scratch", help="Do not start from the pack's start adapter.")] = False,
    hold_out: Annotated[
        int, typer.Option("--hold-out", help="Number of clips to hold out of training and measure on.", min=0)
    ] = 0,
    preview_every: Annotated[
        int | None, typer.Option("--preview-every", help="Number of steps between preview strips.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", help="Licence of the clips, for the adapter's model card.")
    ] = None,
    sanity: Annotated[
        bool, typer.Option("--sanity", help="Only overfit the first clip. Exits with code 1 if the loss does not fall.")
    ] = False,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", help="YAML or JSON with settings of `training` in docs/settings.md."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting of `training` in docs/settings.md, as in --set ema=0.99."),
    ] = None,
    size: RunSize = None,
    overflow: Overflow = OverflowName.quarantine,
    fit: FitClipMasks = None,
    segmenter: SegmenterName = "auto",
    overwrite: Overwrite = False,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", help="Random seed. The same seed gives the same result. Default: 0.", min=0, max=2**63 - 1
        ),
    ] = None,
    pack: PackName = None,
    memory: Memory = "auto",
    json: AsJson = False,
) -> None:
    """Fine-tune a motion adapter on a handful of clips. Run the same command again to resume an interrupted run."""
    from mvmodel.backends.training_config import TrainConfig
    from mvmodel.packs.info import find_pack_folder, get_default_pack_name, read_run_info
    from mvmodel.segmentation.downloads import locate_segmenter

    check_inputs_exist({"--config": config_file})
    values = read_section(config_file, "training", TrainConfig) if config_file else {}
    values |= parse_assignments(TrainConfig, assignments or [])
    options = {"steps": steps, "seed": seed, "preview_every": preview_every, "licence": licence}
    renamed = {"licence": "data_licence"}
    chosen_values = {renamed.get(name, name): value for name, value in options.items() if value is not None}
    chosen_values |= {"init_from": str(init_from)} if init_from else {}
    config_from_options(TrainConfig, options, renamed=renamed)
    config = parse_config(TrainConfig, {**values, **chosen_values}, "--config and --set")
    clip_size = parse_size_option(size)
    read_run_info(find_pack_folder(pack or get_default_pack_name()), clip_size)
    locate_segmenter(segmenter)
    with guarded_outputs([] if sanity else [adapter_output(out)], [clips, init_from, config_file], overwrite):
        check_inputs_exist({"CLIPS": clips, "--init-from": init_from})
        check_adapter("--init-from", init_from)
        reading = pack, clip_size, overflow, fit, segmenter, memory
        _train(clips, out, config, hold_out, scratch, sanity, overwrite, *reading, json)


def _train(
    clips: Path,
    out: Path,
    config: TrainConfig,
    hold_out: int,
    scratch: bool,
    sanity: bool,
    overwrite: bool,
    pack: str | None,
    size: PictureSize | None,
    overflow: OverflowName,
    fit: FitName | None,
    segmenter: str,
    memory: str,
    json: bool,
) -> None:
    """Load the models and the clips, and train on them or only check that training works."""
    from mvmodel.backends.load import load_backend
    from mvmodel.packs import load_pack
    from mvmodel.training.clips import load_training_clips
    from mvmodel.training.finetune import build_trainee, finetune
    from mvmodel.training.processes import Processes

    processes = Processes()
    if sanity and processes.count > 1:
        raise InputError("--sanity trains in one process; run it without accelerate launch")
    models = load_pack(pack, size=size, memory=memory)
    config_steps = 1 if sanity else config.for_pack(models.info).steps
    if processes.is_main and (remark := models.describe_slow_stages(training_steps=config_steps)):
        typer.echo(f"note: {remark}", err=True)
    if config.init_from == "start" and (scratch or models.start_adapter() is None):
        config = config.model_copy(update={"init_from": None})
    with stdout_to_stderr():
        mask_fit: Fit | None = fit.value if fit else None
        loaded = load_training_clips(models, clips, segmenter=segmenter, overflow=overflow.value, mask_fit=mask_fit)
    usable, left_out = loaded.clips, loaded.left_out
    if processes.is_main:
        _print_notes(models, loaded)
    if len(usable) <= hold_out:
        raise InputError(f"{clips} has {len(usable)} usable clips and {hold_out} are held out; add clips")
    if sanity:
        _run_sanity_check(models, usable[0], json)
        return
    train_clips, held_out_clips = usable[: len(usable) - hold_out], usable[len(usable) - hold_out :]
    config = config.for_pack(models.info)
    with stdout_to_stderr():
        backend = load_backend(models)
        if processes.is_main:
            print_table(["trained part", "weights"], list(build_trainee(backend, config).parameter_counts().items()))
        adapter = finetune(backend, train_clips, config, out, held_out_clips, _ignore_row, overwrite=overwrite)
    if not processes.is_main:
        return
    if json:
        names = {"clips": [clip.name for clip in train_clips], "held_out": [clip.name for clip in held_out_clips]}
        record = {
            "adapter": str(adapter),
            **names,
            "left_out": left_out,
            "segmenters": loaded.segmenters,
            "unknown": loaded.unknown,
        }
        print_json(record | {"config": config.model_dump(), "pack": models.info.name})
    else:
        print(f"{adapter}: trained on {len(train_clips)} clips in {config.steps} steps")


def _print_notes(models: Pack, loaded: LoadedClips) -> None:
    """What is odd about the clips, and which cannot be used."""
    from mvmodel.packs.info import describe_unknown_footage

    if loaded.unknown:
        typer.echo(f"note: {describe_unknown_footage(models.info, loaded.unknown)}", err=True)
    for name, reason in loaded.left_out.items():
        typer.echo(f"left out {name}: {reason}", err=True)
    for name, note in loaded.caption_notes.items():
        typer.echo(f"{name}: {note}", err=True)
    for name, remark in loaded.remarks.items():
        typer.echo(f"{name}: {remark}", err=True)


def _ignore_row(_: object) -> None:
    """The rows of the training curve are in curve.jsonl; people see the progress."""


def _run_sanity_check(pack: Pack, clip: TrainingClip, as_json: bool) -> None:
    """Overfit one clip. Exits with code 1 if the loss does not fall far enough."""
    from mvmodel.backends.load import load_backend
    from mvmodel.training.overfit import MIN_LOSS_FALL, overfit

    with stdout_to_stderr():
        result = overfit(load_backend(pack), clip)
    if as_json:
        print_json({**vars(result), "fall": result.fall, "needed": MIN_LOSS_FALL, "passed": result.passed})
    else:
        verdict = "passed" if result.passed else f"failed: the loss has to fall by at least {MIN_LOSS_FALL:.0%}"
        print(f"{result.clip}: loss {result.before:.4f} -> {result.after:.4f} in {result.steps} steps, {verdict}")
    if not result.passed:
        raise typer.Exit(1)
