"""Uploads: pictures, PNG sequences, videos and settings files become masks, clips, first frames or a project."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.errors import InputError
from mvmodel.files import hash_value
from mvmodel.generation.first_frame_fit import fit_first_frame, read_first_frame
from mvmodel.generation.video_settings import EmbeddedFile, read_video_settings
from mvmodel.masks import MaskSequence
from mvmodel.masks.files import read_masks
from mvmodel.masks.fit import describe_fit, fit_masks
from mvmodel.picture_size import PictureSize
from mvmodel.studio.adapters import find_adapter_key
from mvmodel.studio.config import StudioConfig
from mvmodel.studio.context import Studio, parse_project
from mvmodel.studio.project import MAX_SEED, Project
from mvmodel.studio.sessions import Session
from mvmodel.video.crop import center_crop, crop_picture
from mvmodel.video.decode import decode_video

MAX_CLIP_SCALE = 4
"""Clips are kept up to this many times the size of videos, so that segmenters see details."""
_MAX_FILES = 2000


@contextmanager
def uploaded_files(files: list[tuple[str, bytes]], folder: Path) -> Iterator[Path]:
    """The path of an uploaded file, or of a folder with several, under names that are safe.

    Errors about them are passed on without the server's folder.
    """
    if not files or len(files) > _MAX_FILES:
        raise InputError(f"give 1 to {_MAX_FILES} files at once, not {len(files)}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        paths = []
        for name, content in files:
            path = Path(temporary) / _safe_name(name)
            path.write_bytes(content)
            paths.append(path)
        try:
            yield paths[0] if len(paths) == 1 else Path(temporary)
        except InputError as error:  # people know their files by name, and not where the server keeps them
            message = str(error).replace(f"{temporary}/", "").replace(temporary, "the upload")
            raise InputError(message.replace("give --invert", "invert it first")) from error


def _safe_name(name: str) -> str:
    """The last part of a name with its ending; letters that may matter to a file system are replaced."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in last).lstrip(".")
    return safe[-100:] or "file"


def add_masks(session: Session, path: Path, size: PictureSize) -> dict[str, Any]:
    """Store uploaded masks at the size of videos; returns their file, names and how they were fitted."""
    sequence = read_masks(path)
    remark = describe_fit(sequence, size)
    fitted = fit_masks(sequence, size)
    if not fitted.masks.any():
        raise InputError(f"{path} shows no object in any frame; give masks that are white where the object is")
    names = list(fitted.names) or [""] * len(fitted.per_instance)
    return {
        "masks": session.store_masks(fitted),
        "names": names,
        "frames": fitted.frames,
        "camera": fitted.camera,
        "remarks": [remark.removesuffix(" (--fit pad or stretch does otherwise)")] if remark else [],
    }


def add_key_mask(session: Session, mask: np.ndarray) -> str:
    """Store one drawn mask, bool (height, width); returns its file. Raises InputError if nothing is drawn."""
    if not mask.any():
        raise InputError("nothing is drawn; paint the object first")
    return session.store_masks(MaskSequence(mask[None]))


def add_clip(
    session: Session, path: Path, name: str, size: PictureSize, fps: float, config: StudioConfig
) -> dict[str, Any]:
    """Store a clip's frames at the rate and shape of videos; returns its record with remarks."""
    video = decode_video(path)
    times = np.arange(0, len(video.frames) / video.fps, 1 / fps)
    indices = np.minimum(np.round(times * video.fps).astype(int), len(video.frames) - 1)
    remarks = []
    if len(indices) > config.max_clip_frames:
        remarks.append(f"only the first {config.max_clip_frames / fps:g} seconds of the clip are kept")
    indices = indices[: config.max_clip_frames]
    height, width = video.frames.shape[1:3]
    factor = int(np.clip(min(width // size.width, height // size.height), 1, MAX_CLIP_SCALE))
    target = PictureSize(size.width * factor, size.height * factor)
    window = center_crop(width, height, target)
    if window.follows == "centre":
        part = window.describe(width, height, target)
        remarks.append(f"the middle {part['width']}x{part['height']} of {width}x{height} is shown")
    frames = np.stack([crop_picture(video.frames[index], window, target.shape) for index in indices])
    return session.store_clip(frames, fps, name[:80]) | {"remarks": remarks}


def add_first_frame(session: Session, path: Path, size: PictureSize, masks: MaskSequence | None) -> dict[str, Any]:
    """Store a first frame, fitted to the video as `mvmodel generate` does it."""
    empty = MaskSequence(np.zeros((1, *size.shape), bool))
    picture, remark = fit_first_frame(read_first_frame(path), size, masks or empty)
    return {"picture": session.store_picture(picture), "remarks": [remark] if remark else []}


def open_settings(session: Session, path: Path, studio: Studio) -> tuple[Project, list[str]]:
    """The project of a settings file, and sentences about what this server cannot do as the file says.

    Its masks become one object each. Raises InputError for settings beyond the server's limits.
    """
    settings = read_video_settings(path)
    if not isinstance(settings.masks, EmbeddedFile) or isinstance(settings.first_frame, str):
        raise InputError(
            f"{path} names other files, which a page cannot read; give the NAME.settings.json that was written beside "
            f"the video, which contains them"
        )
    sequence, remarks = settings.read_masks(path), list[str]()
    size = settings.size or studio.info.size
    studio.check_size(size)
    sequence = fit_masks(sequence, size, settings.fit)
    file, picture = session.store_masks(sequence), settings.read_first_frame(path)
    if picture is not None:
        picture = fit_first_frame(picture, size, sequence, settings.fit)[0]
    config = settings.config.model_dump(mode="json")
    fields = {name: config.pop(name) for name in ("steps", "guidance_scale", "adapter_scale")}
    defaults = GenerationConfig().for_pack(studio.info).model_dump(mode="json")
    adapter = find_adapter_key(settings.adapter, settings.adapter_sha256, studio.adapters)
    if adapter is None:
        remarks.append(
            f"the adapter {settings.adapter} is none of this server's, so the pack's own is chosen; start "
            f"mvmodel studio with --adapters and its folder"
        )
    if settings.pack not in (None, studio.info.name):
        remarks.append(f"the settings were made with the pack {settings.pack}, and this is {studio.info.name}")
    if settings.seed > MAX_SEED:
        remarks.append(f"the seed {settings.seed} is larger than a page can hold; {MAX_SEED} is used")
    objects = [
        {"id": f"o{hash_value([file, number])[:10]}", "name": name}
        | {"masks": {"kind": "sequence", "file": file, "instance": number}}
        for number, name in enumerate(sequence.names or ("",))
    ]
    choices = {"prompt": settings.prompt, "negative_prompt": settings.negative_prompt, "mask_term": settings.mask_term}
    choices |= fields | {"seed": min(settings.seed, MAX_SEED), "adapter": adapter or ""}
    choices["settings"] = {name: value for name, value in config.items() if value != defaults[name]}
    choices["first_frame"] = None if picture is None else session.store_picture(picture)
    content = {"frames": sequence.frames, "fps": sequence.fps, "objects": objects, "generation": choices}
    content |= {"camera": sequence.camera, "size": None if size == studio.info.size else str(size)}
    return parse_project(studio, content), remarks
