"""Time and memory on this machine's CPU, side by side in one run: ours against what it could be mistaken for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.variants import VARIANTS, call, models

FRAMES = 16
GROWTH = (8, 16, 32, 64, 100, 200)


def cost(repeats: int = 3) -> dict[str, Any]:
    """Figures of one thread, the quickest of `repeats` interleaved runs.

    For "tiny" and "middle": seconds a frame of each variant, its ratio to the image UNet, and its peak memory above the
    loaded models, in MB. training_step: seconds with latents cached and with clips encoded anew. growth: seconds of a
    pass over 8..200 frames, and the exponent fitted to them (1 is linear).
    """
    import torch

    torch.set_num_threads(1)
    out: dict[str, Any] = {}
    for size in ("tiny", "middle"):
        unet, adapter, side = models(size)
        taken = interleaved({name: call(name, unet, adapter, FRAMES, side) for name in VARIANTS}, repeats)
        memory = {name: peak_megabytes(size, name) for name in VARIANTS}
        out[size] = {
            "parameters_millions": sum(p.numel() for p in unet.parameters()) / 1e6,
            "latent_side": side,
            "seconds_a_frame": {name: value / FRAMES for name, value in taken.items()},
            "ratio": {name: value / taken["image"] for name, value in taken.items()},
            "peak_megabytes": memory,
        }
    out["training_step"] = training_step(repeats)
    out["growth"] = growth(repeats)
    return out


def interleaved(what: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Name -> seconds of its quickest run; the runs take turns, so that other load hits all alike."""
    best = dict.fromkeys(what, math.inf)
    for _ in range(repeats + 1):  # the first warms up
        for name, run in what.items():
            began = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - began)
    return best


def growth(repeats: int, lengths: Sequence[int] = GROWTH) -> dict[str, Any]:
    """One denoising prediction of the tiny pack over `lengths` frames, in one pass."""
    unet, adapter, side = models("tiny")
    seconds = interleaved({str(n): call("ours", unet, adapter, n, side) for n in lengths}, repeats)
    return {"seconds": seconds, "exponent": exponent(list(lengths), list(seconds.values()))}


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The p of seconds ~ size^p, by least squares in the logarithms."""
    import numpy as np

    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def training_step(repeats: int) -> dict[str, float]:
    """Seconds of an optimiser step of the tiny pack, 12 frames: latents and text from the cache, and encoded anew."""
    import numpy as np
    import torch

    from mvmodel.packs import load_pack
    from mvmodel.training.config import TrainConfig
    from mvmodel.training.finetune import Tuned, draw, new_adapter, plain_attention
    from mvmodel.training.latents import TrainingLatents, encode_frames, encode_text
    from mvmodel.world.render import random_clip

    pack = load_pack("tiny")
    clip = random_clip((1, 1), frames=12)
    config = TrainConfig(init_from=None, flip=False)
    adapter, unet = new_adapter(pack, config).train(), pack.unet().requires_grad_(False)
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=1e-5, fused=True)
    tuned = Tuned(adapter, unet, pack.scheduler(), config)

    def encoded() -> TrainingLatents:
        latents = encode_frames(pack.vae(), clip.frames)[None, None]
        masks = torch.from_numpy(np.ascontiguousarray(clip.masks)).float()[None, None]
        text = encode_text(pack.tokenizer(), pack.text_encoder(), ["", clip.caption])
        return TrainingLatents(latents, masks, text[1:], text[:1])

    cached = encoded()

    def step(data: Callable[[], TrainingLatents]) -> None:
        tuned(*draw(data(), config, 0)).backward()
        optimizer.step()
        optimizer.zero_grad()

    with adapter.attached(unet), plain_attention():
        return interleaved({"cached": lambda: step(lambda: cached), "encoded_anew": lambda: step(encoded)}, repeats)


def peak_megabytes(size: str, name: str) -> float:
    """How far a variant's run lifts a fresh process's memory above what its models hold, in MB."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_lift, size, name).result()


def _lift(size: str, name: str) -> float:
    import resource

    import torch

    torch.set_num_threads(1)
    unet, adapter, side = models(size)
    call("image", unet, adapter, 1, side)()  # libraries claim their own memory at the first call
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call(name, unet, adapter, FRAMES, side)()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
