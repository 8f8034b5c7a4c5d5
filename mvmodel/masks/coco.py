"""Mask sequences in COCO run-length encoding: one JSON file with an annotation per object and frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle

from mvmodel.errors import InputError
from mvmodel.masks.sequence import MaskSequence


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


def read_coco(path: Path) -> MaskSequence:
    """Reads a COCO file. Frames are its images in order of id, objects are its categories.

    Segmentations may be compressed or plain run lengths, or polygons. Raises InputError naming the file and the fault.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no readable JSON ({error}); give a COCO file of masks") from error
    try:
        return _parse_content(content)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path} is no COCO file of masks ({reason}); it needs images with id, height and width, and annotations "
            f"with image_id and segmentation"
        ) from error


def _parse_content(content: dict[str, Any]) -> MaskSequence:
    images = sorted(content["images"], key=lambda image: image["id"])
    sizes = {(int(image["height"]), int(image["width"])) for image in images}
    if len(sizes) != 1:
        raise ValueError(f"its {len(images)} images have {len(sizes)} sizes; a mask sequence has one")
    height, width = sizes.pop()
    frame_indices = {image["id"]: index for index, image in enumerate(images)}
    names = {category["id"]: str(category.get("name", "")) for category in content.get("categories", [])}
    annotations = content["annotations"]
    categories = list(dict.fromkeys([*names, *(annotation.get("category_id", 0) for annotation in annotations)]))
    masks = np.zeros((max(1, len(categories)), len(images), height, width), bool)
    for annotation in annotations:
        if annotation["image_id"] not in frame_indices:
            raise ValueError(f"an annotation names image {annotation['image_id']}, which is not listed")
        instance = categories.index(annotation.get("category_id", 0)) if categories else 0
        frame = frame_indices[annotation["image_id"]]
        masks[instance, frame] |= _decode_segmentation(annotation["segmentation"], height, width)
    info = content.get("info") or {}
    fps = float(info.get("fps", 8.0))
    if len(categories) <= 1 and not info.get("instances", False):
        return MaskSequence(masks[0], fps)
    return MaskSequence.from_instances(masks, fps, [names.get(category, "") for category in categories])


def _decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
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
