"""`python -m benchmarks fuzz`: damaged files end in clips or in the quarantine; nothing crashes, hangs or is wrong.

Every file is a sample (a clip, an animated picture, masks of every kind) with a seeded mutation. A clip that comes of a
mutated video is decoded again by PyAV in a process of its own, and its frames have to be the same.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.machine import describe_machine, publish_report
from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.files import read_masks, write_masks
from mvmodel.video.clip_frames import read_clip_frames
from mvmodel.video.clips import Clip, find_clips
from mvmodel.video.config import DecodeLimits, IngestConfig
from mvmodel.video.containers import UnusableClip
from mvmodel.video.decode import decode_video, iterate_pyav
from mvmodel.video.encode import write_mp4
from mvmodel.video.guard import run_guarded
from mvmodel.video.probe import probe_video
from mvmodel.video.sources import VideoSource

SAMPLES = Path(__file__).resolve().parents[1] / "datasets" / "samples"
LIMITS = DecodeLimits(timeout_s=20, memory_mb=1024)
CONFIG = IngestConfig(limits=LIMITS)
_MAX_BYTES = 200_000
"""Larger files are left out, so that thousands can be read."""
_GUARD_WORDS = {"crashed": "crash", "hangs": "hang", "memory": "memory", "it cannot be read (": "unexpected error"}
"""Words of the guard's reasons -> what they are counted as. All of them are rows of the quarantine."""

Mutation = Callable[[bytes, np.random.Generator], bytes]


def flip_bits(content: bytes, rng: np.random.Generator) -> bytes:
    """Changes 1 to 64 bits."""
    data = np.frombuffer(content, np.uint8).copy()
    places = rng.integers(0, len(data), rng.integers(1, 65))
    data[places] ^= (1 << rng.integers(0, 8, len(places))).astype(np.uint8)
    return data.tobytes()


def truncate(content: bytes, rng: np.random.Generator) -> bytes:
    """Keeps the beginning."""
    return content[: int(rng.integers(0, len(content)))]


def splice(content: bytes, rng: np.random.Generator) -> bytes:
    """Copies a part of the file over another part."""
    data = bytearray(content)
    length = int(rng.integers(1, max(2, len(data) // 4)))
    source, target = (int(place) for place in rng.integers(0, len(data), 2))
    part = data[source : source + length]
    data[target : target + len(part)] = part
    return bytes(data)


def change_header(content: bytes, rng: np.random.Generator) -> bytes:
    """Writes extreme numbers into fields of the first or the last 512 bytes, where headers are."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        place = int(rng.integers(0, min(512, len(data))))
        place = place if rng.random() < 0.5 else max(0, len(data) - 1 - place)
        value = rng.choice([b"\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01", b"\x80"])
        data[place : place + len(value)] = value
    return bytes(data)


def zero_block(content: bytes, rng: np.random.Generator) -> bytes:
    """Fills a part with zeros, as a copy that was interrupted does."""
    data = bytearray(content)
    start = int(rng.integers(0, len(data)))
    length = min(int(rng.integers(1, 4097)), len(data) - start)
    data[start : start + length] = bytes(length)
    return bytes(data)


def concatenate(content: bytes, rng: np.random.Generator) -> bytes:
    """Appends the file, or a part of it, to itself."""
    return content + content[int(rng.integers(0, len(content))) :]


def keep_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Changes nothing: the file gets another suffix."""
    return content


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, truncate, splice, change_header, zero_block, concatenate, keep_bytes,
)  # fmt: skip


def list_seeds(folder: Path, clips: Path | None) -> list[Path]:
    """The files that are mutated: masks and animated pictures of every kind, written to `folder`, and clips."""
    masks = np.zeros((8, 48, 64), bool)
    for frame in range(8):
        masks[frame, 12:30, 6 + 4 * frame : 20 + 4 * frame] = True
    other = np.roll(masks, 10, axis=1) & ~masks
    sequence = MaskSequence.from_instances(np.stack([masks, other]), 8.0, ("a", "b"))
    for suffix in (".npz", ".json", ".gif", ".mp4"):
        write_masks(folder / f"masks{suffix}", sequence)
    np.savez_compressed(folder / "plain.masks.npz", masks=masks)
    pictures = [Image.fromarray(mask.astype(np.uint8) * 255) for mask in masks]
    for name in ("pages.masks.tiff", "animated.masks.webp", "animated.masks.png"):
        pictures[0].save(folder / name, save_all=True, append_images=pictures[1:], duration=125)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (48, 64, 3), np.uint8)
    frames = np.stack([np.roll(noise, 2 * frame, axis=1) for frame in range(8)])
    write_mp4(folder / "clip.mp4", frames, 8)
    colours = [Image.fromarray(frame) for frame in frames]
    for name in ("clip.gif", "clip.webp", "clip.png", "clip.tiff"):
        colours[0].save(folder / name, save_all=True, append_images=colours[1:], duration=125)
    files = sorted(folder.iterdir())
    for source in filter(None, (SAMPLES, clips)):
        files += sorted(
            file
            for file in source.iterdir()
            if file.is_file() and file.suffix not in (".md", ".csv", ".txt") and 0 < file.stat().st_size <= _MAX_BYTES
        )
    return files


def mutate(seeds: list[Path], count: int, seed: int, folder: Path) -> Iterator[tuple[Path, str]]:
    """Writes one mutated file after another and yields it with the mutation's name. The file is removed afterwards."""
    suffixes = sorted({path.suffix for path in seeds if "masks" not in path.name})
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        source, mutation = seeds[number % len(seeds)], MUTATIONS[(number // len(seeds)) % len(MUTATIONS)]
        suffix = str(rng.choice(suffixes)) if mutation is keep_bytes else source.suffix
        path = folder / f"{number:05d}{'.masks' if 'masks' in source.name else ''}{suffix}"
        path.write_bytes(mutation(source.read_bytes(), rng))
        yield path, mutation.__name__
        path.unlink()


def try_file(path: Path) -> tuple[str, str]:
    """What becomes of a file: (clip, masks, quarantined, wrong or error; the reason)."""
    try:
        if ".masks" in path.name:
            read_masks(path)
            return "masks", ""
        clips = find_clips(VideoSource(path, path.name), CONFIG)
        for clip in clips:
            if isinstance(clip, Clip):
                read_clip_frames(VideoSource(path, path.name), clip, CONFIG)
        refused = [clip for clip in clips if isinstance(clip, UnusableClip)]
        if len(refused) == len(clips):
            return "quarantined", refused[0].reason
        return ("clip", "") if equals_reference(path) else ("wrong", "frames differ from the reference")
    except UnusableClip as error:
        return "quarantined", error.reason
    except InputError as error:
        return "quarantined", str(error)
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"


def equals_reference(path: Path) -> bool:
    """Whether the decoded frames are those of PyAV, read one after another in a process of its own."""
    info = probe_video(path, LIMITS)
    if info.pictures:
        return decode_video(path, limits=LIMITS, info=info).frames.shape[0] == info.frames
    frames = decode_video(path, limits=LIMITS, info=info).frames
    return bool(np.array_equal(frames, run_guarded(path, LIMITS, decode_reference, path)))


def decode_reference(path: Path) -> np.ndarray:
    """All frames of a video file by PyAV alone, uint8 RGB (frames, height, width, 3)."""
    info = probe_video(path, LIMITS)
    return np.stack([frame for _, frame in iterate_pyav(path, info, range(info.frames))])


def run_fuzz(count: int = 2000, seed: int = 0, clips: Path | None = None) -> dict[str, Any]:
    """Counts what becomes of `count` mutated files, by result, by mutation, and by what the guard caught."""
    results: Counter[str] = Counter()
    by_mutation: dict[str, Counter[str]] = {mutation.__name__: Counter() for mutation in MUTATIONS}
    guard: Counter[str] = Counter()
    problems: list[str] = []
    slowest, start = 0.0, time.perf_counter()
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        seeds = list_seeds(Path(first), clips)
        for path, mutation in mutate(seeds, count, seed, Path(second)):
            began = time.perf_counter()
            result, reason = try_file(path)
            slowest = max(slowest, time.perf_counter() - began)
            results[result] += 1
            by_mutation[mutation][result] += 1
            guard.update(name for words, name in _GUARD_WORDS.items() if words in reason)
            if result in ("wrong", "error"):
                problems.append(f"{path.name} ({mutation}): {reason}")
    return {
        "files": count,
        "seeds": len(seeds),
        "seed": seed,
        "results": dict(results),
        "guard": dict(guard),
        "mutations": {name: dict(counts) for name, counts in by_mutation.items()},
        "slowest_seconds": round(slowest, 2),
        "seconds": round(time.perf_counter() - start, 1),
        "problems": problems[:20],
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=2000, help="number of mutated files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", type=Path, help="a folder of more clips to mutate")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    options = parser.parse_args(arguments)
    figures = run_fuzz(options.files, options.seed, options.clips)
    publish_report({**figures, "on": describe_machine()}, {"fuzz": figures}, options.out, options.json)


if __name__ == "__main__":
    main()
