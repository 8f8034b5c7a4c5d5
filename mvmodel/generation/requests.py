"""Batches of videos: reads a table of requests and writes a folder of videos, resumable request by request."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from mvmodel import __version__
from mvmodel.backends.backend import report_cut_texts
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.instances import Instance
from mvmodel.errors import InputError
from mvmodel.files import atomic_write, hash_file, write_json
from mvmodel.generation.clip_camera import fill_camera
from mvmodel.generation.first_latents import read_first_latents, write_first_latents
from mvmodel.masks import MaskSequence
from mvmodel.masks.fit import fit_masks
from mvmodel.masks.limits import check_mask_size
from mvmodel.packs.device import count_threads
from mvmodel.picture_size import PictureSize
from mvmodel.progress import track
from mvmodel.text import FILE_STEM
from mvmodel.video.encode import write_mp4
from mvmodel.video.frames import write_frames

if TYPE_CHECKING:
    from mvmodel.backends.backend import Backend
    from mvmodel.workers import Workers

Progress = Callable[[int, int], None]


class Request(BaseModel):
    """One video to generate.

    masks: an .npz that `MaskSequence.save` wrote. source: "", or what the table names instead of such a file: words, a
    library's entry, edits, or masks of another kind (`mvmodel.authoring.mask_sources`); `masks` is then where
    `request_masks.prepare_requests` puts the resulting file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=rf"^{FILE_STEM.pattern}$")
    motion: str
    prompt: str
    masks: Path
    seed: int = Field(0, ge=0, lt=2**63)
    negative_prompt: str = ""
    source: str = ""


def load_masks(request: Request, backend: Backend) -> MaskSequence:
    """Load the request's masks and check that the backend can generate a video from them.

    Masks of another shape than the backend's are fitted by a window around the foreground (`mvmodel.masks.fit`). Raises
    InputError naming the file when the masks are missing, empty in frame 1, of another length than the backend can
    process, or more than `mvmodel.masks.limits` allows.
    """
    if request.source and not request.masks.exists():
        raise InputError(
            f"request {request.name}: {request.source!r} has not been made yet; use "
            f"`request_masks.prepare_requests`, as the pipeline's generation_requests does"
        )
    sequence = MaskSequence.load(request.masks)
    if not sequence.masks.any():
        raise InputError(f"{request.masks}: the mask sequence is empty in every frame; draw a foreground")
    if not sequence.masks[0].any():
        raise InputError(
            f"{request.masks}: the first mask is empty, but frame 1 is made from it; begin with a foreground"
        )
    height, width = backend.frame_size
    check_mask_size(f"the video of {request.masks}", 1, sequence.frames, height, width)
    try:
        sequence = fit_masks(sequence, PictureSize(width, height))
        backend.check_shape(sequence.frames, sequence.height, sequence.width)
    except InputError as error:
        raise InputError(f"{request.masks}: {error}") from error
    return sequence


def first_frames(
    backend: Backend,
    requests: Sequence[Request],
    config: GenerationConfig,
    folder: Path,
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> Path:
    """Generate every request's first frame as `folder`/NAME.png; returns `folder`. Keeps frames that exist.

    A frame depends on its own request only, not on what else is in the batch. progress: called with the number done and
    the number to do. workers: processes that share the requests; they report no progress. None generates all in this
    process.
    """
    backend.check_generation_config(config)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [request for request in requests if not (folder / f"{request.name}.png").exists()]
    if workers is not None and workers.count > 1:
        shares = [missing[start :: workers.count] for start in range(min(workers.count, len(missing)))]
        workers.map(first_frames, [(backend, share, config, folder) for share in shares])
        return folder
    sequences = {request.name: load_masks(request, backend) for request in missing}
    single = [request for request in missing if bind_instances(sequences[request.name], request.prompt) is None]
    groups = [single[start : start + config.batch] for start in range(0, len(single), config.batch)]
    groups += [[request] for request in missing if request not in single]  # instances belong to one prompt
    finished = 0
    for group in track(groups, "generate first frames"):
        inputs = (
            [request.prompt for request in group],
            np.stack([sequences[request.name].masks[0] for request in group]),
            [request.seed for request in group],
            config,
            [request.negative_prompt for request in group],
            bind_instances(sequences[group[0].name], group[0].prompt),
        )
        if config.first_frame_latents:
            pictures, latents = backend.first_frames_with_latents(*inputs)
        else:
            pictures, latents = backend.first_frames(*inputs), None
        for index, (request, picture) in enumerate(zip(group, pictures, strict=True)):
            if latents is not None:
                write_first_latents(folder / f"{request.name}.png", picture, latents[index])
            with atomic_write(folder / f"{request.name}.png") as temporary:
                Image.fromarray(picture).save(temporary)
        finished += len(group)
        if progress:
            progress(finished, len(missing))
    return folder


def generate(
    backend: Backend,
    adapter: Path,
    requests: Sequence[Request],
    first_frames: Path,
    config: GenerationConfig,
    folder: Path,
    mask_term: bool = True,
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> Path:
    """Generate every request's video into `folder`: NAME.mp4, NAME.npz (`frames`, uint8 (F, H, W, 3)), NAME.json.

    NAME.json is written last and holds the settings that reproduce the video; a request that has one is skipped.
    workers: processes that generate several videos at once; they report no progress. None generates one after another
    in this process.
    """
    backend.check_generation_config(config)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = backend.fill_generation_config(config)
    missing = [request for request in requests if not (folder / f"{request.name}.json").exists()]
    cut_texts = report_cut_texts(
        backend, [text for request in missing for text in (request.prompt, request.negative_prompt)]
    )
    calls = [
        (backend, adapter, request, Path(first_frames), config, folder, mask_term, cut_texts.get(request.prompt))
        for request in missing
    ]
    if workers is not None and workers.count > 1:
        workers.map(_generate_request, calls)
        return folder
    for number, call in enumerate(track(calls, "generate videos"), 1):
        _generate_request(*call)
        if progress:
            progress(number, len(missing))
    return folder


def _generate_request(
    backend: Backend,
    adapter: Path,
    request: Request,
    first_frames: Path,
    config: GenerationConfig,
    folder: Path,
    mask_term: bool,
    prompt_cut: str | None,
) -> None:
    """Write the files of one request, see `generate`. prompt_cut: what of the prompt the model does not see."""
    sequence = load_masks(request, backend)
    first_frame = first_frames / f"{request.name}.png"
    picture = _read_first_frame(first_frame)
    work_dir = folder / f".{request.name}.windows"
    frames = generate_video(
        backend,
        adapter,
        request.prompt,
        sequence,
        picture,
        config,
        request.seed,
        negative_prompt=request.negative_prompt,
        mask_term=mask_term,
        work_dir=work_dir,
        first_latents=read_first_latents(first_frame, picture) if config.first_frame_latents else None,
    )
    write_mp4(folder / f"{request.name}.mp4", frames, sequence.fps)
    write_frames(folder / f"{request.name}.npz", frames)
    del frames  # perhaps mapped from a file in work_dir
    shutil.rmtree(work_dir, ignore_errors=True)
    settings = _settings(backend, adapter, request, sequence, first_frame, config, mask_term)
    settings["prompt_cut"] = prompt_cut
    write_json(folder / f"{request.name}.json", settings)


def generate_video(
    backend: Backend,
    adapter: Path | None,
    prompt: str,
    sequence: MaskSequence,
    first_frame: np.ndarray,
    config: GenerationConfig,
    seed: int,
    *,
    negative_prompt: str = "",
    mask_term: bool = True,
    work_dir: Path | None = None,
    first_latents: np.ndarray | None = None,
) -> np.ndarray:
    """Generate one video: uint8 (frames, height, width, 3), whose first frame is `first_frame`.

    The objects of `sequence` are bound to the prompt as `bind_instances` says, and its camera is the video's unless
    `config` says otherwise (`fill_camera`). work_dir, first_latents: see `Backend.sample`.
    """
    config = fill_camera(config, sequence, adapter)
    latents: dict[str, np.ndarray] = {} if first_latents is None else {"first_latents": first_latents}
    return backend.sample(
        adapter,
        prompt,
        sequence.masks,
        first_frame,
        config,
        seed,
        negative_prompt=negative_prompt,
        mask_term=mask_term,
        instances=bind_instances(sequence, prompt),
        work_dir=work_dir,
        **latents,
    )


def bind_instances(sequence: MaskSequence, prompt: str) -> list[Instance] | None:
    """The sequence's objects, each bound to its name's words; None unless every name occurs in the prompt.

    "dog copy" and "dog 2" are copies of the dog, as `mvmodel.masks.edit.duplicate` names them.
    """
    if sequence.instances is None:
        return None
    names = [re.sub(r"( copy| \d+)+$", "", name) for name in sequence.names]
    if not all(name and re.search(rf"\b{re.escape(name)}\b", prompt, re.IGNORECASE) for name in names):
        return None
    return [Instance(name, masks) for name, masks in zip(names, sequence.instances, strict=True)]


def _read_first_frame(file: Path) -> np.ndarray:
    """uint8 (height, width, 3). Raises InputError when there is none."""
    if not file.exists():
        raise InputError(f"{file} is missing; make the first frames of these requests first")
    return np.asarray(Image.open(file).convert("RGB"))


def _settings(
    backend: Backend,
    adapter: Path,
    request: Request,
    sequence: MaskSequence,
    first_frame: Path,
    config: GenerationConfig,
    mask_term: bool,
) -> dict[str, Any]:
    """What NAME.json records."""
    return {
        **request.model_dump(mode="json", exclude={"masks"}),
        "masks": request.masks.name,
        "masks_sha256": hash_file(request.masks),
        "instances": [bound.words for bound in bind_instances(sequence, request.prompt) or ()],
        "first_frame_sha256": hash_file(first_frame),
        "config": config.model_dump(),
        "camera": fill_camera(config, sequence, adapter).camera,
        "mask_term": mask_term,
        "adapter_sha256": backend.hash_adapter(adapter),
        "pack": backend.name,
        "pack_hash": backend.hash,
        "memory": backend.memory_level,
        "threads": count_threads(backend.device),
        "mvmodel": __version__,
        "fps": sequence.fps,
    }
