"""Reads the inputs of the commands: option values, clips, masks and first frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from mvmodel.errors import InputError
from mvmodel.picture_size import PictureSize

if TYPE_CHECKING:
    from mvmodel.masks import MaskSequence
    from mvmodel.masks.fit import Fit

Model = TypeVar("Model", bound=BaseModel)


def check_inputs_exist(inputs: Mapping[str, Path | None]) -> None:
    """Raise InputError unless the files and folders of these options exist; None are left out."""
    for option, path in inputs.items():
        if path is not None and not path.exists():
            raise InputError(f"{path} does not exist; give {option} a file or folder that does")


def check_adapter(option: str, folder: Path | None) -> None:
    """Raise InputError unless this option's folder is an adapter; None is left out."""
    if folder is None or (folder / "config.json").is_file():
        return
    if (folder / "adapter" / "config.json").is_file():
        raise InputError(f"{folder} holds an adapter in a subfolder; give {option} {folder / 'adapter'}")
    raise InputError(f"{folder} is no adapter, since it has no config.json; give {option} a folder that train wrote")


def config_from_options(
    config_class: type[Model], options: dict[str, Any], renamed: Mapping[str, str] | None = None
) -> Model:
    """A config from command-line options. Options that are None keep the config's defaults.

    options: by the option's name, with underscores. renamed: option -> setting, where they differ.

    Raises InputError, naming the option, if a value is not valid.
    """
    names = {option: (renamed or {}).get(option, option) for option in options}
    try:
        return config_class(**{names[option]: value for option, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        chosen = [option for option, setting in names.items() if options[option] is not None]
        # A rule about several settings has no place of its own; its message names them, or the options that were given.
        settings = (
            [str(place) for place in first["loc"]] or [name for name in chosen if names[name] in message] or chosen
        )
        options_of = {setting: option for option, setting in names.items()}
        named = " and ".join(f"--{options_of.get(setting, setting).replace('_', '-')}" for setting in settings)
        raise InputError(f"{named}: {message}") from error


def check_mask_options(masks: Path | None, instances: list[str]) -> None:
    """Raise InputError unless masks are given in one of the two ways."""
    if (masks is None) == (not instances):
        raise InputError("give the masks with --masks, or those of each object with --instance WORDS=FILE, not both")


def instance_file(instance: str) -> Path:
    """The masks' file of an object given as WORDS=FILE. Raises InputError if it is not given so."""
    words, _, file = instance.partition("=")
    if not words.strip() or not file:
        raise InputError(f'--instance {instance!r} should look like "a dog=dog_masks.npz"')
    return Path(file)


@dataclass(frozen=True)
class ControlMasks:
    """The masks to follow. sequence: at the video's size. unfitted: as they were read. remark: how they were fitted."""

    sequence: MaskSequence
    unfitted: MaskSequence
    remark: str


def read_control_masks(
    masks: Path | None, instances: list[str], size: PictureSize, prompt: str, fit: Fit = "crop"
) -> ControlMasks:
    """The masks to follow, at `size`: from one file, or from one file per object given as WORDS=FILE.

    Masks of another shape are fitted as `fit` says, all objects alike. Raises InputError unless exactly one of the two
    is given, if the objects' masks differ in length or size, or if the prompt does not contain the words of every
    object.
    """
    import numpy as np

    from mvmodel.generation.requests import bind_instances
    from mvmodel.masks import MaskSequence
    from mvmodel.masks.files import read_masks
    from mvmodel.masks.fit import describe_fit, fit_masks

    def fitted(sequence: MaskSequence) -> ControlMasks:
        return ControlMasks(fit_masks(sequence, size, fit), sequence, describe_fit(sequence, size, fit))

    check_mask_options(masks, instances)
    if masks is not None:
        return fitted(read_masks(masks))
    names, sequences = [], []
    for instance in instances:
        names.append(instance.partition("=")[0].strip())
        sequences.append(read_masks(instance_file(instance)))
    if len({sequence.frames for sequence in sequences}) > 1:
        lengths = ", ".join(f"{name} {sequence.frames}" for name, sequence in zip(names, sequences, strict=True))
        raise InputError(f"the objects' masks differ in length ({lengths}); give all of them the same number of frames")
    shapes = {f"{sequence.width}x{sequence.height}" for sequence in sequences}
    if len(shapes) > 1:
        raise InputError(f"the objects' masks have the sizes {' and '.join(sorted(shapes))}; give all of them one size")
    stacked = np.stack([sequence.masks for sequence in sequences])
    merged = MaskSequence.from_instances(stacked, sequences[0].fps, names)
    if bind_instances(merged, prompt) is None:
        raise InputError(f"the prompt {prompt!r} does not contain {' and '.join(map(repr, names))}; it should")
    return fitted(merged)


def write_first_frame(
    source: Path, frame_index: int, size: PictureSize, masks: MaskSequence, out: Path, fit: Fit = "crop"
) -> None:
    """Write a first frame as a PNG of `size`, from a picture or from frame `frame_index` of a video.

    A frame of the shape of `masks`, as they were before fitting, is fitted as they are. Raises InputError if the source
    cannot be read, has neither their shape nor that of `size`, or has no such frame.
    """
    import numpy as np
    from PIL import Image

    from mvmodel.masks.fit import choose_window, has_shape
    from mvmodel.video.animation import is_animation
    from mvmodel.video.config import DecodeLimits
    from mvmodel.video.containers import IMAGE_SUFFIXES, UnusableClip
    from mvmodel.video.crop import crop_picture
    from mvmodel.video.guard import run_guarded
    from mvmodel.video.pictures import read_rgb

    if source.suffix.lower() in IMAGE_SUFFIXES and not is_animation(source):
        try:
            image = Image.fromarray(run_guarded(source, DecodeLimits(), read_rgb, source))
        except UnusableClip as error:
            raise InputError(f"{source} cannot be read as a picture: {error.reason}; give a PNG or JPEG") from error
    else:
        from mvmodel.video.frames import read_frames

        frames = read_frames(source)
        if not 0 <= frame_index < len(frames):
            raise InputError(f"{source} has {len(frames)} frames and no frame {frame_index}; count from 0")
        image = Image.fromarray(frames[frame_index])
    if has_shape(image.width, image.height, size):
        image = image.resize((size.width, size.height), Image.Resampling.LANCZOS)
    elif has_shape(image.width, image.height, PictureSize(masks.width, masks.height)):
        frame = np.asarray(image.resize((masks.width, masks.height), Image.Resampling.LANCZOS))
        image = Image.fromarray(crop_picture(frame, choose_window(masks, size, fit), size.shape))
    else:
        raise InputError(
            f"{source} is {image.width}x{image.height}, the video {size} and its masks {masks.width}x{masks.height}; "
            f"give it the shape of one of them"
        )
    out.parent.mkdir(parents=True)
    image.save(out)
