"""`python -m benchmarks [render|scoring|judging|all] [--json]`: how fast the parts are on this machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable

Figures = dict[str, float]


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


MEASURED: dict[str, Callable[[], Figures]] = {"render": render, "scoring": scoring, "judging": judging}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=[*MEASURED, "all"])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    names = list(MEASURED) if given.what == "all" else [given.what]
    figures = {name: {key: round(value, 3) for key, value in MEASURED[name]().items()} for name in names}
    machine = {"processors": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    if given.json:
        print(json.dumps({**figures, "on": machine}, indent=2))
        return
    for name, values in figures.items():
        print(f"{name:8}", ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in values.items()))
    print("on", ", ".join(f"{key} {value}" for key, value in machine.items()))


if __name__ == "__main__":
    main()
