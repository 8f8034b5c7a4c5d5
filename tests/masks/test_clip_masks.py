"""Masks that a user supplied for a clip, after ingestion."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.clip_masks import load_clip_masks, load_footage_masks
from mvmodel.masks.coco import to_coco
from mvmodel.masks.geometry import mask_iou
from mvmodel.picture_size import PictureSize
from mvmodel.video.config import IngestConfig
from mvmodel.video.crop import center_crop, crop_picture
from mvmodel.video.encode import write_mp4, write_png_folder
from mvmodel.video.ingestion import check_clips, ingest
from mvmodel.world.render import TRAIN, random_clip


def _write_ball(folder: Path, frames: int = 16) -> np.ndarray:
    """A rendered clip as ball.mp4 at 8 fps, and its masks."""
    clip = random_clip((TRAIN, 4), frames=frames, side=96, motion="zigzag", pan=0.0)
    write_mp4(folder / "ball.mp4", clip.frames, 8)
    return clip.masks


def test_masks_follow_their_clip_through_ingestion(tmp_path: Path) -> None:
    clip = random_clip((TRAIN, 4), frames=24, side=96, motion="zigzag", pan=0.0)
    wide = np.pad(clip.frames, ((0, 0), (0, 0), (20, 20), (0, 0)), mode="edge")
    write_mp4(tmp_path / "in" / "fish.mp4", wide, 16)
    write_png_folder(tmp_path / "in" / "fish.masks", np.pad(clip.masks, ((0, 0), (0, 0), (20, 20))))
    catalogue = ingest(tmp_path / "in", tmp_path / "out", IngestConfig(frames=8, size=48))
    row = catalogue.row("fish")
    sequence = load_clip_masks(tmp_path / "in", row)
    assert sequence is not None
    expected = np.stack([clip.masks[index, ::2, ::2] for index in row["sampled"]])
    assert sequence.masks.shape == (8, 48, 48)
    assert mask_iou(sequence.masks, expected) > 0.9
    write_png_folder(tmp_path / "in" / "fish.masks", clip.masks[:5])
    with pytest.raises(InputError, match="has 5 masks"):
        load_clip_masks(tmp_path / "in", row)


def test_one_clip_with_bad_masks_never_stops_the_others(tmp_path: Path) -> None:
    for number in range(3):
        clip = random_clip((TRAIN, number), frames=16, side=64)
        write_mp4(tmp_path / "in" / f"clip{number}.mp4", clip.frames, 8)
        write_png_folder(tmp_path / "in" / f"clip{number}.masks", clip.masks[: 15 if number == 1 else 16])
    catalogue = ingest(tmp_path / "in", tmp_path / "out", read_masks=load_footage_masks)
    assert catalogue.clips == ["clip0", "clip2"]
    assert list(catalogue.quarantine["file"]) == ["clip1.mp4"]
    assert "clip1.masks has 15 masks" in catalogue.quarantine["reason"][0]
    rows = list(check_clips(tmp_path / "in", read_masks=load_footage_masks))
    assert [row["status"] for row in rows] == ["clip", "quarantined", "clip"]
    assert [row["masks"] for row in rows] == ["clip0.masks", None, "clip2.masks"]
    assert "15 masks" in rows[1]["masks_reason"]


def test_masks_of_every_second_frame_are_not_taken_for_the_clip(tmp_path: Path) -> None:
    masks = _write_ball(tmp_path / "in", frames=24)
    write_png_folder(tmp_path / "in" / "ball.masks", masks[::2])
    (row,) = check_clips(tmp_path / "in", IngestConfig(frames=12), load_footage_masks)
    assert row["status"] == "quarantined"
    assert "12 masks, but ball.mp4 has 24 frames" in row["reason"]


@pytest.mark.parametrize("square_pixels", [False, True])
def test_masks_have_the_pixel_aspect_of_their_frames(tmp_path: Path, square_pixels: bool) -> None:
    masks = _write_ball(tmp_path / "in")
    wide = np.repeat(masks, 2, axis=2) if square_pixels else masks
    write_png_folder(tmp_path / "in" / "ball.masks", wide)
    row = ingest(tmp_path / "in", tmp_path / "out", IngestConfig(frames=8, size=48)).row("ball")
    crop = center_crop(masks.shape[2], masks.shape[1], PictureSize(48, 48), pixel_aspect=2.0)
    row |= {"source_pixel_aspect": 2.0, **crop.to_row()}
    sequence = load_clip_masks(tmp_path / "in", row)
    assert sequence is not None
    expected = np.stack([crop_picture(masks[index], crop, (48, 48), 2.0) for index in row["sampled"]])
    assert mask_iou(sequence.masks, expected) > 0.97


def test_masks_drawn_on_stored_pictures_turn_with_their_frames(tmp_path: Path) -> None:
    clip = random_clip((TRAIN, 4), frames=6, side=96)
    frames, masks = clip.frames[:, :64], clip.masks[:, :64]
    (tmp_path / "in" / "frames").mkdir(parents=True)
    for number, frame in enumerate(frames):
        picture = Image.fromarray(np.rot90(frame, 1))
        exif = picture.getexif()
        exif[0x0112] = 6  # shown turned clockwise by a quarter
        picture.save(tmp_path / "in" / "frames" / f"{number}.png", exif=exif)
    write_png_folder(tmp_path / "in" / "masks", np.rot90(masks, 1, axes=(1, 2)))
    row = ingest(tmp_path / "in", tmp_path / "out", IngestConfig(frames=6, size=64)).row("frames")
    sequence = load_clip_masks(tmp_path / "in", row)
    assert sequence is not None
    assert np.array_equal(sequence.masks, masks[row["sampled"], :, 16:80])


def test_masks_of_frames_in_the_same_folder(tmp_path: Path) -> None:
    clip = random_clip((TRAIN, 4), frames=6, side=96)
    (tmp_path / "bear").mkdir()
    for number, (frame, mask) in enumerate(zip(clip.frames, clip.masks, strict=True)):
        Image.fromarray(frame).save(tmp_path / "bear" / f"{number}.jpg")
        Image.fromarray(mask).save(tmp_path / "bear" / f"{number}.png")
    catalogue = ingest(tmp_path, tmp_path / "out", IngestConfig(frames=6, size=96), read_masks=load_footage_masks)
    assert catalogue.clips == ["bear"]
    sequence = load_clip_masks(tmp_path, catalogue.row("bear"))
    assert sequence is not None
    assert np.array_equal(sequence.masks, clip.masks[catalogue.row("bear")["sampled"]])


def _write_frames(folder: Path, frames: np.ndarray, first: int = 0) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=first):
        Image.fromarray(frame).save(folder / f"frame_{number:04d}.png")


def test_objects_stay_apart_through_ingestion(tmp_path: Path) -> None:
    """Two objects that touch, in a palette as DAVIS writes it; a third one is in none of the frames taken."""
    clip = random_clip((TRAIN, 4), frames=8, side=96)
    labels = np.zeros((8, 96, 96), np.uint8)
    labels[:, 20:60, 10:41], labels[:, 20:60, 41:70] = 1, 2
    labels[7, 70:80, 70:80] = 3
    _write_frames(tmp_path / "in" / "JPEGImages" / "two", clip.frames)
    (tmp_path / "in" / "Annotations" / "two").mkdir(parents=True)
    for number, values in enumerate(labels):
        Image.fromarray(values).save(tmp_path / "in" / "Annotations" / "two" / f"{number:05d}.png")
    config = IngestConfig(frames=6, fps=24, size=48)
    catalogue = ingest(tmp_path / "in", tmp_path / "out", config, read_masks=load_footage_masks)
    file = catalogue.masks_file("two")
    assert file is not None
    sequence = MaskSequence.load(file)
    taken = catalogue.row("two")["sampled"]
    assert sequence.names == (("1", "2") if 7 not in taken else ("1", "2", "3"))
    assert np.array_equal(sequence.masks[:, 10:30, 5:35], np.ones((6, 20, 30), bool)), "no seam where they touch"
    assert mask_iou(sequence.per_instance[0], np.stack([labels[index, ::2, ::2] == 1 for index in taken])) > 0.9


def test_coco_masks_pair_with_frames_by_number(tmp_path: Path) -> None:
    """Frames 3 to 8 of a video of which all frames 0 to 9 were annotated."""
    clip = random_clip((TRAIN, 4), frames=10, side=96)
    _write_frames(tmp_path / "in" / "ball" / "frames", clip.frames[3:9], first=3)
    content = to_coco(MaskSequence(clip.masks))
    for image in content["images"]:
        image["file_name"] = f"frame_{image['id']:04d}.png"
    (tmp_path / "in" / "ball" / "_annotations.coco.json").write_text(json.dumps(content))
    config = IngestConfig(frames=6, fps=24, size=96)
    (row,) = check_clips(tmp_path / "in", config, load_footage_masks)
    assert row["masks"] == "ball/_annotations.coco.json"
    catalogue = ingest(tmp_path / "in", tmp_path / "out", config, read_masks=load_footage_masks)
    file = catalogue.masks_file(catalogue.clips[0])
    assert file is not None
    assert np.array_equal(MaskSequence.load(file).masks, clip.masks[3:9])


def test_the_alpha_of_frames_is_their_mask(tmp_path: Path) -> None:
    clip = random_clip((TRAIN, 4), frames=6, side=96)
    alpha = clip.masks[..., None].astype(np.uint8) * 255
    _write_frames(tmp_path / "in" / "cut", np.concatenate([clip.frames, alpha], axis=3))
    _write_frames(tmp_path / "in" / "veil", np.concatenate([clip.frames, np.full_like(alpha, 90)], axis=3))
    config = IngestConfig(frames=6, fps=24, size=96)
    _write_frames(tmp_path / "in" / "gone", np.concatenate([clip.frames, np.zeros_like(alpha)], axis=3))
    cut, gone, veil = check_clips(tmp_path / "in", config, load_footage_masks)
    assert (gone["status"], gone["reason"]) == ("quarantined", "its pictures are transparent all over")
    assert (cut["status"], cut["masks"], cut["masks_reason"]) == ("clip", "cut", "the alpha channel of the clip")
    assert "mid grey (128)" in cut["note"]
    assert veil["status"] == "clip" and veil["masks"] is None
    assert "its alpha channel is no mask" in veil["masks_reason"]
    catalogue = ingest(tmp_path / "in", tmp_path / "out", config, read_masks=load_footage_masks)
    file = catalogue.masks_file("cut")
    assert file is not None and catalogue.masks_file("veil") is None
    assert np.array_equal(MaskSequence.load(file).masks, clip.masks[catalogue.row("cut")["sampled"]])
    assert (catalogue.frames("cut")[~MaskSequence.load(file).masks] == 128).all()
