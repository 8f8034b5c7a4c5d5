"""A frame 1 that is not what it should be, and how the error travels along the frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mvmodel.experiments.config import ExperimentsConfig
from mvmodel.experiments.grid import Cell, Measured
from mvmodel.experiments.subject import Maker, Subject, identity, together
from mvmodel.experiments.texts import mean_of, paired
from mvmodel.masks import MaskSequence, edit

if TYPE_CHECKING:
    import pandas as pd

    from mvmodel.generation.requests import Request


def cells(subject: Subject, config: ExperimentsConfig, maker: Maker) -> list[Cell]:
    """Prompt and masks of the later frames stay as they are; only frame 1 differs."""
    requests, generation = subject.asked(config.first_frame.videos), config.generation
    faults = [("none", 0.0), ("another object", 1.0)]
    faults += [("mask 1 moved", pixels) for pixels in config.first_frame.moved]
    faults += [("noisy latents", share) for share in config.first_frame.noise]
    out = []
    for fault, level in faults:

        def one(request: Request, fault: str = fault, level: float = level) -> Measured:
            sequence = MaskSequence.load(request.masks)
            first = faulty(fault, level, request, sequence.masks, subject, config, maker)
            frames = maker.video(subject.adapter, request, sequence.masks, first, generation, fps=sequence.fps)
            maker.strip(frames, f"{fault.replace(' ', '_')}-{level:g}-{request.name}")
            return maker.measure(frames, sequence.masks, request)

        parts = {"requests": [identity(subject.adapter, subject.pack, r, generation) for r in requests]}
        levels = {"fault": fault, "level": level}
        out.append(Cell(levels, lambda one=one: together([one(r) for r in requests]), parts))  # type: ignore[misc]
    return out


def faulty(
    fault: str,
    level: float,
    request: Request,
    masks: np.ndarray,
    subject: Subject,
    config: ExperimentsConfig,
    maker: Maker,
) -> np.ndarray:
    """Frame 1 with a fault: uint8 (height, width, 3)."""
    prompt, mask = request.prompt, masks[0]
    if fault == "another object":
        prompt = other_object(request.prompt, list(subject.pack.info.objects))
    elif fault == "mask 1 moved":
        pixels = level * masks.shape[1] / 128
        mask = edit.move(MaskSequence(masks[:1]), pixels, -pixels, outside="keep").masks[0]
        if (mask == masks[0]).all():  # it filled the corner already
            mask = edit.move(MaskSequence(masks[:1]), -pixels, pixels, outside="keep").masks[0]
    first = maker.first_frame(prompt, mask, request.seed, config.generation, request.negative_prompt)
    return noisy(first, level, subject.pack, config.seed + request.seed) if fault == "noisy latents" else first


def other_object(prompt: str, known: list[str]) -> str:
    """The prompt with another object of the pack in place of its first; where it names none, another prompt."""
    from mvmodel.metrics.adherence import article, words_in

    named = words_in(prompt, known)
    if not named:
        return "an empty room"
    other = known[(known.index(named[0]) + len(known) // 2) % len(known)]
    return prompt.replace(article(named[0]), article(other))


def noisy(picture: np.ndarray, share: float, pack: Any, seed: int) -> np.ndarray:
    """The picture by way of its latents with Gaussian noise of `share` times their standard deviation."""
    import torch

    vae = pack.vae()
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].to(vae.device, vae.dtype) / 127.5 - 1
    with torch.no_grad():
        latents = vae.encode(pixels).latent_dist.mode()
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed)).to(latents)
        out = vae.decode(latents + share * latents.std() * noise).sample[0]
    values: np.ndarray = ((out.float().clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).cpu().numpy()
    return values.astype(np.uint8)


def conclude(table: pd.DataFrame, frames: pd.DataFrame) -> list[str]:
    """How much each fault costs, and whether the later frames recover from it or drift further off."""
    sound = table[table["fault"] == "none"]
    before = frames[frames["fault"] == "none"]
    said = [f"With a sound frame 1 the IoU is {mean_of(sound, 'iou'):.3f} over {len(sound)} videos."]
    for (fault, level), group in table[table["fault"] != "none"].groupby(["fault", "level"], sort=False):
        own = frames[(frames["fault"] == fault) & (frames["level"] == level)]
        gap = own.groupby("frame")["iou"].mean() - before.groupby("frame")["iou"].mean()
        early, late = float(gap.iloc[: max(1, len(gap) // 4)].mean()), float(gap.iloc[-max(1, len(gap) // 4) :].mean())
        way = (
            "the later frames recover"
            if late > early + 0.05
            else "the error grows along the frames" if late < early - 0.05 else "the error stays about the same"
        )  # fmt: skip
        named = f"{fault}" if fault == "another object" else f"{fault}, {level:g}"
        said.append(
            f"{named.capitalize()}: IoU {paired(group, sound, 'iou')}, alignment {paired(group, sound, 'alignment')}; "
            f"the change of IoU is {early:+.3f} in the first quarter and {late:+.3f} in the last: {way}."
        )
    return said
