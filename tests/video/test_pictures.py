"""One reader for pictures: EXIF orientation, more than 8 bits, alpha, animations, OpenEXR."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from mvmodel.masks.files import read_masks
from mvmodel.video.frames import read_frames
from mvmodel.video.pictures import ALPHA_BACKGROUND, read_picture, read_rgb
from mvmodel.video.probe import probe_video

RAMP = np.tile(np.linspace(20, 220, 32).round().astype(np.uint8), (24, 1))
FRAMES = np.stack([np.stack([np.roll(RAMP, 2 * t + c, axis=1) for c in (0, 3, 9)], axis=2) for t in range(8)])


def write_folder(folder: Path, pictures: np.ndarray, suffix: str) -> Path:
    """A folder of pictures that OpenCV writes, RGB or grey."""
    folder.mkdir()
    for number, picture in enumerate(pictures):
        stored = picture[..., ::-1] if picture.ndim == 3 else picture
        assert cv2.imwrite(str(folder / f"{number:03d}{suffix}"), stored)
    return folder


def write_openexr(path: Path, values: np.ndarray) -> None:
    """A float32 picture in linear light, RGB or grey, as OpenEXR."""
    context = av.CodecContext.create("exr", "w")
    context.height, context.width = values.shape[:2]
    context.pix_fmt = "grayf32le" if values.ndim == 2 else "gbrpf32le"
    context.time_base = Fraction(1, 8)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(values, np.float32), format=context.pix_fmt)
    frame.pts = 0
    path.write_bytes(b"".join(bytes(packet) for packet in context.encode(frame) + context.encode(None)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("depth", [8, 16])
def test_pictures_are_turned_as_exif_says(tmp_path: Path, orientation: int, depth: int) -> None:
    stored = FRAMES[0] if depth == 8 else RAMP.astype(np.uint16) * 257
    picture = Image.fromarray(stored)
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "a.png", exif=exif)
    turned = {1: stored, 3: np.rot90(stored, 2), 6: np.rot90(stored, -1), 8: np.rot90(stored, 1)}
    flipped = np.fliplr(stored)
    turned |= {2: flipped, 4: np.flipud(stored), 5: np.rot90(flipped, 1), 7: np.rot90(flipped, -1)}
    assert np.array_equal(read_picture(tmp_path / "a.png").values, turned[orientation])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("colours", [FRAMES, FRAMES[..., 0]], ids=["colour", "grey"])
def test_sixteen_bits_keep_their_values(tmp_path: Path, suffix: str, colours: np.ndarray) -> None:
    expected = colours if colours.ndim == 4 else np.repeat(colours[..., None], 3, axis=3)
    full = write_folder(tmp_path / "full", colours.astype(np.uint16) * 257, suffix)
    assert np.array_equal(read_frames(full), expected)
    assert "from 0 (black) to 65535 (white)" in probe_video(full).note
    twelve_bits = write_folder(tmp_path / "twelve", colours.astype(np.uint16) * 16, suffix)
    assert np.abs(read_frames(twelve_bits).astype(int) - expected).max() <= 1
    assert "4095 (white)" in probe_video(twelve_bits).note


def test_a_narrow_range_is_stretched_alike_in_all_frames(tmp_path: Path) -> None:
    """As a thermal camera writes it: 16-bit values that differ by a few hundred."""
    thermal = 30000 + FRAMES[..., 0].astype(np.uint16)
    thermal[3] = 30120
    folder = write_folder(tmp_path / "thermal", thermal, ".png")
    frames = read_frames(folder)
    assert np.ptp(frames[0]) > 250 and frames[3].std() == 0 and 100 < frames[3].mean() < 155
    assert "percentiles" in probe_video(folder).note


@pytest.mark.parametrize("scale", [1 / 255, 1.0])
@pytest.mark.parametrize("colours", [FRAMES, FRAMES[..., 0]], ids=["colour", "grey"])
def test_float_tiffs_keep_their_values(tmp_path: Path, scale: float, colours: np.ndarray) -> None:
    expected = colours if colours.ndim == 4 else np.repeat(colours[..., None], 3, axis=3)
    folder = write_folder(tmp_path / "float", (colours * scale).astype(np.float32), ".tif")
    assert np.abs(read_frames(folder).astype(int) - expected).max() <= 1
    assert "float pictures" in probe_video(folder).note


def test_openexr_is_shown_with_the_curve_of_srgb(tmp_path: Path) -> None:
    (tmp_path / "exr").mkdir()
    (tmp_path / "masks").mkdir()
    for number, frame in enumerate(FRAMES):
        share = frame / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        write_openexr(tmp_path / "exr" / f"{number}.exr", linear)
        write_openexr(tmp_path / "masks" / f"{number}.exr", (frame[..., 0] > 160).astype(np.float32))
    assert np.abs(read_frames(tmp_path / "exr").astype(int) - FRAMES).max() <= 1
    assert "sRGB" in probe_video(tmp_path / "exr").note
    assert np.array_equal(read_masks(tmp_path / "masks").masks, FRAMES[..., 0] > 160)


def test_transparent_parts_of_frames_are_grey(tmp_path: Path) -> None:
    alpha = np.zeros((24, 32, 1), np.uint8)
    alpha[4:20, 8:24] = 255
    for number, frame in enumerate(FRAMES):
        Image.fromarray(np.concatenate([frame, alpha], axis=2)).save(tmp_path / f"{number}.png")
    frames, info = read_frames(tmp_path), probe_video(tmp_path)
    assert info.alpha and "mid grey (128)" in info.note
    assert (frames[:, :4] == ALPHA_BACKGROUND).all()
    assert np.array_equal(frames[:, 4:20, 8:24], FRAMES[:, 4:20, 8:24])
    assert np.array_equal(read_rgb(tmp_path / "0.png"), frames[0])
    opaque = tmp_path / "opaque"
    opaque.mkdir()
    for number, frame in enumerate(FRAMES):
        Image.fromarray(frame).convert("RGBA").save(opaque / f"{number}.png")
    assert np.array_equal(read_frames(opaque), FRAMES) and probe_video(opaque).note == ""


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.gif", "a.tif"])
def test_animated_pictures_are_clips_with_their_times(tmp_path: Path, name: str) -> None:
    pictures = [Image.fromarray(frame) for frame in FRAMES]
    delays = [480] + [60] * 7
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=delays, lossless=True)
    info, frames = probe_video(tmp_path / name), read_frames(tmp_path / name)
    if name == "a.tif":
        assert np.array_equal(frames, FRAMES) and info.fps == 24
        return
    assert info.frames == len(frames) == 15 and info.duration_s == pytest.approx(0.9, abs=0.01)
    tolerance = 3 if name == "a.gif" else 0
    assert np.abs(frames.astype(int) - FRAMES[[0] * 7 + list(range(8))]).max() <= tolerance


def test_the_still_picture_of_an_apng_is_no_frame(tmp_path: Path) -> None:
    pictures = [Image.fromarray(frame) for frame in FRAMES]
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:], duration=100, default_image=True)
    assert np.array_equal(read_frames(tmp_path / "a.png"), FRAMES[1:])
