"""Reads the inputs of the commands: option values, clips, masks and first frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from mvmodel.errors import InputError

if TYPE_CHECKING:
    from mvmodel.masks import MaskSequence

Model = TypeVar("Model", bound=BaseModel)


def config_from_options(config_class: type[Model], options: dict[str, Any]) -> Model:
    """A config from command-line options. Options that are None keep the config's defaults.

    Raises InputError, naming the option, if a value is not valid.
    """
    try:
        return config_class(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        option = "-".join(map(str, first["loc"])).replace("_", "-")
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"--{option}: {message}") from error


def read_control_masks(masks: Path | None, instances: list[str], side: int, prompt: str) -> MaskSequence:
    """The masks to follow, (frames, side, side): from one file, or from one file per object given as WORDS=FILE.

    Raises InputError unless exactly one of the two is given, if the objects' masks differ in length, or if the
    prompt does not contain the words of every object.
    """
    import numpy as np

    from mvmodel.generation.requests import bind_instances
    from mvmodel.masks import MaskSequence
    from mvmodel.masks.files import read_masks

    if (masks is None) == (not instances):
        raise InputError("give the masks with --masks, or those of each object with --instance WORDS=FILE, not both")
    if masks is not None:
        return read_masks(masks, size=(side, side))
    names, sequences = [], []
    for instance in instances:
        words, _, file = instance.partition("=")
        if not words.strip() or not file:
            raise InputError(f'--instance {instance!r} should look like "a dog=dog_masks.npz"')
        names.append(words.strip())
        sequences.append(read_masks(Path(file), size=(side, side)))
    if len({sequence.frames for sequence in sequences}) > 1:
        lengths = ", ".join(f"{name} {sequence.frames}" for name, sequence in zip(names, sequences, strict=True))
        raise InputError(f"the objects' masks differ in length ({lengths}); give all of them the same number of frames")
    stacked = np.stack([sequence.masks for sequence in sequences])
    merged = MaskSequence.from_instances(stacked, sequences[0].fps, names)
    if bind_instances(merged, prompt) is None:
        raise InputError(f"the prompt {prompt!r} does not contain {' and '.join(map(repr, names))}; it should")
    return merged


def write_first_frame(source: Path, frame_index: int, side: int, out: Path) -> None:
    """Write a first frame as a PNG of side x side pixels, from a picture or from frame `frame_index` of a video.

    Raises InputError if the source cannot be read, is not square, or has no such frame.
    """
    from PIL import Image

    from mvmodel.video.containers import IMAGE_SUFFIXES

    if source.suffix.lower() in IMAGE_SUFFIXES:
        try:
            with Image.open(source) as file:
                image = file.convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"{source} cannot be read as a picture ({error}); give a PNG or JPEG") from error
    else:
        from mvmodel.video.frames import read_frames

        frames = read_frames(source)
        if not 0 <= frame_index < len(frames):
            raise InputError(f"{source} has {len(frames)} frames and no frame {frame_index}; count from 0")
        image = Image.fromarray(frames[frame_index])
    if image.width != image.height:
        raise InputError(f"{source} is {image.width}×{image.height}; crop it to a square, like the masks")
    out.parent.mkdir(parents=True)
    image.resize((side, side), Image.Resampling.LANCZOS).save(out)
