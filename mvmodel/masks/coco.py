"""Mask sequences in COCO run-length encoding: one JSON file with an annotation per object and frame."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle

from mvmodel.errors import InputError
from mvmodel.masks.coco_layouts import MaskRecord, MaskTable, read_table
from mvmodel.masks.key_frames import interpolate_between, interpolate_every
from mvmodel.masks.sequence import DEFAULT_FPS, MaskSequence
from mvmodel.video.config import DecodeLimits

logger = logging.getLogger(__name__)


def to_coco(sequence: MaskSequence) -> dict[str, Any]:
    """The sequence as a COCO object. Images are frames, categories are instances, and `info.fps` is the rate."""
    size = {"height": sequence.height, "width": sequence.width}
    images = [{"id": frame, "file_name": f"{frame:05d}.png", **size} for frame in range(sequence.frames)]
    names = sequence.names or ("foreground",)
    annotations: list[dict[str, Any]] = []
    for number, masks in enumerate(sequence.per_instance):
        for frame in np.flatnonzero(masks.any(axis=(1, 2))).tolist():
            code = rle.encode(np.asfortranarray(masks[frame].astype(np.uint8)))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": frame,
                    "category_id": number + 1,
                    "segmentation": {"size": code["size"], "counts": code["counts"].decode("ascii")},
                    "area": int(masks[frame].sum()),
                    "bbox": [float(value) for value in rle.toBbox(code)],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number + 1, "name": name} for number, name in enumerate(names)]
    info = {"fps": sequence.fps, "instances": sequence.instances is not None}
    return {"info": info, "images": images, "categories": categories, "annotations": annotations}


def read_coco(path: Path, every: int | None = None) -> tuple[MaskSequence, list[Decimal] | None]:
    """Reads masks from a COCO file, or one of YouTube-VIS, SA-V or segment-anything. Boxes without masks are logged.

    Frames are in the order of the numbers in their file names, or else of their ids. Objects are tracks
    (`attributes.track_id`) where there are any, else categories that have a mask. Segmentations may be compressed or
    plain run lengths, or polygons.

    Args:
        path: The file.
        every: Only every n-th frame of the file has masks, or is in the file; the others are interpolated.

    Returns:
        The masks; and the number of each frame by the file names, or None if they do not count.

    Raises:
        InputError: Names the file and the fault; also for masks of regular key frames only without `every`, since
            nothing is known about the frames between them.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no readable JSON ({error}); give a COCO file of masks") from error
    try:
        table = read_table(content)
        sequence = _to_sequence(table)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path} is no COCO file of masks ({reason}); it needs images with id, height and width, and annotations "
            f"with image_id and segmentation"
        ) from error
    if table.boxes:
        logger.warning("%s: %d boxes without masks are left out", path, table.boxes)
    step = _key_frame_step(np.asarray(sequence.masks.any(axis=(1, 2))))
    if step and not table.is_own and every is None:
        raise InputError(
            f"{path} has masks on every {_ordinal(step)} frame only; add --every {step} to interpolate the masks "
            f"between them, or export those too (in CVAT as tracks, with interpolated frames)"
        )
    if every is not None and step:
        if step != every:
            raise InputError(f"{path} has masks on every {_ordinal(step)} frame, not on every {_ordinal(every)}")
        return interpolate_between(sequence, np.flatnonzero(sequence.masks.any(axis=(1, 2)))), table.numbers
    if every is not None:
        return interpolate_every(sequence, every, table.fps is not None, table.numbers), None
    return sequence, table.numbers


def _ordinal(number: int) -> str:
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10 if number % 100 not in (11, 12, 13) else 0, 'th') }"


def _key_frame_step(has_mask: np.ndarray) -> int:
    """The step between frames with masks if it is always the same and above 1, else 0. has_mask: bool (frames,)."""
    frames = np.flatnonzero(has_mask)
    steps = np.unique(np.diff(frames))
    if len(frames) < 3 or len(steps) != 1 or steps[0] < 2 or frames[0] >= steps[0]:
        return 0
    return int(steps[0])


def _to_sequence(table: MaskTable) -> MaskSequence:
    objects = list(dict.fromkeys([*table.objects, *(record.instance for record in table.records)]))
    used = {record.instance for record in table.records}
    objects = [name for name in objects if name in used] or objects[:1] or [0]
    size = len(objects) * table.frames * table.height * table.width
    limit = DecodeLimits().bytes
    if size > limit:
        raise ValueError(
            f"{len(objects)} objects in {table.frames} frames of {table.width}x{table.height} need more than the limit "
            f"of {limit / 2**30:.1f} GiB"
        )
    masks = np.zeros((len(objects), table.frames, table.height, table.width), bool)
    numbers = {instance: number for number, instance in enumerate(objects)}
    for record in table.records:
        masks[numbers[record.instance], record.frame] |= _decode(record, table.height, table.width)
    if len(objects) <= 1 and not table.has_instances:
        return MaskSequence(masks[0], table.fps or DEFAULT_FPS)
    return MaskSequence.from_instances(
        masks, table.fps or DEFAULT_FPS, [table.objects.get(name, "") for name in objects]
    )


def _decode(record: MaskRecord, height: int, width: int) -> np.ndarray:
    segmentation = record.segmentation
    if isinstance(segmentation, dict):
        counts, size = segmentation["counts"], [int(n) for n in segmentation["size"]]
        if size != [height, width]:
            raise ValueError(f"a segmentation is {size[1]}x{size[0]}, its image {width}x{height}")
        if isinstance(counts, list):
            if sum(counts) != height * width or min(counts, default=0) < 0:
                raise ValueError(f"run lengths add up to {sum(counts)}, the picture has {height * width} pixels")
            values = np.arange(len(counts)) % 2 == 1
            return np.repeat(values, counts).reshape(width, height).T
        code = {"size": size, "counts": counts.encode("ascii")}
        if int(rle.area(code)) > height * width:
            raise ValueError("run lengths are longer than the picture")
        return np.asarray(rle.decode(code)).astype(bool)
    polygons = segmentation if isinstance(segmentation[0], (list, tuple)) else [segmentation]
    if any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons):
        raise ValueError("a polygon has fewer than three points, or half a point")
    if len(polygons[0]) == 4:  # pycocotools takes lists of four numbers for boxes
        raise ValueError("a polygon has fewer than three points")
    merged = rle.merge(rle.frPyObjects([list(map(float, polygon)) for polygon in polygons], height, width))
    return np.asarray(rle.decode(merged)).astype(bool)
