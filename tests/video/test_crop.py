"""Which window of a picture a clip shows, by rule and through ingestion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mvmodel.masks.clip_masks import load_clip_masks, load_footage_masks
from mvmodel.picture_size import PictureSize
from mvmodel.segmentation.saliency import find_moving_areas
from mvmodel.video.config import IngestConfig
from mvmodel.video.crop import (
    Box,
    Crop,
    ForegroundTooLarge,
    center_crop,
    choose_crop,
    crop_by_saliency,
    crop_picture,
    fit_whole,
    foreground_box,
)
from mvmodel.video.encode import write_mp4, write_png_folder
from mvmodel.video.ingestion import check_clips, ingest

SQUARE = PictureSize(32, 32)
HEIGHT, WIDTH = 72, 128


def _ball_clip(path: Path, start: float, end: float, masks: bool, height: int = HEIGHT, width: int = WIDTH) -> None:
    """A ball on a grey texture that goes from `start` to `end`, shares of the longer side, with its masks beside it."""
    rng = np.random.default_rng(0)
    background = cv2.GaussianBlur(rng.integers(60, 190, (height, width, 3), dtype=np.uint8), (0, 0), 3)
    frames, truth = [], []
    for share in np.linspace(start, end, 12):
        centre = (int(share * width), height // 2) if width > height else (width // 2, int(share * height))
        mask = cv2.circle(np.zeros((height, width), np.uint8), centre, 9, 255, -1) > 0
        frames.append(np.where(mask[..., None], np.uint8([250, 40, 30]), background))
        truth.append(mask)
    write_mp4(path, np.stack(frames), 8)
    if masks:
        write_png_folder(path.with_name(f"{path.stem}.masks"), np.stack(truth))


def _ingest(folder: Path, **settings: Any) -> Any:
    config = IngestConfig(frames=8, min_side=8, **{"size": 32, **settings})
    return ingest(folder, folder.parent / "out", config, None, load_footage_masks, find_moving_areas)


def _is_ball(frames: np.ndarray) -> np.ndarray:
    return (frames[..., 0] > 170) & (frames[..., 2] < 110)


def test_the_middle_is_cropped_and_never_squashed() -> None:
    picture = np.zeros((60, 120, 3), np.uint8)
    picture[20:40, 50:70] = 255  # a square stays a square
    size = PictureSize(30, 30)
    square = crop_picture(picture, center_crop(120, 60, size), size.shape)
    rows, columns = np.nonzero(square[..., 0] > 127)
    assert square.shape == (30, 30, 3)
    assert np.ptp(rows) == np.ptp(columns) == 9
    crop = center_crop(120, 60, size, pixel_aspect=0.5)  # a pixel half as wide as high: 60 x 60 as shown
    rows, columns = np.nonzero(crop_picture(picture, crop, size.shape, pixel_aspect=0.5)[..., 0] > 127)
    assert (np.ptp(rows), np.ptp(columns)) == (9, 5)  # 10 by 5 pixels, the edge cut through one
    assert crop_picture(picture[..., 0] > 0, center_crop(120, 60, size), size.shape).sum() == 100


@pytest.mark.parametrize("size", [PictureSize(32, 32), PictureSize(48, 32), PictureSize(32, 64)])
@pytest.mark.parametrize("shape", [(72, 128), (128, 72), (50, 50), (31, 97)])
def test_the_window_holds_a_foreground_anywhere(size: PictureSize, shape: tuple[int, int]) -> None:
    height, width = shape
    for left in range(0, width - 8, 5):
        for top in range(0, height - 8, 9):
            mask = np.zeros(shape, bool)
            mask[top : top + 8, left : left + 8] = True
            crop = choose_crop(width, height, size, foreground_box(mask[None]))
            cut = crop_picture(mask, crop, size.shape)
            scaled_area = 64 * crop.scaled_width * crop.scaled_height / (width * height)
            assert abs(cut.sum() - scaled_area) <= 0.35 * scaled_area + 2 * np.sqrt(scaled_area), (left, top)
            assert (
                0 <= crop.left <= crop.scaled_width - size.width and 0 <= crop.top <= crop.scaled_height - size.height
            )


def test_a_foreground_in_the_middle_changes_nothing() -> None:
    middle = center_crop(WIDTH, HEIGHT, SQUARE)
    assert choose_crop(WIDTH, HEIGHT, SQUARE, Box(0.3, 0, 0.6, 1)) == middle
    assert choose_crop(WIDTH, HEIGHT, SQUARE, None) == middle
    assert center_crop(64, 64, SQUARE).follows == "whole"


def test_specks_do_not_move_the_window() -> None:
    mask = np.zeros((1, HEIGHT, WIDTH), bool)
    mask[0, 20:50, 45:80] = True
    mask[0, 0, 0] = True
    assert choose_crop(WIDTH, HEIGHT, SQUARE, foreground_box(mask)) == center_crop(WIDTH, HEIGHT, SQUARE)
    assert foreground_box(mask[:, :0]) is None


def test_a_larger_foreground_is_refused_or_letterboxed() -> None:
    box = Box(0.1, 0.4, 0.9, 0.6)
    with pytest.raises(ForegroundTooLarge):
        choose_crop(WIDTH, HEIGHT, SQUARE, box)
    crop = choose_crop(WIDTH, HEIGHT, SQUARE, box, letterbox=True)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[29:43, 13:115] = True
    cut = crop_picture(mask, crop, SQUARE.shape)
    assert np.ptp(np.nonzero(cut.any(axis=0))[0]) >= 30 and not cut[:2].any()
    assert crop.top < 0, "bars above and below"
    whole = fit_whole(WIDTH, HEIGHT, SQUARE)
    bars = crop_picture(np.full((HEIGHT, WIDTH, 3), 255, np.uint8), whole, SQUARE.shape)
    assert (whole.scaled_width, whole.scaled_height) == (32, 18) and not bars[:7].any() and (bars[7:25] == 255).all()


def test_a_crop_survives_a_table() -> None:
    crop = Crop(57, 32, 3, 0, "masks")
    assert Crop.from_row(crop.to_row()) == crop
    assert crop.describe(WIDTH, HEIGHT, SQUARE) == {"left": 7, "top": 0, "width": 72, "height": 72, "follows": "masks"}


@pytest.mark.parametrize(("place", "follows"), [((0.08, 0.2), "masks"), ((0.9, 0.8), "masks"), ((0.4, 0.6), "centre")])
@pytest.mark.parametrize("upright", [False, True])
def test_masks_say_where_the_window_is(tmp_path: Path, place: tuple[float, float], follows: str, upright: bool) -> None:
    _ball_clip(tmp_path / "in" / "ball.mp4", *place, True, *((WIDTH, HEIGHT) if upright else (HEIGHT, WIDTH)))
    catalogue = _ingest(tmp_path / "in")
    row, frames = catalogue.row("ball"), catalogue.frames("ball")
    sequence = load_clip_masks(tmp_path / "in", row)
    assert sequence is not None and row["crop_follows"] == follows
    areas = sequence.masks.sum(axis=(1, 2))
    assert areas.min() > 0.9 * areas.max(), "whole in every frame"
    assert (_is_ball(frames) & sequence.masks).sum() > 0.8 * sequence.masks.sum(), "frames and masks are cut alike"


@pytest.mark.parametrize(
    ("place", "follows"), [((0.08, 0.2), "saliency"), ((0.9, 0.8), "saliency"), ((0.4, 0.6), "centre")]
)
def test_without_masks_the_window_follows_what_moves(tmp_path: Path, place: tuple[float, float], follows: str) -> None:
    _ball_clip(tmp_path / "in" / "ball.mp4", *place, False)
    catalogue = _ingest(tmp_path / "in")
    assert catalogue.row("ball")["crop_follows"] == follows
    areas = _is_ball(catalogue.frames("ball")).sum(axis=(1, 2))
    assert areas.min() > 0.75 * areas.max(), "whole in every frame"


def test_what_does_not_fit_is_refused_or_letterboxed_or_said(tmp_path: Path) -> None:
    _ball_clip(tmp_path / "in" / "far.mp4", 0.08, 0.92, True)
    _ball_clip(tmp_path / "in" / "near.mp4", 0.4, 0.6, True)
    catalogue = _ingest(tmp_path / "in")
    assert catalogue.clips == ["near"]
    (reason,) = catalogue.quarantine["reason"]
    assert "which no 32x32 window holds; use another size, such as 192x32, or letterbox it" in reason
    catalogue = _ingest(tmp_path / "in", overflow="letterbox")
    assert catalogue.clips == ["far", "near"]
    sequence = load_clip_masks(tmp_path / "in", catalogue.row("far"))
    assert sequence is not None and sequence.masks.any(axis=(1, 2)).all()
    assert not catalogue.frames("far")[:, :2].any() and catalogue.frames("near")[:, :2].any()
    assert _ingest(tmp_path / "in", size="64x36").clips == ["far", "near"], "as wide as the footage"


def test_check_says_the_window(tmp_path: Path) -> None:
    _ball_clip(tmp_path / "in" / "ball.mp4", 0.08, 0.2, True)
    config = IngestConfig(frames=8, size=32)
    (row,) = check_clips(tmp_path / "in", config, load_footage_masks)
    assert row["size"] == "32x32"
    assert row["crop"] == {"left": 0, "top": 0, "width": 72, "height": 72, "follows": "masks"}


def test_without_anything_clear_the_middle_stays() -> None:
    maps = np.zeros((4, 9, 16), np.float32)
    assert crop_by_saliency(WIDTH, HEIGHT, SQUARE, maps) == (center_crop(WIDTH, HEIGHT, SQUARE), 1.0)
    crop, share = crop_by_saliency(WIDTH, HEIGHT, SQUARE, maps + 1)
    assert crop == center_crop(WIDTH, HEIGHT, SQUARE) and share == pytest.approx(32 / 57, abs=0.03)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch", None])
def test_masks_of_another_shape_lie_as_they_are_said_to(tmp_path: Path, fit: str | None) -> None:
    _ball_clip(tmp_path / "in" / "ball.mp4", 0.45, 0.55, True)
    folder = tmp_path / "in" / "ball.masks"
    for file in sorted(folder.glob("*.png")):
        mask = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        bars = cv2.copyMakeBorder(mask, 28, 28, 0, 0, cv2.BORDER_CONSTANT)  # a square with the picture in its middle
        other = {"crop": bars, "pad": mask[:, 28:100], "stretch": cv2.resize(mask, (72, 72)), None: bars}[fit]
        cv2.imwrite(str(file), other)
    catalogue = _ingest(tmp_path / "in", mask_fit=fit)
    if fit is None:
        (reason,) = catalogue.quarantine["reason"]
        assert "ball.masks is 128x128, the clip 128x72: another shape" in reason and "--fit" in reason
        return
    sequence = load_clip_masks(tmp_path / "in", catalogue.row("ball"))
    assert sequence is not None
    shown = _is_ball(catalogue.frames("ball"))
    assert (shown & sequence.masks).sum() > 0.75 * (shown | sequence.masks).sum()
