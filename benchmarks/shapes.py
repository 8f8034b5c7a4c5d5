"""How well a pack keeps its quality at sizes that it was not trained on: `python -m benchmarks shapes`.

One cell is a size and a held-out clip. The clip is rendered for the size: objects are as large in pixels as in the
pack's square, and their path fills the picture. The pack draws frame 1 by its ControlNet and the others by its start
adapter, and the video is scored against the clip's masks. The same clips go through the autoencoder alone: what a
perfect video would get. Cells are kept one by one; a stopped run resumes.
"""

from __future__ import annotations

import argparse
import json
from functools import cache
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.mask_term import FRAMES
from benchmarks.measurements import Figures, MeasurementLog
from benchmarks.workers import add_cell_options, load_pack_once, measure_missing, use_one_thread
from mvmodel.picture_size import PictureSize, parse_size_option

SIZES = ("128x128", "192x128", "128x192")
"""The tiny pack's own size first."""
TRUE_CLIPS, GENERATED = "true clips", "generated"
COLUMNS = {
    "iou": "IoU",
    "alignment": "alignment",
    "consistency": "consistency",
    "colour_drift": "colour drift",
    "flicker": "flicker",
}
MOTIONS = ("gallop", "glide", "bounce", "zigzag", "orbit", "fall")


def render_clip(number: int, size: PictureSize, frames: int = FRAMES) -> Any:
    """A held-out clip of `size` with one object; the motion and object go by the number."""
    from mvmodel.world.motions import SpritePoses, sample_poses
    from mvmodel.world.render import HELD_OUT, AnimatedSprite, RenderedClip, compose_caption, render
    from mvmodel.world.scenes import BACKGROUNDS
    from mvmodel.world.sprites import OBJECTS

    rng = np.random.default_rng((HELD_OUT, number, 83))
    motion, name = MOTIONS[number % len(MOTIONS)], str(rng.choice(list(OBJECTS)))
    background = str(rng.choice(list(BACKGROUNDS)))
    side, short = max(size.width, size.height), min(size.width, size.height)
    poses = sample_poses(motion, frames, rng, None)
    inside = SpritePoses(
        0.5 + (poses.x - 0.5) * size.width / side,
        0.5 + (poses.y - 0.5) * size.height / side,
        *(poses.scale_x, poses.scale_y, poses.angle, poses.facing),
    )
    sprite = AnimatedSprite(name, motion, float(rng.uniform(0.46, 0.60)) * short / side, inside)
    pictures, instances = render([sprite], background, rng, side)
    top, left = (side - size.height) // 2, (side - size.width) // 2
    window = slice(top, top + size.height), slice(left, left + size.width)
    return RenderedClip(
        frames=pictures[:, window[0], window[1]],
        instances=instances[:, :, window[0], window[1]],
        caption=compose_caption((name,), background, motion),
        objects=(name,),
        motions=(motion,),
        background=background,
        seed=(HELD_OUT, number, 83),
    )


def measure_cell(pack: str, size: str, number: int) -> dict[str, Figures]:
    """The metrics of one clip of a size: of the clip itself through the autoencoder, and of the generated video."""
    import torch

    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.first_frame import generate_first_frames
    from mvmodel.backends.image_unet.long_video import pipeline_options
    from mvmodel.foundation.few_shot_quality import reconstruct_frames
    from mvmodel.metrics.judge import judge_video
    from mvmodel.video.tensors import to_uint8

    models, pipeline = _load(pack, size)
    clip = render_clip(number, models.info.size)
    config = GenerationConfig().for_pack(models.info)
    first = generate_first_frames(models, [clip.caption], clip.masks[:1], [number], config)
    options = {**pipeline_options(config), "generator": torch.Generator().manual_seed(number)}
    video = to_uint8(pipeline(clip.caption, clip.masks, first[0], **options).frames[0])
    judged = {TRUE_CLIPS: reconstruct_frames(models, clip.frames), GENERATED: video}
    return {
        kind: judge_video(
            frames, clip.masks, clip.caption, models.scorer(), models.segmenter(), list(clip.objects)
        ).metrics
        for kind, frames in judged.items()
    }


@cache
def _load(pack: str, size: str) -> tuple[Any, Any]:
    """The pack at a size, and its start adapter's pipeline."""
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.build import build_pipeline
    from mvmodel.packs import load_pack

    models = load_pack(pack, "cpu", size=parse_size_option(size))
    return models, build_pipeline(models, models.start_adapter(), GenerationConfig())


def format_table(rows: dict[str, dict[str, Figures]], sizes: list[str], clips: int) -> str:
    """Markdown, two lines a size: mean and 95 % interval over clips. rows: "SIZE/CLIP" -> figures of `measure_cell`."""
    from mvmodel.metrics.report_card import bootstrap_interval

    out = ["| size | videos | " + " | ".join(COLUMNS.values()) + " |", "|---" * (2 + len(COLUMNS)) + "|"]
    for size in sizes:
        cells = [rows[f"{size}/{clip}"] for clip in range(clips) if f"{size}/{clip}" in rows]
        for kind in (TRUE_CLIPS, GENERATED) if cells else ():
            line = [f"{size}, {kind}", str(len(cells))]
            for metric in COLUMNS:
                values = np.array([cell[kind].get(metric, np.nan) for cell in cells], float)
                low, high = bootstrap_interval(values[np.isfinite(values)])
                line.append(f"{np.nanmean(values):.3f} ({low:.3f}–{high:.3f})")
            out.append("| " + " | ".join(line) + " |")
    return "\n".join(out)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks shapes", description=__doc__)
    add_cell_options(parser, "shapes.jsonl")
    parser.add_argument("--size", nargs="+", default=list(SIZES), help="WIDTHxHEIGHT; several may be given")
    parser.add_argument("--clips", type=int, default=6, help="held-out clips of each size")
    options = parser.parse_args(arguments)
    use_one_thread()
    sizes = [str(parse_size_option(size)) for size in options.size]
    log = MeasurementLog(options.out, {"pack": load_pack_once(options.pack).hash, "frames": FRAMES, "motions": MOTIONS})
    if not options.table:
        pairs = [(size, clip) for clip in range(options.clips) for size in sizes]
        cells = {f"{size}/{clip}": (options.pack, size, clip) for size, clip in pairs}
        measure_missing(log, measure_cell, cells, options.workers)
    print(format_table(log.rows(), sizes, options.clips))
    print(json.dumps({"on": describe_machine()}))


if __name__ == "__main__":
    main()
