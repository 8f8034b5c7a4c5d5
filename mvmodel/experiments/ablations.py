"""Parts left out one by one (the paper's four), and learned motion told from the mask's constraint (four ways)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmodel.experiments.config import ExperimentsConfig
from mvmodel.experiments.grid import Cell, Measured
from mvmodel.experiments.subject import Maker, Subject, identity, together
from mvmodel.experiments.texts import claim, mean_of, paired

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = {
    "full": "everything on",
    "no_mask_trained": "an adapter tuned without any mask, from nothing",
    "no_mask": "the mask term switched off in the trained adapter",
    "no_first_frame_attention": "every frame's own keys and values instead of frame 1's",
    "no_shared_noise": "alpha 0",
    "no_control": "frame 1 by the text-to-image model without ControlNet",
    "untuned": "the adapter that tuning starts from, with the mask",
    "static_mask": "mask 1 in every frame, measured against the moving masks",
    "shuffled_mask": "the masks in another order, measured against the right order",
}
"""Setting -> what it is; the last three with `full` tell training from the mask."""


def cells(subject: Subject, config: ExperimentsConfig, maker: Maker) -> list[Cell]:
    requests = subject.asked(config.ablation.videos)
    plain = config.generation
    changed = {
        "no_first_frame_attention": plain.model_copy(update={"first_frame_attention": False}),
        "no_shared_noise": plain.model_copy(update={"alpha": 0.0}),
        "no_control": plain.model_copy(update={"control_scale": 0.0}),
    }
    out = []
    for name in SETTINGS:
        if name == "untuned" and subject.pack.start_adapter() is None:
            continue
        if name == "no_mask_trained" and not subject.clips:
            continue
        generation = changed.get(name, plain)
        parts: dict[str, Any] = {"requests": [identity(subject.adapter, subject.pack, r, generation) for r in requests]}
        if name == "no_mask_trained":
            parts |= {"steps": config.ablation.without_mask_steps, "training": config.training, "seed": config.seed}

        def run(name: str = name, generation: Any = generation) -> Measured:
            adapter = _adapter(name, subject, config, maker)
            return together([_one(name, adapter, r, generation, config, maker) for r in requests])

        out.append(Cell({"setting": name}, run, parts))
    return out


def _adapter(name: str, subject: Subject, config: ExperimentsConfig, maker: Maker) -> Path:
    if name == "untuned":
        start = subject.pack.start_adapter()
        assert start is not None  # cells() leaves this setting out otherwise
        return start
    if name != "no_mask_trained":
        return subject.adapter
    from mvmodel.training.config import TrainConfig
    from mvmodel.training.finetune import finetune

    # From nothing: the start adapter has learned to expect masks. Its mask term stays at its initial zero.
    values = {"seed": config.seed, **config.training, "steps": config.ablation.without_mask_steps, "init_from": None}
    how = TrainConfig(**{**values, "mask_dropout": 0.999999})
    return finetune(subject.pack, subject.clips, how, maker.adapter_folder(subject.clips, how))


def _one(name: str, adapter: Path, request: Any, generation: Any, config: ExperimentsConfig, maker: Maker) -> Measured:
    from mvmodel.masks import MaskSequence

    sequence = MaskSequence.load(request.masks)
    masks, given = sequence.masks, None
    if name == "static_mask":
        given = np.repeat(masks[:1], len(masks), axis=0)
    elif name == "shuffled_mask":
        order = 1 + np.random.default_rng(config.seed + request.seed).permutation(len(masks) - 1)
        given = masks[np.concatenate([[0], order])]
    first = maker.first_frame(request.prompt, masks[0], request.seed, generation, request.negative_prompt)
    shown = masks if given is None else given
    off = name in ("no_mask", "no_mask_trained")
    frames = maker.video(adapter, request, shown, first, generation, mask_term=not off, fps=sequence.fps)
    maker.strip(frames, f"{name}-{request.name}")
    return maker.measure(frames, masks, request, given)


def conclude(table: pd.DataFrame, frames: pd.DataFrame) -> list[str]:
    """What the table says about each of the paper's claims, and about training against mask."""
    by = {name: table[table["setting"] == name] for name in dict.fromkeys(table["setting"])}
    full = by["full"]

    def against(other: str, metric: str) -> Any:
        return paired(full, by[other], metric) if other in by else None

    said = [
        claim(
            "Shared noise lowers colour drift (full minus alpha 0)", against("no_shared_noise", "colour_drift"), -1e-9
        ),
        claim(
            "The mask term adds at least 0.3 IoU (full minus an adapter tuned without masks)",
            against("no_mask_trained", "iou"),
            0.3,
        ),
        claim("The same with the term only switched off", against("no_mask", "iou"), 0.3),
        claim("ControlNet's first frame raises alignment (full minus none)", against("no_control", "alignment"), 1e-9),
        claim("ControlNet's first frame raises IoU", against("no_control", "iou"), 1e-9),
        claim(
            "Frame 1's keys and values raise consistency (full minus own keys and values)",
            against("no_first_frame_attention", "consistency"),
            1e-9,
        ),
    ]
    ways = [name for name in ("untuned", "static_mask", "shuffled_mask", "full") if name in by]
    figures = ", ".join(f"{name.replace('_', ' ')} {mean_of(by[name], 'iou'):.3f}" for name in ways)
    said.append(f"Training against mask, IoU with the right masks: {figures}.")
    if "static_mask" in by:
        moving, still = mean_of(full, "motion"), mean_of(by["static_mask"], "motion")
        said.append(
            f"Under a mask that stands still the foreground moves {still:.2f} pixels a frame, {moving:.2f} under the "
            f"moving one: " + _share(still, moving)
        )
    return said


def _share(still: float, moving: float) -> str:
    if not moving > 0:
        return "the full method does not move, so nothing can be said about where motion comes from."
    share = still / moving
    return f"{share:.0%} of the motion is there without the mask asking for it, the rest comes from the mask's path."
