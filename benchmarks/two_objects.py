"""Two objects, each with its own mask: `python -m benchmarks.two_objects` says how often each is where it should be.

The judge looks for each object's word in the finished frames and is never shown a mask. A video counts when every
object overlaps its own mask by `--iou` or more on average, and more than the other object's. The same
requests run with masks bound to their words (the union acting on the other words, or nothing) and with one merged mask;
the true clips give the ceiling.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

SETTINGS = ("bound", "bound, other words without mask", "merged")


def videos(count: int, frames: int) -> list[Any]:
    """Held-out clips of two objects side by side."""
    from mvmodel.world.render import HELD_OUT, random_clip

    return [random_clip((HELD_OUT, number, 72), frames=frames, second_object=1.0) for number in range(count)]


def overlaps(pack: Any, frames: np.ndarray, clip: Any, stride: int = 2) -> np.ndarray:
    """IoU of where each object is found (rows) with each object's mask (columns), mean over frames 2..n."""
    from mvmodel.metrics.adherence import find_foreground, iou

    picked = slice(1, None, stride)
    found = [find_foreground(frames[picked], pack.segmenter(), pack.scorer(), [word]) for word in clip.objects]
    return np.array([[iou(one, masks[picked]).mean() for masks in clip.instances] for one in found])


def in_place(table: np.ndarray, least: float) -> bool:
    """Is every object over its own mask, by at least `least` and more than over any other."""
    own = np.diag(table)
    return bool((own >= least).all() and (table.argmax(axis=1) == np.arange(len(table))).all())


def measure(count: int, frames: int, least: float, given_first: bool, threads: int) -> dict[str, Any]:
    """Share of videos with every object in its place, and mean IoU with the own mask, by setting."""
    import torch

    from mvmodel.english import article
    from mvmodel.generation.build import build_pipeline
    from mvmodel.generation.config import GenerationConfig
    from mvmodel.generation.first_frame import control_frames
    from mvmodel.generation.instances import Instance
    from mvmodel.generation.long_video import call_options
    from mvmodel.packs import load_pack

    torch.set_num_threads(threads)
    pack, config = load_pack("tiny"), GenerationConfig()
    pipeline = build_pipeline(pack, pack.start_adapter(), config)
    found: dict[str, list[np.ndarray]] = {name: [] for name in (*SETTINGS, "ceiling")}
    for number, clip in enumerate(videos(count, frames)):
        found["ceiling"].append(overlaps(pack, clip.frames, clip))
        named = [Instance(article(word), masks) for word, masks in zip(clip.objects, clip.instances, strict=True)]
        for setting in SETTINGS:
            instances: Sequence[Instance] | None = None if setting == "merged" else named
            first = clip.frames[0]
            if not given_first:
                drawn = {"instances": instances}
                first = control_frames(pack, [clip.caption], clip.masks[:1], [number], config, **drawn)[0]
            options = {**call_options(config), "generator": torch.Generator().manual_seed(number)}
            options["other_words"] = "none" if "without" in setting else "union"
            video = pipeline(clip.caption, clip.masks, first, instances=instances, **options).frames[0]
            found[setting].append(overlaps(pack, (video * 255).round().astype(np.uint8), clip))
        said = {name: round(float(np.mean([np.diag(t).mean() for t in tables])), 3) for name, tables in found.items()}
        print(number + 1, said, flush=True)
    return {
        "videos": count,
        "first_frame": "the clip's" if given_first else "ControlNet",
        "least_iou": least,
        "in_place": {name: float(np.mean([in_place(t, least) for t in tables])) for name, tables in found.items()},
        "own_iou": {name: float(np.mean([np.diag(t).mean() for t in tables])) for name, tables in found.items()},
        "pack": pack.hash,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.two_objects", description=__doc__)
    parser.add_argument("--videos", type=int, default=24)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--iou", type=float, default=0.3)
    parser.add_argument("--given-first", action="store_true", help="frame 1 from the clip, not from the ControlNet")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    found = measure(given.videos, given.frames, given.iou, given.given_first, given.threads)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
