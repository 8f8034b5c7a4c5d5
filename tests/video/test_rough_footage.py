"""Footage as phones and editing programs write it: right, by PyAV's pictures and times, or refused in a sentence."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.masks.files import read_masks
from mvmodel.video.clip_frames import read_clip_frames
from mvmodel.video.clips import Clip, find_clips
from mvmodel.video.config import IngestConfig
from mvmodel.video.containers import UnusableClip
from mvmodel.video.decode import open_trusted_decord
from mvmodel.video.encode import write_mp4
from mvmodel.video.frames import read_frames
from mvmodel.video.manifest import parse_moment
from mvmodel.video.probe import probe_video
from mvmodel.video.sources import find_sources
from mvmodel.world.render import TRAIN, random_clip

UNEVEN = (0, 40, 80, 120, 500, 900, 1300, 1340, 1380, 1420)
"""Milliseconds at which frames of variable rate are shown: quick, slow, quick."""


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return random_clip((TRAIN, 1), frames=10, side=64, motion="zigzag").frames


def _write(
    path: Path, codec: str, pixels: str, frames: np.ndarray, given: str = "rgb24", at: tuple[int, ...] = ()
) -> Path:
    """Encode frames of the format `given`, shown at `at` milliseconds, else 8 a second."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=8)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=error:pools=1:frame-threads=1:crf=12"}
        if at:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=given)
            if at:
                picture.pts, picture.time_base = at[index], Fraction(1, 1000)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return path


def _shown(path: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """A file's pictures, times and pixel format as PyAV has them."""
    with av.open(str(path)) as file:
        seen = list(file.decode(video=0))
        pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in seen])
        return pictures, np.array([frame.time - seen[0].time for frame in seen]), seen[0].format.name


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean difference in grey levels, frame by frame."""
    difference: np.ndarray = np.abs(a.astype(int) - b).mean(axis=(1, 2, 3))
    return difference


def _check(path: Path, truth: np.ndarray, loss: float) -> None:
    """Frames are PyAV's (decord may round colours otherwise), in order, and what was written but for `loss`."""
    expected, times, pixels = _shown(path)
    info, got = probe_video(path), read_frames(path)
    assert (info.frames, info.height, info.width) == expected.shape[:3] == truth.shape[:3]
    assert info.pixels == pixels
    assert np.allclose(info.times, times, atol=2e-3)
    assert _apart(got, expected).max() < 2
    assert _apart(got, truth).max() < loss
    nearest = [int(_apart(truth, frame[None]).argmin()) for frame in got]
    assert nearest == list(range(len(truth))), "no frame is another one's"


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.mp4", "libx264", "yuv444p"), ("a.webm", "libvpx-vp9", "yuv420p")]
    + [("a.avi", "mpeg4", "yuv420p"), ("a.mov", "mjpeg", "yuvj420p"), ("a.mkv", "ffv1", "yuv420p")],
)
def test_odd_sizes(tmp_path: Path, frames: np.ndarray, name: str, codec: str, pixels: str) -> None:
    odd = frames[:, :61, :47]
    _check(_write(tmp_path / name, codec, pixels, odd), odd, 15)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.mp4", "libx264", "yuv420p10le"), ("a.mp4", "libx265", "yuv420p10le"), ("a.mov", "prores_ks", "yuv422p10le")]
    + [("a.mkv", "ffv1", "yuv420p10le"), ("a.mp4", "libx264", "yuv422p"), ("a.mp4", "libx264", "yuvj420p")],
)
def test_ten_bit_and_other_pixel_formats(
    tmp_path: Path, frames: np.ndarray, name: str, codec: str, pixels: str
) -> None:
    path = _write(tmp_path / name, codec, pixels, frames)
    if "10" in pixels:
        assert open_trusted_decord(path, probe_video(path)) is None, "decord is off by some grey levels in 10 bit"
    _check(path, frames, 6)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.webm", "libvpx-vp9", "yuva420p"), ("a.mov", "prores_ks", "yuva444p10le")]
    + [("a.mov", "qtrle", "argb"), ("a.mov", "png", "rgba")],
)
def test_transparent_parts_are_composed_on_grey(
    tmp_path: Path, frames: np.ndarray, name: str, codec: str, pixels: str
) -> None:
    """FFmpeg's own decoder of VP9 leaves the alpha out, so that transparent pixels show their hidden colours."""
    alpha = np.full((*frames.shape[:3], 1), 255, np.uint8)
    alpha[:, :32] = 0
    path = _write(tmp_path / name, codec, pixels, np.concatenate([frames, alpha], axis=3), given="rgba")
    info, got = probe_video(path), read_frames(path)
    assert info.alpha and "mid grey (128)" in info.note
    assert np.abs(got[:, :30].astype(int) - 128).max() <= 3
    assert _apart(got[:, 34:], frames[:, 34:]).max() < 6
    masks = read_masks(path)
    assert masks.masks[:, 33:].all() and not masks.masks[:, :31].any()


def test_a_video_whose_alpha_is_opaque_is_not_touched(tmp_path: Path, frames: np.ndarray) -> None:
    opaque = np.concatenate([frames, np.full((*frames.shape[:3], 1), 255, np.uint8)], axis=3)
    path = _write(tmp_path / "a.mov", "qtrle", "argb", opaque, given="rgba")
    assert not probe_video(path).alpha and probe_video(path).note == ""
    _check(path, frames, 1)


@pytest.mark.parametrize(
    ("codec", "pixels", "depth"), [("ffv1", "gray", 8), ("png", "gray", 8), ("ffv1", "gray16le", 16)]
)
def test_grey(tmp_path: Path, frames: np.ndarray, codec: str, pixels: str, depth: int) -> None:
    grey = (frames @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)
    given = grey.astype(np.uint16) * 257 if depth == 16 else grey
    path = _write(tmp_path / ("a.mov" if codec == "png" else "a.mkv"), codec, pixels, given, given=pixels)
    _check(path, grey[..., None].repeat(3, axis=3), 1)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("a.mov", "mpeg4")]
)
def test_a_variable_rate_keeps_its_times(tmp_path: Path, frames: np.ndarray, name: str, codec: str) -> None:
    path = _write(tmp_path / name, codec, "yuv420p", frames, at=UNEVEN)
    _check(path, frames, 15)
    assert np.allclose(probe_video(path).times, np.array(UNEVEN) / 1000, atol=2e-3)


def test_a_clip_of_variable_rate_is_sampled_evenly_in_time(tmp_path: Path, frames: np.ndarray) -> None:
    _write(tmp_path / "a.mkv", "ffv1", "yuv420p", frames, at=UNEVEN)
    (source,), _ = find_sources(tmp_path / "a.mkv")
    config = IngestConfig(frames=8, size=64, tempo="whole", min_side=8)
    (clip,) = find_clips(source, config)
    assert isinstance(clip, Clip)
    wanted = np.linspace(0, UNEVEN[-1], 8)
    nearest = np.abs(np.array(UNEVEN)[None] - wanted[:, None]).argmin(axis=1)
    assert clip.indices.tolist() == nearest.tolist()
    assert nearest.tolist() != np.linspace(0, 9, 8).round().astype(int).tolist(), "frame numbers would not do"
    assert _apart(read_clip_frames(source, clip, config)[1], frames[nearest]).max() < 6


def test_a_time_in_the_manifest_means_that_time(tmp_path: Path, frames: np.ndarray) -> None:
    """Counted at the mean rate, half a second would be frame 3, which is shown at 0.12 s."""
    _write(tmp_path / "a.mkv", "ffv1", "yuv420p", frames, at=UNEVEN)
    (tmp_path / "manifest.csv").write_text("file,caption,motion,start,end\na.mkv,a dog,zigzag,0.5s,1.38s\n")
    (source,), _ = find_sources(tmp_path)
    (clip,) = find_clips(source, IngestConfig(frames=4, size=64))
    assert isinstance(clip, Clip), clip
    assert (clip.start, clip.end) == (4, 8)


def test_moments() -> None:
    times = tuple(value / 1000 for value in UNEVEN)
    texts = ("", "7", "0s", "0.29s", "0.32s", "0:01.3", "1.42s", "9s")
    assert [parse_moment(text, 8, times) for text in texts] == [None, 7, 0, 3, 4, 6, 9, 9 + round((9 - 1.42) * 8)]
    assert [parse_moment(text, 8) for text in ("2.5s", "1:02.5", "1:00:00")] == [20, 500, 28800]
    with pytest.raises(InputError, match="neither a frame number"):
        parse_moment("soon", 8)


def _with_matrix(path: Path, frames: np.ndarray, a: float, b: float, c: float, d: float) -> Path:
    """A file whose display matrix takes x, y to a x + c y, b x + d y; the matrix stands in its track header."""
    data = write_mp4(path, frames, 8).read_bytes()
    at = data.index(b"tkhd") + 4 + 40  # after the fields of version 0
    values = [round(value * (1 << 16)) for value in (a, b, 0, c, d, 0, 0, 0)] + [1 << 30]
    matrix = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(data[:at] + matrix + data[at + 36 :])
    return path


@pytest.mark.parametrize(
    ("matrix", "turns"), [((1, 0, 0, 1), 0), ((0, 1, -1, 0), 1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 3)]
)
def test_a_picture_is_turned_as_its_header_says(
    tmp_path: Path, frames: np.ndarray, matrix: tuple[int, ...], turns: int
) -> None:
    wide = frames[:, :32]
    path = _with_matrix(tmp_path / "a.mp4", wide, *matrix)
    upright = np.rot90(wide, -turns, axes=(1, 2))
    info = probe_video(path)
    assert (info.rotation, info.height, info.width) == (90 * turns, *upright.shape[1:3])
    assert _apart(read_frames(path), upright).max() < 6
    if turns:
        assert _apart(read_frames(path), np.rot90(upright, 2, axes=(1, 2))).min() > 6, "the test can tell"


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        ((-1, 0, 0, 1), "mirrors"),
        ((1, 0, 0, -1), "mirrors"),
        ((0, 1, 1, 0), "mirrors"),
        ((0.6, 0.8, -0.8, 0.6), "turns"),
    ],
)
def test_other_display_matrices_are_refused(
    tmp_path: Path, frames: np.ndarray, matrix: tuple[float, ...], reason: str
) -> None:
    with pytest.raises(UnusableClip, match=rf"display matrix {reason} the picture.*ffmpeg -i a\.mp4"):
        probe_video(_with_matrix(tmp_path / "a.mp4", frames, *matrix))


def test_a_matrix_without_an_inverse_is_no_rotation(tmp_path: Path, frames: np.ndarray) -> None:
    path = _with_matrix(tmp_path / "a.mp4", frames, 0, 0, 0, 0)
    assert probe_video(path).rotation == 0
    assert _apart(read_frames(path), frames).max() < 6


def test_a_size_that_changes_on_the_way_is_brought_to_the_first(tmp_path: Path, frames: np.ndarray) -> None:
    """Two H.264 streams one after the other, as an interrupted transmission leaves them."""
    parts = [frames[:5], frames[5:, :32, :32]]
    data = b"".join(
        _write(tmp_path / f"{n}.h264", "libx264", "yuv420p", part).read_bytes() for n, part in enumerate(parts)
    )
    path = tmp_path / "both.h264"
    path.write_bytes(data)
    got = read_frames(path)
    assert got.shape == frames.shape
    assert _apart(got[:5], frames[:5]).max() < 6
    assert _apart(got[5:, ::2, ::2], frames[5:, :32, :32]).max() < 12
