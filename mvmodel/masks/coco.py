"""Mask sequences as COCO run-length encoding: one JSON file, an annotation per object and frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.sequence import MaskSequence


def to_coco(sequence: MaskSequence) -> dict[str, Any]:
    """The sequence as a COCO object: images are frames, categories are instances; `info.fps` keeps the rate."""
    from pycocotools import mask as rle

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
    told_apart = sequence.instances is not None
    info = {"fps": sequence.fps, "instances": told_apart}
    return {"info": info, "images": images, "categories": categories, "annotations": annotations}


def read_coco(path: Path) -> MaskSequence:
    """Read a COCO file: frames are its images in order of id, objects its categories.

    Segmentations may be compressed or plain run lengths, or polygons. Raises InputError naming the file and what is
    wrong in it.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no readable JSON ({error}); give a COCO file of masks") from error
    try:
        return _sequence(content)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path} is no COCO file of masks ({reason}); it needs images with id, height and width, and annotations "
            f"with image_id and segmentation"
        ) from error


def _sequence(content: dict[str, Any]) -> MaskSequence:
    images = sorted(content["images"], key=lambda image: image["id"])
    sizes = {(int(image["height"]), int(image["width"])) for image in images}
    if len(sizes) != 1:
        raise ValueError(f"its {len(images)} images have {len(sizes)} sizes; a mask sequence has one")
    height, width = sizes.pop()
    places = {image["id"]: number for number, image in enumerate(images)}
    named = {entry["id"]: str(entry.get("name", "")) for entry in content.get("categories", [])}
    kinds = list(dict.fromkeys([*named, *(entry.get("category_id", 0) for entry in content["annotations"])]))
    masks = np.zeros((max(1, len(kinds)), len(images), height, width), bool)
    for entry in content["annotations"]:
        if entry["image_id"] not in places:
            raise ValueError(f"an annotation names image {entry['image_id']}, which is not listed")
        number = kinds.index(entry.get("category_id", 0)) if kinds else 0
        masks[number, places[entry["image_id"]]] |= _decoded(entry["segmentation"], height, width)
    info = content.get("info") or {}
    fps = float(info.get("fps", 8.0))
    if len(kinds) <= 1 and not info.get("instances", False):
        return MaskSequence(masks[0], fps)
    return MaskSequence.from_instances(masks, fps, [named.get(kind, "") for kind in kinds])


def _decoded(segmentation: Any, height: int, width: int) -> np.ndarray:
    from pycocotools import mask as rle

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
    merged = rle.merge(rle.frPyObjects(segmentation, height, width))
    return np.asarray(rle.decode(merged)).astype(bool)
