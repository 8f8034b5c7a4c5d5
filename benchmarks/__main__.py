"""`python -m benchmarks [WHAT] [--json] [--out FILE]`: how fast the parts are on this machine.

flops, cost and long are about the method, render, scoring and judging about what stands around it; all is everything.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cost import CostConfig, cost
from benchmarks.flops import flops
from benchmarks.imports import imports
from benchmarks.long import long
from benchmarks.machine import lines, machine, rounded
from benchmarks.masks import MasksConfig, masks

Figures = dict[str, Any]


def render(clips: int = 24) -> Figures:
    """Rendered frames of 128x128 a second, on one thread."""
    import cv2

    from mvmodel.world.render import random_clip

    cv2.setNumThreads(1)
    random_clip((9, 0), frames=2)
    began = time.perf_counter()
    for number in range(clips):
        random_clip((9, number), frames=16)
    return {"frames_per_second": clips * 16 / (time.perf_counter() - began)}


def scoring(frames: int = 128) -> Figures:
    """Scored frames a second, and that as a share of what the bare image encoder does on prepared tensors."""
    import numpy as np
    import torch
    from PIL import Image

    from mvmodel.packs import load_pack
    from mvmodel.world.render import random_clip

    scorer = load_pack().scorer()
    shown = np.concatenate([random_clip((9, n), frames=16).frames for n in range(frames // 16)])
    ready = torch.stack([scorer.preprocess(Image.fromarray(frame)) for frame in shown])

    def bare() -> None:
        with torch.no_grad():
            for start in range(0, len(ready), scorer.batch_size):
                scorer.model.encode_image(ready[start : start + scorer.batch_size])

    whole, alone = _seconds(lambda: scorer.images(shown)), _seconds(bare)
    return {"frames_per_second": len(shown) / whole, "share_of_bare_encoder": alone / whole}


def judging(frames: int = 24) -> Figures:
    """Frames a second in which the judge finds the object: automatic masks, each shown to the scorer."""
    from mvmodel.metrics.adherence import find_foreground
    from mvmodel.packs import load_pack
    from mvmodel.world.render import random_clip

    pack = load_pack()
    clip = random_clip((9, 1), frames=frames)
    segmenter, scorer = pack.segmenter(), pack.scorer()
    taken = _seconds(lambda: find_foreground(clip.frames, segmenter, scorer, list(clip.objects)), times=2)
    return {"frames_per_second": frames / taken}


def _seconds(what: Callable[[], object], times: int = 3) -> float:
    """The quickest of several runs after one to warm up."""
    what()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        what()
        taken.append(time.perf_counter() - began)
    return min(taken)


MEASURED: dict[str, Callable[[], Figures]] = {
    "flops": flops,
    "cost": cost,
    "long": long,
    "imports": imports,
    "render": render,
    "scoring": scoring,
    "judging": judging,
    "masks": masks,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=[*MEASURED, "all"])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="cost and masks at their smallest, to see that they run")
    parser.add_argument("--clips", type=int, help="held-out renders of each kind that masks measures (12)")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    given = parser.parse_args()
    names = list(MEASURED) if given.what == "all" else [given.what]
    on = machine()
    sized: dict[str, Callable[[], Figures]] = {}
    if given.quick:
        sized = {"cost": lambda: cost(CostConfig.quick()), "masks": lambda: masks(MasksConfig.quick())}
    elif given.clips:
        sized = {"masks": lambda: masks(MasksConfig(clips=given.clips))}
    figures = {name: rounded({**MEASURED, **sized}[name]()) for name in names}
    told = figures if len(figures) > 1 else figures[names[0]]  # one measurement's figures stand at the top
    text = json.dumps({**told, "on": on}, indent=2)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text + "\n")
    if given.json:
        print(text)
        return
    for name, value in {**figures, "on": on}.items():
        print(*lines(name, value), sep="\n")


if __name__ == "__main__":
    main()
