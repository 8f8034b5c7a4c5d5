"""Pictures for the documentation: contact sheets before and after, and the README's moving picture.

`python -m benchmarks pictures` makes the videos of a table of requests with the pack's start adapter, or with
`--adapter`, once without any option for later frames and once with the pack's defaults or `--setting`. It writes
`later_frames.jpg`, with the masks, the video before and the video after of every request in three rows, and
`videos.webp`, which plays every mask sequence beside its video.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.later_frames_settings import NEUTRAL, SETTINGS
from benchmarks.workers import load_pack_once
from mvmodel.video.contact_sheet import mask_to_picture

MAX_BYTES = 2_000_000
"""Largest size of the moving picture."""
QUALITIES = (90, 80, 70, 60)
"""Of WebP, the first that fits."""
GAP = 6
"""Pixels between pictures."""
PAPER = 255


def generate_pairs(pack: str, adapter: Path | None, requests: Path, names: Sequence[str], setting: str | None) -> Any:
    """(masks, frames before, frames after) of every request, (F, H, W) and twice uint8 (F, H, W, 3)."""
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.load import load_backend
    from mvmodel.experiments.tasks import load_task
    from mvmodel.generation.request_table import read_requests
    from mvmodel.generation.requests import generate_video
    from mvmodel.masks import MaskSequence

    models = load_pack_once(pack)
    backend, folder = load_backend(models), adapter or models.start_adapter()
    config = GenerationConfig().for_pack(models.info)
    before = config.model_copy(update={**NEUTRAL, "first_frame_latents": False})
    after = config if setting is None else config.model_copy(update={**SETTINGS[setting], "camera": (0.0, 0.0)})
    videos = []
    for request in read_requests(requests):
        if names and request.name not in names:
            continue
        task = load_task(request, models)
        masks = MaskSequence(task.masks, task.fps)
        pictures, latents = backend.first_frames_with_latents([task.prompt], task.masks[:1], [task.seed], config)
        pair = []
        for chosen in (before, after):
            first = {"first_latents": latents[0]} if chosen.first_frame_latents else {}
            pair.append(generate_video(backend, folder, task.prompt, masks, pictures[0], chosen, task.seed, **first))
        videos.append((task.masks, *pair))
    return videos


def draw_sheet(videos: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], scale: float = 0.75) -> np.ndarray:
    """Every video as rows of masks, before and after, with a gap below, uint8 (H, W, 3)."""
    import cv2

    blocks = []
    for masks, before, after in videos:
        white = mask_to_picture(masks)
        rows = [np.concatenate(list(frames), axis=1) for frames in (white, before, after)]
        block = np.concatenate(rows, axis=0)
        size = (round(block.shape[1] * scale), round(block.shape[0] * scale))
        block = cv2.resize(block, size, interpolation=cv2.INTER_AREA)
        blocks += [block, np.full((GAP, block.shape[1], 3), PAPER, np.uint8)]
    return np.concatenate(blocks[:-1])


def draw_wall(videos: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], columns: int = 3) -> np.ndarray:
    """Every mask sequence beside its video, `columns` pairs a row, uint8 (F, H, W, 3)."""
    frames, height = len(videos[0][0]), videos[0][0].shape[1]
    rows = []
    for start in range(0, len(videos), columns):
        cells: list[np.ndarray] = []
        for masks, _, after in videos[start : start + columns]:
            white = mask_to_picture(masks)
            cells += [white, after, np.full((frames, height, GAP, 3), PAPER, np.uint8)]
        row = np.concatenate(cells[:-1], axis=2)
        rows += [row, np.full((frames, GAP, row.shape[2], 3), PAPER, np.uint8)]
    width = max(row.shape[2] for row in rows)
    padded = [
        np.pad(row, ((0, 0), (0, 0), (0, width - row.shape[2]), (0, 0)), constant_values=PAPER) for row in rows[:-1]
    ]
    return np.concatenate(padded, axis=1)


def write_animation(file: Path, frames: np.ndarray, fps: float, max_bytes: int = MAX_BYTES) -> Path:
    """An endless WebP of at most `max_bytes`, in the best quality that fits; frames: uint8 (F, H, W, 3).

    Raises ValueError if the lowest quality is still too large.
    """
    from PIL import Image

    from mvmodel.files import atomic_write

    pictures = [Image.fromarray(frame) for frame in frames]
    for quality in QUALITIES:
        with atomic_write(file) as temporary:
            options = {"duration": round(1000 / fps), "loop": 0, "quality": quality, "method": 6}
            pictures[0].save(temporary, "WEBP", save_all=True, append_images=pictures[1:], **options)
        if file.stat().st_size <= max_bytes:
            return file
    raise ValueError(f"{file} has {file.stat().st_size} bytes, more than {max_bytes}; take fewer or smaller videos")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks pictures", description=__doc__)
    parser.add_argument("--pack", default="tiny")
    parser.add_argument("--adapter", type=Path, help="folder of an adapter; default: the pack's start adapter")
    parser.add_argument("--requests", type=Path, default=Path("datasets/prompts/requests.csv"))
    parser.add_argument("--only", nargs="+", default=[], help="names of requests")
    parser.add_argument("--setting", choices=list(SETTINGS), metavar="SETTING", help="default: the pack's defaults")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args(arguments)
    from PIL import Image

    videos = generate_pairs(options.pack, options.adapter, options.requests, options.only, options.setting)
    options.out.mkdir(parents=True, exist_ok=True)
    sheet = options.out / "later_frames.jpg"
    Image.fromarray(draw_sheet(videos[:6])).save(sheet, quality=88)
    wall = write_animation(options.out / "videos.webp", draw_wall(videos), load_pack_once(options.pack).info.fps)
    print(f"{sheet}, {wall}")


if __name__ == "__main__":
    main()
