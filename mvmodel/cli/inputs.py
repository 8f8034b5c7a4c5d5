"""What the commands that make something read from the user's files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mvmodel.errors import InputError

if TYPE_CHECKING:
    from mvmodel.backends.training_config import TrainingClip
    from mvmodel.masks import MaskSequence
    from mvmodel.packs import Pack


def training_clips(pack: Pack, folder: Path) -> tuple[list[TrainingClip], dict[str, str]]:
    """A folder's usable clips with masks (the user's, else found) and captions, and why the others are left out."""
    from mvmodel.backends.training_config import TrainingClip
    from mvmodel.masks.files import clip_masks
    from mvmodel.training.captions import propose_caption
    from mvmodel.video.catalogue import ingest
    from mvmodel.video.config import IngestConfig

    info, ready = pack.info, []
    equal = IngestConfig(frames=info.frames, fps=info.fps, resolution=info.resolution)
    with tempfile.TemporaryDirectory() as work:
        catalogue = ingest(folder, Path(work) / "clips", equal)
        left_out = {str(row["file"]): str(row["reason"]) for row in catalogue.quarantine.to_dict(orient="records")}
        for name in catalogue.clips:
            row, frames = catalogue.row(name), catalogue.frames(name)
            sequence = clip_masks(folder, row)
            if sequence is None:
                from mvmodel.segmentation.tracking import extract_masks

                found = extract_masks(frames, pack.segmenter(), fps=row["fps"])
                sequence = found.sequence
                if found.quality.weak:
                    left_out[name] = "no sound mask was found; put masks for it beside the clip"
                    continue
            caption = row["caption"] or propose_caption(pack, frames)
            ready.append(TrainingClip(name, frames, sequence.masks, caption))
    return ready, left_out


def control_masks(masks: Path | None, instances: list[str], side: int) -> MaskSequence:
    """The masks to follow, `side` x `side`: from a file, or of several objects, each given as WORDS=FILE.

    Raises InputError unless there is one or the other, and when the objects' masks differ in length.
    """
    import numpy as np

    from mvmodel.masks import MaskSequence
    from mvmodel.masks.files import read_masks

    if (masks is None) == (not instances):
        raise InputError("give the masks with --masks, or those of each object with --instance WORDS=FILE, not both")
    if masks is not None:
        return read_masks(masks, size=(side, side))
    names, sequences = [], []
    for given in instances:
        words, _, file = given.partition("=")
        if not words.strip() or not file:
            raise InputError(f'--instance {given!r} should look like "a dog=dog_masks.npz"')
        names.append(words.strip())
        sequences.append(read_masks(Path(file), size=(side, side)))
    if len({sequence.frames for sequence in sequences}) > 1:
        lengths = ", ".join(f"{name} {sequence.frames}" for name, sequence in zip(names, sequences, strict=True))
        raise InputError(f"the objects' masks differ in length ({lengths}); give them one number of frames")
    stacked = np.stack([sequence.masks for sequence in sequences])
    return MaskSequence.of_instances(stacked, sequences[0].fps, names)


def first_picture(source: Path, frame: int, side: int, out: Path) -> None:
    """The user's first frame as a PNG of the pack's size: a picture, or frame number `frame` of a video.

    Raises InputError when it is neither, when the video has no such frame, or when it is not square.
    """
    from PIL import Image

    from mvmodel.video.probe import IMAGE_SUFFIXES

    if source.suffix.lower() in IMAGE_SUFFIXES:
        try:
            with Image.open(source) as opened:
                image = opened.convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"{source} cannot be read as a picture ({error}); give a PNG or JPEG") from error
    else:
        from mvmodel.video.decode import decode

        frames = decode(source).frames
        if not 0 <= frame < len(frames):
            raise InputError(f"{source} has {len(frames)} frames and no frame {frame}; count from 0")
        image = Image.fromarray(frames[frame])
    if image.width != image.height:
        raise InputError(f"{source} is {image.width}×{image.height}; crop it to a square, as the masks are")
    out.parent.mkdir(parents=True)
    image.resize((side, side), Image.Resampling.LANCZOS).save(out)
