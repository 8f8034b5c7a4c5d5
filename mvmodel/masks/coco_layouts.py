"""The layouts of JSON files with masks, brought to one table: COCO, YouTube-VIS, SA-V, segment-anything's list."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from mvmodel.video.picture_sequences import natural_key, picture_numbers

_MIN_TRACK_OVERLAP = 0.7
"""Overlap (IoU) of the boxes of neighbouring entries from which a list without images is one object over time.
segment-anything removes boxes of one picture that overlap more."""


@dataclass(frozen=True)
class MaskRecord:
    """One mask: its frame from 0, the key of its object, and its run lengths or polygons."""

    frame: int
    instance: Hashable
    segmentation: Any


@dataclass
class MaskTable:
    """The masks of a file.

    objects: key -> name, in order. fps: None if the file does not say. numbers: of each frame, by the file names, or
    None. boxes: annotations without a mask. has_instances: a single object is an instance too. is_own: mvmodel wrote
    the file, so that frames without masks are meant.
    """

    frames: int
    height: int
    width: int
    fps: float | None = None
    records: list[MaskRecord] = field(default_factory=list)
    objects: dict[Hashable, str] = field(default_factory=dict)
    numbers: list[Decimal] | None = None
    boxes: int = 0
    has_instances: bool = False
    is_own: bool = False


def read_table(content: Any) -> MaskTable:
    """The masks of a JSON file's content. Raises KeyError, TypeError or ValueError for another layout."""
    if isinstance(content, list):
        return _read_list(content)
    if "masklet" in content:
        return _read_masklets(content)
    if "videos" in content:
        return _read_videos(content)
    if "images" not in content and isinstance(content.get("image"), dict):
        raise ValueError("it holds the masks of one picture, as SA-1B does; give one mask a frame")
    return _read_images(content)


def _read_images(content: dict[str, Any]) -> MaskTable:
    images = content["images"]
    sizes = {(int(image["height"]), int(image["width"])) for image in images}
    if len(sizes) != 1:
        raise ValueError(f"its {len(images)} images have {len(sizes)} sizes; a mask sequence has one")
    order, numbers = _frame_order(images)
    ordered = [images[index] for index in order]
    frames = {_key(image["id"]): index for index, image in enumerate(ordered)}
    if len(frames) != len(images):
        raise ValueError("two images have one id")
    info = content.get("info") or {}
    table = MaskTable(len(images), *sizes.pop(), fps=_rate(info))
    table.numbers = numbers
    table.is_own, table.has_instances = "instances" in info, bool(info.get("instances", False))
    names = {_key(category["id"]): str(category.get("name", "")) for category in content.get("categories") or []}
    annotations = content["annotations"]
    tracks = [_track(annotation) for annotation in annotations]
    has_tracks = any(track is not None for track in tracks)
    for annotation, track in zip(annotations, tracks, strict=True):
        image = _key(annotation["image_id"])
        if image not in frames:
            raise ValueError(f"an annotation names image {annotation['image_id']}, which is not listed")
        if not _has_mask(annotation):
            table.boxes += 1
            continue
        category = _key(annotation.get("category_id", 0))
        instance: Hashable = (category, track) if has_tracks else category
        table.objects.setdefault(instance, names.get(category, ""))
        table.records.append(MaskRecord(frames[image], instance, annotation["segmentation"]))
    if table.boxes and not table.records:
        raise ValueError(f"it has {table.boxes} boxes and no mask; export segmentations")
    _sort_objects(table, list(names), has_tracks)
    return table


def _rate(content: dict[str, Any]) -> float | None:
    return float(content["fps"]) if content.get("fps") else None


def _key(identifier: Any) -> Hashable:
    """Ids are numbers or texts, and some tools write one as the other: "7" and 7 are one id."""
    return str(int(identifier)) if isinstance(identifier, float) and identifier.is_integer() else str(identifier)


def _track(annotation: dict[str, Any]) -> str | None:
    """The number of an annotation's object over time: CVAT's attribute, or the fields of tracking data sets."""
    attributes = annotation.get("attributes") or {}
    for source in (attributes, annotation):
        for name in ("track_id", "instance_id", "object_id", "tracking_id"):
            if isinstance(source, dict) and source.get(name) is not None:
                return str(_key(source[name]))
    return None


def _has_mask(annotation: dict[str, Any]) -> bool:
    segmentation = annotation.get("segmentation")
    if segmentation is None:
        return False
    return bool(segmentation) and (isinstance(segmentation, dict) or segmentation != [[]])


def _sort_objects(table: MaskTable, categories: list[Hashable], has_tracks: bool) -> None:
    """Brings the objects into the order of the categories, then of the tracks, and numbers those of one name."""

    def order(instance: Any) -> tuple[int, list[Any]]:
        category, track = instance if has_tracks else (instance, "")
        return (
            categories.index(category) if category in categories else len(categories),
            natural_key(Path(f"track {track}")),
        )

    ordered = {instance: table.objects[instance] for instance in sorted(table.objects, key=order)}
    names = list(ordered.values())
    counts: dict[str, int] = {}
    for instance, name in ordered.items():
        counts[name] = counts.get(name, 0) + 1
        if has_tracks and name and names.count(name) > 1:
            ordered[instance] = f"{name} {counts[name]}"
    table.objects = ordered


def _frame_order(images: Sequence[dict[str, Any]]) -> tuple[list[int], list[Decimal] | None]:
    """Indices of the images in the order of frames: by the numbers in their names, or by id where names have none.

    Also returns the number of each frame in that order, or None if the names do not count.
    """
    names = [Path(str(image.get("file_name") or "").replace("\\", "/")) for image in images]
    indices = range(len(images))
    numbers = picture_numbers(names) if all(name.name for name in names) else None
    if numbers is not None:
        return sorted(indices, key=lambda index: numbers[index]), sorted(numbers)
    if all(re.search(r"\d", name.name) for name in names) and len(set(names)) == len(names):
        return sorted(indices, key=lambda index: [natural_key(Path(part)) for part in names[index].parts]), None
    return sorted(indices, key=lambda index: natural_key(Path(f"id {images[index]['id']}"))), None


def _read_videos(content: dict[str, Any]) -> MaskTable:
    """YouTube-VIS: an annotation is an object with a list of masks, one a frame and null where it is not seen."""
    videos = content["videos"]
    if len(videos) != 1:
        raise ValueError(f"it holds {len(videos)} videos; give a file for each")
    video = videos[0]
    file_names = video.get("file_names") or []
    annotations = content["annotations"] or []
    length = int(video.get("length") or len(file_names) or len(annotations[0]["segmentations"]))
    table = MaskTable(length, int(video["height"]), int(video["width"]), fps=_rate(video))
    order, table.numbers = _frame_order([{"id": i, "file_name": name} for i, name in enumerate(file_names)])
    order = order or list(range(length))
    if len(order) != length:
        raise ValueError(f"its video has {length} frames and {len(order)} file names")
    frames = {place: frame for frame, place in enumerate(order)}
    names = {_key(category["id"]): str(category.get("name", "")) for category in content.get("categories") or []}
    for number, annotation in enumerate(annotations):
        if _key(annotation.get("video_id", video.get("id"))) != _key(video.get("id")):
            raise ValueError(f"an annotation names video {annotation['video_id']}, which is not listed")
        if "segmentations" not in annotation:
            table.boxes += 1
            continue
        segmentations = annotation["segmentations"]
        if len(segmentations) != length:
            raise ValueError(f"an object has {len(segmentations)} masks, its video {length} frames")
        instance = (_key(annotation.get("category_id", 0)), str(annotation.get("id", number)))
        table.objects.setdefault(instance, names.get(instance[0], ""))
        for place, segmentation in enumerate(segmentations):
            if segmentation:
                table.records.append(MaskRecord(frames[place], instance, segmentation))
    _sort_objects(table, list(names), has_tracks=True)
    return table


def _read_masklets(content: dict[str, Any]) -> MaskTable:
    """SA-V: a list of frames, each a list of one run-length code per masklet."""
    frames = content["masklet"]
    table = MaskTable(len(frames), int(content["video_height"]), int(content["video_width"]))
    # SA-V's videos have 24 frames a second. Manual annotations are of every fourth frame, so at 6 a second.
    declared = int(float(content.get("video_frame_count") or len(frames)))
    table.fps = _rate(content) or (6.0 if declared >= 3 * len(frames) else None)
    count = max((len(masks) for masks in frames), default=0)
    identifiers = content.get("masklet_id") or list(range(count))
    for frame, masks in enumerate(frames):
        for number, segmentation in enumerate(masks):
            if segmentation:
                identifier = str(identifiers[number]) if number < len(identifiers) else str(number)
                table.objects.setdefault(number, identifier)
                table.records.append(MaskRecord(frame, number, segmentation))
    table.objects = dict(sorted(table.objects.items()))  # type: ignore[type-var]
    return table


def _read_list(content: list[Any]) -> MaskTable:
    """A list of masks without images, as segment-anything returns: one object over time, if the boxes follow it."""
    segmentations = [entry.get("segmentation", entry) for entry in content]
    if not segmentations:
        raise ValueError("it is an empty list")
    sizes = {tuple(int(n) for n in segmentation["size"]) for segmentation in segmentations}
    if len(sizes) != 1:
        raise ValueError(f"its masks have {len(sizes)} sizes; a mask sequence has one")
    boxes = [entry.get("bbox") for entry in content]
    pairs = pairwise(boxes)
    if not all(box and len(box) == 4 for box in boxes) or any(_overlap(a, b) < _MIN_TRACK_OVERLAP for a, b in pairs):
        raise ValueError(
            "it is a list of masks that does not say which frames they belong to, and they may all be of one picture; "
            "write a COCO file with images"
        )
    height, width = sizes.pop()
    records = [MaskRecord(frame, 0, segmentation) for frame, segmentation in enumerate(segmentations)]
    return MaskTable(len(records), height, width, records=records, objects={0: ""})


def _overlap(first: Sequence[float], second: Sequence[float]) -> float:
    """IoU of two boxes (x, y, width, height)."""
    width = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    height = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    total = first[2] * first[3] + second[2] * second[3] - shared
    return shared / total if total > 0 else 0.0
