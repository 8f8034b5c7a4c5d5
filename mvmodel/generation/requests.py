"""Batches: a table of requests in, a folder of videos out, resumable request by request."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mvmodel import __version__
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.instances import Instance
from mvmodel.errors import InputError
from mvmodel.files import hash_file, hash_value, write_aside, write_json
from mvmodel.masks import MaskSequence
from mvmodel.text import FILE_STEM
from mvmodel.video.encode import write_mp4
from mvmodel.video.frames import write_frames

Progress = Callable[[int, int], None]


class Request(BaseModel):
    """One video to make.

    masks: an .npz written by `MaskSequence.save`. source: what the table says where that is no such file but words, a
    library's entry, edits, or masks of another kind (`mvmodel.authoring.mask_sources`); `masks` is then where the
    outcome belongs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=rf"^{FILE_STEM.pattern}$")
    motion: str
    prompt: str
    masks: Path
    seed: int = 0
    negative_prompt: str = ""
    source: str = ""


def read_requests(table: Path) -> list[Request]:
    """Read a CSV with the columns motion, prompt, masks, seed (and optionally name, negative_prompt).

    masks is the path of a file, relative to the table and inside its folder, or "words: SENTENCE", "library: NAME", and
    edits behind a "|". Raises InputError naming table and line.
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
            named = row["masks"] or ""
            made = named.split(":")[0].strip().lower() in ("words", "library") or "|" in named
            made = made or Path(named).suffix.lower() != ".npz"
            name = row.get("name") or f"{row['motion']}-{line - 1:02d}"
            masks = (root / ("masks" if made else named) / (f"{name}.npz" if made else "")).resolve()
            if not masks.is_relative_to(root):
                raise InputError(
                    f"{table}, line {line}: {row['masks']} lies outside the table's folder; move it inside"
                )
            values: dict[str, Any] = {key: value for key, value in row.items() if key and value}
            requests.append(Request(**{**values, "name": name, "masks": masks, "source": named if made else ""}))
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
    if request.source and not request.masks.exists():
        raise InputError(
            f"request {request.name}: {request.source!r} has not been made yet; `mask_sources.prepare` does, as the "
            f"pipeline's generation_requests do"
        )
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

    from mvmodel.backends.image_unet.first_frame import control_frames

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    waiting = [request for request in requests if not (folder / f"{request.name}.png").exists()]
    sequences = {request.name: load_masks(request, pack) for request in waiting}
    plain = [request for request in waiting if bind_instances(sequences[request.name], request.prompt) is None]
    groups = [plain[start : start + config.batch] for start in range(0, len(plain), config.batch)]
    groups += [[request] for request in waiting if request not in plain]
    done = 0
    for group in groups:
        masks = np.stack([sequences[request.name].masks[0] for request in group])
        pictures = control_frames(
            pack,
            [r.prompt for r in group],
            masks,
            [r.seed for r in group],
            config,
            [r.negative_prompt for r in group],
            instances=bind_instances(sequences[group[0].name], group[0].prompt),
        )
        for request, picture in zip(group, pictures, strict=True):
            with write_aside(folder / f"{request.name}.png") as aside:
                Image.fromarray(picture).save(aside)
        done += len(group)
        if progress:
            progress(done, len(waiting))
    return folder


def check_first_frame(pack: Any, request: Request, config: GenerationConfig, folder: Path) -> float | None:
    """How well the given first frame `folder`/NAME.png fits the request's mask 1, as `first_frame.check_fit` says."""
    from PIL import Image

    from mvmodel.backends.image_unet.first_frame import check_fit

    picture = np.asarray(Image.open(Path(folder) / f"{request.name}.png").convert("RGB"))
    return check_fit(pack, picture, load_masks(request, pack).masks[0], request.prompt, config)


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

    from mvmodel.backends.image_unet.build import build_pipeline

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = config.for_pack(pack.info)
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
        room = folder / f".{request.name}.windows"
        recipe = hash_value([weights, pack.hash, __version__])
        frames = run_request(pipeline, request, sequence, picture, config, mask_term, room, recipe)
        write_mp4(folder / f"{request.name}.mp4", frames, sequence.fps)
        write_frames(folder / f"{request.name}.npz", frames)
        del frames
        shutil.rmtree(room, ignore_errors=True)
        write_json(
            folder / f"{request.name}.json",
            {
                **request.model_dump(mode="json", exclude={"masks"}),
                "masks": request.masks.name,
                "masks_sha256": hash_file(request.masks),
                "instances": [bound.words for bound in bind_instances(sequence, request.prompt) or ()],
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


def bind_instances(sequence: MaskSequence, prompt: str) -> list[Instance] | None:
    """The sequence's objects, each bound to its name's words; None unless every name stands in the prompt.

    "dog copy" and "dog 2" are copies of the dog, as `mvmodel.masks.edit.duplicate` names them.
    """
    if sequence.instances is None:
        return None
    names = [re.sub(r"( copy| \d+)+$", "", name) for name in sequence.names]
    if not all(name and re.search(rf"\b{re.escape(name)}\b", prompt, re.IGNORECASE) for name in names):
        return None
    return [Instance(name, masks) for name, masks in zip(names, sequence.instances, strict=True)]


def run_request(
    pipeline: Any,
    request: Request,
    sequence: MaskSequence,
    first_frame: np.ndarray,
    config: GenerationConfig,
    mask_term: bool = True,
    room: Path | None = None,
    recipe: str = "",
) -> np.ndarray:
    """One video: uint8 (F, H, W, 3), the first frame being the one given.

    A sequence longer than `config.window` is made window by window in the folder `room`, where a stopped one of the
    same `recipe` goes on; without a folder, in a temporary one.
    """
    import tempfile

    import torch

    from mvmodel.backends.image_unet.long_video import call_options, long_video

    words: dict[str, Any] = {"negative_prompt": request.negative_prompt, "mask_term": mask_term}
    words["instances"] = bind_instances(sequence, request.prompt)
    if config.window and sequence.frames > config.window:
        with tempfile.TemporaryDirectory() if room is None else nullcontext(room) as place:
            given = (request.prompt, sequence.masks, first_frame, config, request.seed, Path(place))
            made = long_video(pipeline, *given, **words, recipe=recipe)
            return np.array(made) if room is None else made
    out = pipeline(
        request.prompt,
        sequence.masks,
        first_frame,
        **words,
        **call_options(config),
        generator=torch.Generator().manual_seed(request.seed),
    ).frames[0]
    frames: np.ndarray = (out * 255).round().astype(np.uint8)
    frames[0] = first_frame
    return frames
