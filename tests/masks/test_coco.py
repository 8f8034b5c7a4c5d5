"""COCO and its relatives, as exports write them: order, objects, boxes, key frames."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle

from mvmodel.errors import InputError
from mvmodel.masks.files import read_masks
from mvmodel.masks.geometry import mask_iou
from tests.masks.test_values import FRAMES, MASKS, OBJECTS, SIDE


def code(mask: np.ndarray) -> dict[str, Any]:
    encoded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def images(ids=None, names=None) -> list[dict[str, Any]]:
    ids, names = ids or list(range(FRAMES)), names or [f"{frame:05d}.png" for frame in range(FRAMES)]
    return [{"id": i, "file_name": name, "height": SIDE, "width": SIDE} for i, name in zip(ids, names, strict=True)]


def annotations(masks: np.ndarray, ids=None, category: int = 1, **fields: Any) -> list[dict[str, Any]]:
    return [
        {"image_id": i, "category_id": category, "segmentation": code(mask), **fields}
        for i, mask in zip(ids or range(FRAMES), masks, strict=True)
    ]


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "names",
    [
        [
            "a_mp4-0000_jpg.rf.ff12.jpg",
            "a_mp4-0001_jpg.rf.0a34.jpg",
            "a_mp4-0002_jpg.rf.99.jpg",
            "a_mp4-0003_jpg.rf.1.jpg",
        ],
        ["frame_8.png", "frame_9.png", "frame_10.png", "frame_11.png"],
        ["v/0.0.png", "v/0.125.png", "v/0.25.png", "v/0.375.png"],
    ],
)
@pytest.mark.parametrize("ids", [[3, 1, 2, 0], ["d", "a", "c", "b"], ["10", "9", "8", "7"]])
def test_frames_are_in_the_order_of_their_names(tmp_path: Path, names: list[str], ids: list[Any]) -> None:
    content = {"images": images(ids, names)[::-1], "annotations": annotations(MASKS, ids)}
    assert np.array_equal(read_masks(write(tmp_path / "a.json", content)).masks, MASKS)


def test_without_names_frames_are_in_the_order_of_their_ids(tmp_path: Path) -> None:
    listed = [{"id": str(i), "height": SIDE, "width": SIDE} for i in (11, 9, 10, 12)]
    content = {"images": listed, "annotations": annotations(MASKS, [9, 10, 11, 12])}
    assert np.array_equal(read_masks(write(tmp_path / "a.json", content)).masks, MASKS)


def test_a_category_without_masks_is_no_object(tmp_path: Path) -> None:
    categories = [{"id": 0, "name": "animals"}, {"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    one = {"images": images(), "categories": categories, "annotations": annotations(OBJECTS[0])}
    sequence = read_masks(write(tmp_path / "one.json", one))
    assert sequence.instances is None and np.array_equal(sequence.masks, OBJECTS[0])
    both = one | {"annotations": [*annotations(OBJECTS[1], category=2), *annotations(OBJECTS[0])]}
    sequence = read_masks(write(tmp_path / "both.json", both))
    assert sequence.names == ("cat", "dog") and np.array_equal(sequence.instances, OBJECTS)


@pytest.mark.parametrize("place", ["attributes", "top"])
def test_tracks_of_one_category_are_objects(tmp_path: Path, place: str) -> None:
    fields = [{"attributes": {"track_id": t}} if place == "attributes" else {"track_id": t} for t in (2, 10)]
    listed = [*annotations(OBJECTS[1], **fields[1]), *annotations(OBJECTS[0], **fields[0])]
    content = {"images": images(), "categories": [{"id": 1, "name": "person"}], "annotations": listed}
    sequence = read_masks(write(tmp_path / "a.json", content))
    assert sequence.names == ("person 1", "person 2") and np.array_equal(sequence.instances, OBJECTS)


def test_boxes_without_masks_are_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    boxes = [
        {"image_id": i, "category_id": 1, "bbox": [1, 1, 5, 5], "segmentation": empty}
        for i, empty in [(0, []), (1, None)]
    ]
    content = {"images": images(), "annotations": annotations(MASKS) + boxes}
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(read_masks(write(tmp_path / "a.json", content)).masks, MASKS)
    assert "2 boxes without masks are left out" in caplog.text
    with pytest.raises(InputError, match="2 boxes and no mask"):
        read_masks(write(tmp_path / "boxes.json", {"images": images(), "annotations": boxes}))


def test_regular_key_frames_are_refused(tmp_path: Path) -> None:
    many = [{"id": i, "file_name": f"{i:05d}.png", "height": SIDE, "width": SIDE} for i in range(10)]
    content = {"images": many, "annotations": annotations(MASKS, [0, 3, 6, 9])}
    with pytest.raises(InputError, match="every 3rd frame only"):
        read_masks(write(tmp_path / "a.json", content))
    gone = {"images": many, "annotations": annotations(MASKS, [2, 3, 4, 5])}
    assert read_masks(write(tmp_path / "b.json", gone)).masks.any(axis=(1, 2)).sum() == 4


def test_youtube_vis(tmp_path: Path) -> None:
    names = ["v/00002.jpg", "v/00000.jpg", "v/00001.jpg", "v/00003.jpg"]
    order = [2, 0, 1, 3]
    listed = [
        {"id": n, "video_id": 1, "category_id": 1, "segmentations": [code(masks[f]) if f else None for f in order]}
        for n, masks in enumerate(OBJECTS)
    ]
    video = {"id": 1, "width": SIDE, "height": SIDE, "length": FRAMES, "file_names": names}
    content = {"videos": [video], "categories": [{"id": 1, "name": "cat"}], "annotations": listed}
    sequence = read_masks(write(tmp_path / "a.json", content))
    assert np.array_equal(sequence.instances[:, 1:], OBJECTS[:, 1:]) and not sequence.masks[0].any()
    with pytest.raises(InputError, match="2 videos"):
        read_masks(write(tmp_path / "b.json", content | {"videos": [video, video | {"id": 2}]}))


def test_masklets_and_lists(tmp_path: Path) -> None:
    content = {
        "video_height": float(SIDE), "video_width": float(SIDE), "video_frame_count": float(FRAMES),
        "masklet": [[code(m) for m in frame] for frame in OBJECTS.swapaxes(0, 1)],
    }  # fmt: skip
    assert np.array_equal(read_masks(write(tmp_path / "sav.json", content)).instances, OBJECTS)
    track = [{"segmentation": code(m), "bbox": rle.toBbox(code(m)).tolist()} for m in OBJECTS[0]]
    assert np.array_equal(read_masks(write(tmp_path / "track.json", track)).masks, OBJECTS[0])
    one_picture = [{"segmentation": code(m), "bbox": rle.toBbox(code(m)).tolist()} for m in OBJECTS[:, 0]]
    with pytest.raises(InputError, match="which frames they belong to"):
        read_masks(write(tmp_path / "sam.json", one_picture))


def test_polygons_in_and_out_of_a_list(tmp_path: Path) -> None:
    polygon = [10, 10, 30, 10, 30, 30, 10, 30]
    square = np.zeros((1, SIDE, SIDE), bool)
    square[0, 10:30, 10:30] = True
    for name, segmentation in {"flat": polygon, "nested": [polygon]}.items():
        content = {"images": images()[:1], "annotations": [{"image_id": 0, "segmentation": segmentation}]}
        assert mask_iou(read_masks(write(tmp_path / f"{name}.json", content)).masks, square) > 0.95
