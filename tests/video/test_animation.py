"""Animated pictures: held frames are repeated, so that every frame is shown as long as its delay says."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvmodel.masks.files import read_masks
from mvmodel.masks.geometry import mask_iou
from mvmodel.video.animation import even_indices, gif_delays
from mvmodel.video.encode import write_png_folder

PICTURES = [Image.fromarray(np.pad(np.full((8, 8), 255, np.uint8), ((4, 20), (2 + t, 22 - t)))) for t in range(8)]
HELD = [0, 1, 2, 3, 3, 3, 3, 4, 5, 6, 7]


def test_a_gif_of_which_equal_frames_were_merged(tmp_path: Path) -> None:
    """Pillow writes 125 ms as 120 ms, and the four equal frames as one of 500 ms."""
    frames = [PICTURES[index] for index in HELD]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=125)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 8
    sequence = read_masks(tmp_path / "a.gif")
    assert np.array_equal(sequence.masks, np.stack([np.asarray(frame) > 0 for frame in frames]))
    assert sequence.fps == 8.0


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.gif"])
def test_different_delays(tmp_path: Path, name: str) -> None:
    """One second, then seven frames of 60 ms: 1.42 s in steps of about 60 ms."""
    delays = [1000] + [60] * 7
    PICTURES[0].save(tmp_path / name, save_all=True, append_images=PICTURES[1:], duration=delays, lossless=True)
    sequence = read_masks(tmp_path / name)
    assert sequence.frames == 24 and sequence.frames / sequence.fps == pytest.approx(1.42, abs=0.02)
    assert all(np.array_equal(mask, np.asarray(PICTURES[0]) > 0) for mask in sequence.masks[:16])
    assert np.array_equal(sequence.masks[-1], np.asarray(PICTURES[-1]) > 0)


def test_pages_of_a_tiff(tmp_path: Path) -> None:
    PICTURES[0].save(tmp_path / "a.tif", save_all=True, append_images=PICTURES[1:])
    sequence = read_masks(tmp_path / "a.tif")
    assert sequence.fps == 8.0
    assert np.array_equal(sequence.masks, np.stack([np.asarray(picture) > 0 for picture in PICTURES]))


def _two_objects() -> list[Image.Image]:
    pictures = []
    for number in range(6):
        indices = np.zeros((32, 32), np.uint8)
        indices[4:14, 4 + number : 14 + number], indices[18:28, 12:26] = 1, 2
        picture = Image.fromarray(indices, "P")
        picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 759)
        pictures.append(picture)
    return pictures


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.tif"])
def test_objects_by_the_palette_of_an_animation(tmp_path: Path, name: str) -> None:
    first, *others = pictures = _two_objects()
    first.save(tmp_path / name, save_all=True, append_images=others, duration=125)
    sequence = read_masks(tmp_path / name)
    assert sequence.names == ("1", "2")
    assert np.array_equal(sequence.masks, np.stack([np.asarray(picture) > 0 for picture in pictures]))


def test_a_webp_with_losses_is_one_object(tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.uint8(np.asarray(picture) > 0) * 255) for picture in _two_objects()]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], duration=125, quality=50)
    sequence = read_masks(tmp_path / "a.webp")
    assert sequence.names == ()
    assert mask_iou(sequence.masks, np.stack([np.asarray(picture) > 0 for picture in pictures])) > 0.97


def test_masks_of_the_pictures_of_a_gif_with_held_ones(tmp_path: Path) -> None:
    pictures = [picture.convert("RGB") for picture in _two_objects()]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[300] + [100] * 5)
    masks = np.stack([np.asarray(picture).any(axis=2) for picture in pictures])
    write_png_folder(tmp_path / "masks", masks)
    assert np.array_equal(
        read_masks(tmp_path / "masks", clip=tmp_path / "a.gif").masks, masks[[0, 0, 0, 1, 2, 3, 4, 5]]
    )


@pytest.mark.parametrize(
    ("delays", "count", "fps"),
    [
        ([100] * 5, 5, 10.0),
        ([30, 30, 40] * 4, 12, 30.0),
        ([120, 130] * 4, 8, 8.0),
        ([0, 0], 2, 10.0),
        ([40, 120], 4, 25.0),
    ],
)
def test_even_frames_of_delays(delays: list[float], count: int, fps: float) -> None:
    indices, rate = even_indices(delays)
    assert len(indices) == count and rate == fps
    assert set(indices) == set(range(len(delays)))


@pytest.mark.parametrize("fps", [7.5, 8.0, 12.0, 23.976, 30.0])
def test_delays_of_a_gif_add_up(fps: float) -> None:
    delays = gif_delays(101, fps)
    assert abs(sum(delays) / 100 - 101 / fps) <= 0.0051 and set(delays) <= {int(100 / fps), int(100 / fps) + 1}
