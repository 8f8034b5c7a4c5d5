"""One adapter over many motions against one a motion, on a motion that the first has never seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mvmodel.errors import InputError
from mvmodel.experiments.config import ExperimentsConfig
from mvmodel.experiments.grid import Cell, Measured
from mvmodel.experiments.subject import Maker, Subject, hash_clip, together
from mvmodel.experiments.texts import mean_of, paired
from mvmodel.files import hash_file
from mvmodel.masks import MaskSequence

if TYPE_CHECKING:
    import pandas as pd

    from mvmodel.training.config import TrainingClip

TRAINED_ON = {"others": "one adapter on the clips of all other motions", "own": "one adapter on this motion's clips"}


def cells(subject: Subject, config: ExperimentsConfig, maker: Maker) -> list[Cell]:
    """Both adapters begin from nothing: the pack's own adapter may have seen every motion."""
    motions = {subject.name: subject, **subject.others}
    if len(motions) < 2:
        raise InputError(f"only the motion {subject.name} is there; holding one out needs two or more motions")
    out = []
    for held in list(motions)[: config.zero_shot.motions]:
        own = list(motions[held].clips)
        rest = [clip for name, one in motions.items() if name != held for clip in one.clips]
        for trained_on, clips in (("others", rest), ("own", own)):
            requests = motions[held].asked(config.zero_shot.videos)
            parts = {
                "pack": subject.pack.hash,
                "requests": [[r.prompt, r.seed, hash_file(r.masks)] for r in requests],
                "clips": [hash_clip(clip) for clip in clips],
                "config": [config.generation.model_dump(mode="json"), config.zero_shot.steps, config.training],
                "seed": config.seed,
            }

            def run(held: str = held, trained_on: str = trained_on, clips: list[TrainingClip] = clips) -> Measured:
                adapter = _train(subject, clips, config, maker)
                parts = []
                for request in motions[held].asked(config.zero_shot.videos):
                    sequence = MaskSequence.load(request.masks)
                    first = maker.first_frame(
                        request.prompt, sequence.masks[0], request.seed, config.generation, request.negative_prompt
                    )
                    frames = maker.video(adapter, request, sequence.masks, first, config.generation, fps=sequence.fps)
                    maker.strip(frames, f"{held}-{trained_on}-{request.name}")
                    parts.append(maker.measure(frames, sequence.masks, request))
                return together(parts)

            out.append(Cell({"held_out": held, "trained_on": trained_on, "clips": len(clips)}, run, parts))
    return out


def _train(subject: Subject, clips: list[TrainingClip], config: ExperimentsConfig, maker: Maker) -> Path:
    from mvmodel.training.config import TrainConfig
    from mvmodel.training.finetune import finetune

    values = {"seed": config.seed, **config.training, "steps": config.zero_shot.steps, "init_from": None}
    how = TrainConfig(**values)
    return finetune(subject.pack, clips, how, maker.adapter_folder(clips, how))


def conclude(table: pd.DataFrame, frames: pd.DataFrame) -> list[str]:
    on = ("held_out", "name", "seed")
    others, own = (table[table["trained_on"] == name] for name in ("others", "own"))
    said = [
        f"On motions held out, an adapter of the other motions' clips reaches an IoU of {mean_of(others, 'iou'):.3f}, "
        f"one of the motion's own clips {mean_of(own, 'iou'):.3f} ({len(others)} videos each, as many steps); the "
        f"difference is {paired(others, own, 'iou', on)}."
    ]
    difference = paired(others, own, "iou", on)
    if difference is None or not difference.certain:
        said.append("These few videos do not separate the two: position comes from the mask, whatever was trained on.")
    elif difference.mean > 0:
        said.append("More clips of other motions help more than clips of the right motion.")
    else:
        said.append("The motion's own clips help more than more clips of other motions.")
    said.append(
        f"Does the foreground follow the mask's way: motion cosine {mean_of(others, 'motion_cosine'):.3f} against "
        f"{mean_of(own, 'motion_cosine'):.3f}."
    )
    return said
