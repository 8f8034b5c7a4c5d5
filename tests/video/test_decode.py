"""Decoding: shapes, rotation, damage, limits; decord and PyAV must give the same pictures."""

from pathlib import Path

import av
import numpy as np
import pytest

from mvmodel.video.config import DecodeLimits
from mvmodel.video.containers import UnusableClip
from mvmodel.video.corrupt_frames import are_intact
from mvmodel.video.decode import decode_video, iterate_pyav, open_trusted_decord
from mvmodel.video.encode import write_mp4, write_png_folder
from mvmodel.video.probe import probe_video
from mvmodel.world.render import TRAIN, random_clip


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return random_clip((TRAIN, 1), frames=10, side=64, motion="zigzag").frames


def _encode(path: Path, frames: np.ndarray, codec: str, **options: object) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=8)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = str(options.pop("pix_fmt", "yuv420p"))
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))
    return path


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def test_a_written_clip_comes_back(tmp_path: Path, frames: np.ndarray) -> None:
    path = write_mp4(tmp_path / "a.mp4", frames, 8)
    info = probe_video(path)
    assert (info.frames, info.fps, info.width, info.height, info.codec) == (10, 8.0, 64, 64, "h264")
    decoded = decode_video(path)
    assert decoded.frames.shape == frames.shape
    assert _distance(decoded.frames, frames) < 4
    assert path.read_bytes() == write_mp4(tmp_path / "b.mp4", frames, 8).read_bytes()


def test_decord_and_pyav_agree(tmp_path: Path, frames: np.ndarray) -> None:
    path = write_mp4(tmp_path / "a.mp4", frames, 8)
    assert open_trusted_decord(path, probe_video(path)) is not None, "decord should be trusted with a plain H.264 file"
    through_pyav = np.stack([frame for _, frame in iterate_pyav(path, probe_video(path), range(10))])
    assert _distance(decode_video(path).frames, through_pyav) < 1.5


def test_odd_sizes_keep_their_picture(tmp_path: Path, frames: np.ndarray) -> None:
    path = write_mp4(tmp_path / "odd.mp4", frames[:, :61, :47], 8)
    assert decode_video(path).frames.shape == (10, 62, 48, 3)


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), [("a.gif", "gif", "rgb8"), ("a.webm", "libvpx-vp9", "yuv420p")])
def test_other_codecs(tmp_path: Path, frames: np.ndarray, name: str, codec: str, pix_fmt: str) -> None:
    path = _encode(tmp_path / name, frames, codec, pix_fmt=pix_fmt)
    decoded = decode_video(path)
    assert decoded.frames.shape == frames.shape
    assert _distance(decoded.frames, frames) < 25  # a GIF of 256 fixed colours is coarse


def test_tiny_pictures_have_the_right_shape(tmp_path: Path, frames: np.ndarray) -> None:
    """decord gives (2, 2, 48) for these without a complaint."""
    path = write_mp4(tmp_path / "tiny.mp4", frames[:, :2, :2], 8)
    assert decode_video(path).frames.shape == (10, 2, 2, 3)


def test_rotation_is_applied(tmp_path: Path, frames: np.ndarray) -> None:
    wide = frames[:, :32]
    path = write_mp4(tmp_path / "a.mp4", wide, 8)
    data = path.read_bytes()
    # The display matrix stands in the track header, after 40 bytes of version 0 fields: 9 fixed-point numbers.
    at = data.index(b"tkhd") + 4 + 40
    one, zero = (1 << 16).to_bytes(4, "big"), bytes(4)
    minus = (-(1 << 16) & 0xFFFFFFFF).to_bytes(4, "big")
    clockwise = zero + one + zero + minus + zero + zero + zero + zero + (1 << 30).to_bytes(4, "big")
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(data[:at] + clockwise + data[at + 36 :])
    info = probe_video(turned)
    assert (info.rotation, info.width, info.height) == (90, 32, 64)
    assert _distance(decode_video(turned).frames, np.rot90(wide, -1, axes=(1, 2))) < 6


def test_a_cut_off_file_says_how_much_is_left(tmp_path: Path, frames: np.ndarray) -> None:
    data = write_mp4(tmp_path / "a.mp4", frames, 8).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 7 // 10])
    with pytest.raises(UnusableClip, match=r"only \d+ of 10 frames can be decoded"):
        decode_video(cut)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "zero bytes"), (b"just a text\n" * 20, "not a video"), (b"#EXTM3U\n", "not a video")]
)
def test_what_is_no_video(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(UnusableClip, match=reason):
        probe_video(path)


def test_a_name_that_looks_like_an_option_or_an_address(tmp_path: Path, frames: np.ndarray) -> None:
    for name in ("-vf.mp4", "concat:a|b.mp4", "smörgås 100%.mp4"):
        path = write_mp4(tmp_path / name, frames, 8)
        assert decode_video(path).frames.shape == frames.shape


def test_a_range_and_its_limits(tmp_path: Path, frames: np.ndarray) -> None:
    path = write_mp4(tmp_path / "a.mp4", frames, 8)
    all_frames = decode_video(path).frames
    assert np.array_equal(decode_video(path, 3, 7).frames, all_frames[3:7])
    with pytest.raises(UnusableClip, match="has 10 frames"):
        decode_video(path, 10, 12)
    with pytest.raises(UnusableClip, match="limit of 1,000 pixels"):
        decode_video(path, limits=DecodeLimits(pixels=1000))
    with pytest.raises(UnusableClip, match="give start and end frames"):
        decode_video(path, limits=DecodeLimits(bytes=5000))


def test_a_folder_of_frames_in_natural_order(tmp_path: Path, frames: np.ndarray) -> None:
    from PIL import Image

    for index in range(10):
        Image.fromarray(frames[index]).save(tmp_path / f"frame_{index + 1}.png")
    assert np.array_equal(decode_video(tmp_path).frames, frames)
    Image.fromarray(frames[0, :10]).save(tmp_path / "frame_11.png")
    with pytest.raises(UnusableClip, match=r"frame_11\.png is 64x10"):
        decode_video(tmp_path)


def test_png_folder_round_trip(tmp_path: Path, frames: np.ndarray) -> None:
    assert np.array_equal(decode_video(write_png_folder(tmp_path / "p", frames)).frames, frames)


def test_pictures_that_the_decoder_marks_as_corrupt_are_refused(tmp_path: Path) -> None:
    """Damage in the middle of H.264 is filled in with what was there before, and marked."""
    noise = np.random.default_rng(0).integers(0, 255, (10, 64, 64, 3), dtype=np.uint8)
    content = np.frombuffer(write_mp4(tmp_path / "a.mp4", noise, 8).read_bytes(), np.uint8)
    path = tmp_path / "damaged.mp4"
    for seed in range(20):
        damaged = content.copy()
        rng = np.random.default_rng(seed)
        places = rng.integers(len(content) // 3, 2 * len(content) // 3, 8)
        damaged[places] ^= 255
        path.write_bytes(damaged.tobytes())
        if marks := _read_marks(path):
            break
    assert any(marks) and not marks[0]
    with pytest.raises(UnusableClip, match=r"marks the picture at \d\.\d\d s as corrupt; export it again"):
        decode_video(path)
    intact = marks.index(True)
    assert len(decode_video(path, end=intact).frames) == intact, "the part before is as it was"


def test_a_corrupt_picture_in_the_middle_of_a_long_file_is_refused(tmp_path: Path) -> None:
    """Of a few frames that are far apart nothing between them is decoded, and yet damage is seen."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 32, 32, 3), dtype=np.uint8)
    path = write_mp4(tmp_path / "long.mp4", np.tile(noise, (10, 1, 1, 1)), 8)
    info, content = probe_video(path), bytearray(path.read_bytes())
    indices = [0, 350, 351, 352, 390]
    assert are_intact(path, info, indices) and len(decode_video(path, 350, 353).frames) == 3
    with av.open(str(path)) as file:  # damage in the data of the frames from 330 on
        packets = [packet for packet in file.demux(video=0) if packet.pos is not None and packet.size]
    for packet in packets[330:345]:
        middle = packet.pos + packet.size // 2
        content[middle : middle + 8] = bytes(byte ^ 255 for byte in content[middle : middle + 8])
    path.write_bytes(content)
    marks = _read_marks(path, 400)
    wanted = marks.index(True)
    assert wanted > 301, "it is far enough from the beginning to be looked for"
    assert not are_intact(path, info, [0, wanted]) and are_intact(path, info, [0, 320])
    with pytest.raises(UnusableClip, match="as corrupt; export it again"):
        decode_video(path, wanted, wanted + 1)
    assert len(decode_video(path, 320, 321).frames) == 1


def _read_marks(path: Path, frames: int = 10) -> list[bool]:
    """Whether PyAV marks each picture as corrupt; nothing for a file that it does not decode to the end."""
    try:
        with av.open(str(path)) as file:
            marks = [frame.is_corrupt for frame in file.decode(video=0)]
    except av.error.FFmpegError:
        return []
    return marks if any(marks) and len(marks) == frames else []
