"""The clips, masks and captions that one motion's adapter is trained on, as a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from mvmodel.backends.training_config import TrainingClip
from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence

Role = Literal["train", "held_out"]


def split_clips(
    motion: str,
    clips: Sequence[str],
    weak: Collection[str],
    distances: Mapping[str, float],
    min_clips: int,
    max_clips: int,
    held_out: int,
) -> dict[str, Role]:
    """Which clips of a motion are trained on and which are held out: clip -> role, in alphabetical order.

    Uses the `max_clips` clips nearest to the centre of the motion's cluster. Holds out the `held_out` nearest of them,
    but leaves at least `min_clips` to train on. Clips at the edges teach most, and an adapter would be judged unfairly
    by a clip far out.

    Args:
        motion: Name of the motion, for the error.
        clips: Names of the motion's clips.
        weak: Clips whose masks are too weak to train on.
        distances: Clip -> distance from the centre of the motion's cluster.
        min_clips: Fewest clips to train on.
        max_clips: Most clips to use.
        held_out: Clips to hold out.

    Raises:
        InputError: Fewer than `min_clips` clips have masks that can be used.
    """
    usable = [clip for clip in clips if clip not in weak]
    if len(usable) < min_clips:
        raise InputError(
            f"motion {motion!r} has {len(usable)} clips with sound masks of {len(clips)}; {min_clips} are needed: add "
            f"clips, or fix the weak masks that foreground_masks names"
        )
    nearest = sorted(usable, key=lambda clip: (distances[clip], clip))[:max_clips]
    test = set(nearest[: min(held_out, len(nearest) - min_clips)])
    return {clip: "held_out" if clip in test else "train" for clip in sorted(nearest)}


def write_training_set(
    folder: Path,
    motion: str,
    roles: Mapping[str, Role],
    captions: Mapping[str, str],
    frames: Path,
    masks: Path,
    propose: Callable[[np.ndarray], str],
) -> None:
    """Write the frames, masks and captions of a motion's clips to `folder`, which `read_training_set` reads.

    Writes frames/CLIP.npy, masks/CLIP.npz and clips.json (`motion`, and `clips`: clip, role, caption, caption_from).

    Args:
        folder: Where to write; exists.
        motion: Name of the motion.
        roles: What `split_clips` returned.
        captions: Clip -> the manifest's caption, "" without one.
        frames: A folder with CLIP.npy, uint8 (frames, height, width, 3), as ingestion writes it.
        masks: A folder with CLIP.npz, as `MaskSequence.save` writes it.
        propose: Proposes a caption from frames, uint8 (frames, height, width, 3), where the manifest has none.
    """
    for name in ("frames", "masks"):
        (folder / name).mkdir(exist_ok=True)
    rows = []
    for clip, role in roles.items():
        manifest_caption = captions[clip]
        caption = manifest_caption or propose(np.load(frames / f"{clip}.npy", allow_pickle=False))
        source = "manifest" if manifest_caption else "scorer" if caption else "none"
        rows.append({"clip": clip, "role": role, "caption": caption, "caption_from": source})
        shutil.copyfile(frames / f"{clip}.npy", folder / "frames" / f"{clip}.npy")
        shutil.copyfile(masks / f"{clip}.npz", folder / "masks" / f"{clip}.npz")
    (folder / "clips.json").write_text(json.dumps({"motion": motion, "clips": rows}, indent=1))


def read_training_set(folder: Path) -> tuple[list[TrainingClip], list[TrainingClip]]:
    """(clips to train on, clips held out) of a folder that `write_training_set` wrote."""
    clips: dict[str, list[TrainingClip]] = {"train": [], "held_out": []}
    for row in json.loads((folder / "clips.json").read_text())["clips"]:
        frames = np.load(folder / "frames" / f"{row['clip']}.npy", allow_pickle=False)
        masks = MaskSequence.load(folder / "masks" / f"{row['clip']}.npz").masks
        clips[row["role"]].append(TrainingClip(row["clip"], frames, masks, row["caption"]))
    return clips["train"], clips["held_out"]
