"""Batches: a table of requests in, a folder of videos out, resumable request by request."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mvmodel import __version__
from mvmodel.errors import InputError
from mvmodel.files import hash_file, write_aside, write_json
from mvmodel.generation.config import GenerationConfig
from mvmodel.masks import MaskSequence

Progress = Callable[[int, int], None]


class Request(BaseModel):
    """One video to make. masks: an .npz written by `MaskSequence.save`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,80}$")
    motion: str
    prompt: str
    masks: Path
    seed: int = 0
    negative_prompt: str = ""


def read_requests(table: Path) -> list[Request]:
    """Read a CSV with the columns motion, prompt, masks, seed (and optionally name, negative_prompt).

    Mask paths are relative to the table and stay inside its folder. Raises InputError naming table and line.
    """
    table = Path(table)
    root = table.resolve().parent
    requests = []
    try:
        with open(table, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"the request table {table} cannot be read ({error.strerror}); give a CSV file") from error
    for line, row in enumerate(rows, start=2):
        try:
            masks = (root / row["masks"]).resolve()
            if not masks.is_relative_to(root):
                raise InputError(
                    f"{table}, line {line}: {row['masks']} lies outside the table's folder; move it inside"
                )
            values: dict[str, Any] = {key: value for key, value in row.items() if key and value}
            values.setdefault("name", f"{row['motion']}-{line - 1:02d}")
            requests.append(Request(**{**values, "masks": masks}))
        except (KeyError, ValidationError) as error:
            reason = f"no column {error}" if isinstance(error, KeyError) else error.errors()[0]["msg"]
            raise InputError(f"{table}, line {line}: {reason}; columns are motion, prompt, masks, seed") from error
    names = [request.name for request in requests]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{table}: the names {', '.join(twice)} stand there twice; give every request its own name")
    return requests


def load_masks(request: Request, pack: Any) -> MaskSequence:
    """The request's masks, checked against the pack's size."""
    sequence = MaskSequence.load(request.masks)
    if not sequence.masks.any():
        raise InputError(f"{request.masks}: the mask sequence is empty in every frame; draw a foreground")
    if not sequence.masks[0].any():
        raise InputError(
            f"{request.masks}: the first mask is empty, but frame 1 is made from it; begin with a foreground"
        )
    side = pack.info.resolution
    if (sequence.height, sequence.width) != (side, side):
        raise InputError(
            f"{request.masks}: masks are {sequence.width}x{sequence.height}, the pack {pack.info.name} works at "
            f"{side}x{side}; resize them"
        )
    return sequence


def first_frames(
    pack: Any,
    requests: Sequence[Request],
    config: GenerationConfig,
    folder: Path,
    progress: Progress | None = None,
) -> Path:
    """Sample the first frame of every request with the pack's ControlNet into `folder`/NAME.png; returns `folder`.

    A frame depends on its own request only, never on what else is in the batch. Frames that exist are kept.
    """
    from PIL import Image

    from mvmodel.generation.first_frame import control_frames

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    waiting = [request for request in requests if not (folder / f"{request.name}.png").exists()]
    for start in range(0, len(waiting), config.batch):
        group = waiting[start : start + config.batch]
        masks = np.stack([load_masks(request, pack).masks[0] for request in group])
        pictures = control_frames(
            pack, [r.prompt for r in group], masks, [r.seed for r in group], config, [r.negative_prompt for r in group]
        )
        for request, picture in zip(group, pictures, strict=True):
            with write_aside(folder / f"{request.name}.png") as aside:
                Image.fromarray(picture).save(aside)
        if progress:
            progress(min(len(waiting), start + config.batch), len(waiting))
    return folder


def generate(
    pack: Any,
    adapter: Path,
    requests: Sequence[Request],
    first_frames: Path,
    config: GenerationConfig,
    folder: Path,
    mask_term: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Make every request's video into `folder`: NAME.mp4, NAME.npz (`frames`, uint8 (F, H, W, 3)), NAME.json.

    NAME.json, written last, holds the settings that make the same video again; a request that has one is done.
    """
    from PIL import Image

    from mvmodel.generation.build import build_pipeline
    from mvmodel.video.encode import write_mp4

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    waiting = [request for request in requests if not (folder / f"{request.name}.json").exists()]
    if not waiting:
        return folder
    pipeline = build_pipeline(pack, adapter, config)
    weights = hash_file(Path(adapter) / "diffusion_pytorch_model.safetensors")
    for done, request in enumerate(waiting):
        sequence = load_masks(request, pack)
        picture_file = Path(first_frames) / f"{request.name}.png"
        if not picture_file.exists():
            raise InputError(f"{picture_file} is missing; make the first frames of these requests first")
        picture = np.asarray(Image.open(picture_file).convert("RGB"))
        frames = run_request(pipeline, request, sequence, picture, config, mask_term)
        write_mp4(folder / f"{request.name}.mp4", frames, sequence.fps)
        with write_aside(folder / f"{request.name}.npz") as aside, open(aside, "wb") as file:
            np.savez_compressed(file, frames=frames)
        write_json(
            folder / f"{request.name}.json",
            {
                **request.model_dump(mode="json", exclude={"masks"}),
                "masks": request.masks.name,
                "masks_sha256": hash_file(request.masks),
                "first_frame_sha256": hash_file(picture_file),
                "config": config.model_dump(),
                "mask_term": mask_term,
                "adapter_sha256": weights,
                "pack": pack.info.name,
                "pack_hash": pack.hash,
                "mvmodel": __version__,
                "fps": sequence.fps,
            },
        )
        if progress:
            progress(done + 1, len(waiting))
    return folder


def run_request(
    pipeline: Any,
    request: Request,
    sequence: MaskSequence,
    first_frame: np.ndarray,
    config: GenerationConfig,
    mask_term: bool = True,
) -> np.ndarray:
    """One video: uint8 (F, H, W, 3), the first frame being the one given."""
    import torch

    out = pipeline(
        request.prompt,
        sequence.masks,
        first_frame,
        negative_prompt=request.negative_prompt,
        num_inference_steps=config.steps,
        guidance_scale=config.guidance_scale,
        mask_guidance=config.mask_guidance,
        mask_guidance_scale=config.mask_guidance_scale,
        mask_term=mask_term,
        alpha=config.alpha,
        sharing=config.sharing,
        adapter_scale=config.adapter_scale,
        first_frame_attention=config.first_frame_attention,
        remember_first_frame=config.remember_first_frame,
        generator=torch.Generator().manual_seed(request.seed),
    ).frames[0]
    frames: np.ndarray = (out * 255).round().astype(np.uint8)
    frames[0] = first_frame
    return frames
