"""Uploads: pictures, PNG sequences, videos and settings files become masks, clips, first frames or a project."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mvmodel.errors import InputError
from mvmodel.files import hash_value
from mvmodel.generation.first_frame_fit import fit_first_frame, read_first_frame
from mvmodel.generation.video_settings import read_video_settings
from mvmodel.masks import MaskSequence
from mvmodel.masks.files import read_masks
from mvmodel.masks.fit import describe_fit, fit_masks
from mvmodel.picture_size import PictureSize
from mvmodel.studio.config import StudioConfig
from mvmodel.studio.project import GenerationChoices, Project, SequenceMasks, StudioObject
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
            raise InputError(str(error).replace(f"{temporary}/", "").replace(temporary, "the upload")) from error


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
    names = list(fitted.names) or [""] * len(fitted.per_instance)
    return {
        "masks": session.store_masks(fitted),
        "names": names,
        "frames": fitted.frames,
        "remarks": [remark.removesuffix(" (--fit pad or stretch does otherwise)")] if remark else [],
    }


def add_key_mask(session: Session, mask: np.ndarray, size: PictureSize) -> str:
    """Store one drawn mask, bool (height, width); returns its file. Raises InputError if nothing is drawn."""
    if not mask.any():
        raise InputError("nothing is drawn; paint the object first")
    return session.store_masks(fit_masks(MaskSequence(mask[None]), size))


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


def open_settings(session: Session, path: Path, size: PictureSize, config: StudioConfig) -> Project:
    """The project of a settings file: its masks, one object each, its prompt, seed and first frame."""
    settings = read_video_settings(path)
    sequence = fit_masks(settings.read_masks(path), size)
    if sequence.frames > config.max_frames:
        raise InputError(f"{sequence.frames} frames are more than the limit of {config.max_frames}")
    file, picture = session.store_masks(sequence), settings.read_first_frame(path)
    if picture is not None:
        picture = fit_first_frame(picture, size, sequence)[0]
    names = sequence.names or ("",)
    objects = [
        StudioObject(
            id=f"o{hash_value([file, number])[:10]}",
            name=name,
            masks=SequenceMasks(kind="sequence", file=file, instance=number),
        )
        for number, name in enumerate(names)
    ]
    return Project(
        frames=sequence.frames,
        fps=sequence.fps,
        objects=objects,
        generation=GenerationChoices(
            prompt=settings.prompt,
            negative_prompt=settings.negative_prompt,
            seed=min(settings.seed, 2**53 - 1),
            steps=settings.config.steps,
            guidance_scale=settings.config.guidance_scale,
            adapter_scale=settings.config.adapter_scale,
            first_frame=None if picture is None else session.store_picture(picture),
            mask_term=settings.mask_term,
        ),
    )
