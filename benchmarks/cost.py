"""Time and memory on this machine's CPU, side by side in one run: ours against what it could be mistaken for.

Every measurement has a process of its own and is kept as soon as it is there: a stopped run goes on with the next.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from benchmarks.measurements import MeasurementLog, measure_peak_memory
from benchmarks.variants import VARIANTS, load_models, make_call
from mvmodel.config import Config

ModelSize = Literal["tiny", "middle"]
TRAINING_STEPS = ("cached", "encoded_anew")


class CostConfig(Config):
    """How much is measured; one thread throughout."""

    sizes: tuple[ModelSize, ...] = ("tiny", "middle")
    frames: int = Field(16, ge=2)
    """Of the clip that the variants are compared on, and of the training step."""
    repeats: int = Field(3, ge=1)
    """The quickest of so many runs counts, after one to warm up."""
    memory_of: tuple[str, ...] = VARIANTS
    """The variants whose memory is measured; each takes a process of its own."""
    growth: tuple[int, ...] = Field((8, 16, 32, 64, 100, 200), min_length=2)

    @classmethod
    def quick(cls) -> CostConfig:
        """The smallest that goes through every part, to see that it runs."""
        return cls(sizes=("tiny",), frames=4, repeats=1, memory_of=("image", "ours"), growth=(4, 8))


def measure_cost(
    config: CostConfig | None = None, file: Path = Path(".mvmodel/benchmarks/cost.jsonl")
) -> dict[str, Any]:
    """Figures of one thread.

    For "tiny" (the shipped UNet) and "middle" (random, 45 M): seconds a frame of each variant, its ratio to the image
    UNet, and by how many MB a pass lifts a fresh process over its models. training_step: seconds and MB of an
    optimiser step with latents cached and with the clip encoded anew. growth: seconds of a pass over 8..200 frames,
    and the exponent fitted to them (1 is linear). highest_load: the machine's load average, at its highest, before a
    measurement; on an idle machine it is near 1, of this run itself.
    """
    config = config or CostConfig()
    log = MeasurementLog(
        file, {"config": config.model_dump(mode="json"), "code": hash_sources(), "machine": _machine()}
    )
    out: dict[str, Any] = {}
    for size in config.sizes:
        timings = log.measure_apart(f"{size}: seconds", variants_seconds, size, config.frames, config.repeats)
        memory = {
            name: log.measure_apart(f"{size}: memory of {name}", variant_megabytes, size, name, config.frames)
            for name in config.memory_of
        }
        seconds = timings["seconds"]
        out[size] = {
            "parameters_millions": timings["parameters_millions"],
            "latent_side": timings["latent_side"],
            "frames": config.frames,
            "seconds_a_frame": {name: value / config.frames for name, value in seconds.items()},
            "ratio": {name: value / seconds["image"] for name, value in seconds.items()},
            "peak_megabytes": {name: figures["megabytes"] for name, figures in memory.items()},
        }
    steps = log.measure_apart("training step: seconds", training_seconds, config.frames, config.repeats)
    memory = {
        name: log.measure_apart(f"training step: memory, {name}", training_megabytes, name, config.frames)
        for name in TRAINING_STEPS
    }
    out["training_step"] = {
        "seconds": steps["seconds"],
        "encoded_anew_over_cached": steps["seconds"]["encoded_anew"] / steps["seconds"]["cached"],
        "peak_megabytes": {name: figures["megabytes"] for name, figures in memory.items()},
    }
    growth = log.measure_apart("growth", growth_seconds, config.growth, config.repeats)["seconds"]
    out["growth"] = {"seconds": growth, "exponent": fit_exponent(list(config.growth), list(growth.values()))}
    out["highest_load"] = max(figures["load_before"] for figures in log.rows().values())
    return out


def variants_seconds(size: ModelSize, frames: int, repeats: int) -> dict[str, Any]:
    """Seconds of a pass of each variant over `frames` frames, taking turns."""
    _one_thread()
    unet, adapter, side = load_models(size)
    return {
        "seconds": time_interleaved({name: make_call(name, unet, adapter, frames, side) for name in VARIANTS}, repeats),
        "parameters_millions": sum(p.numel() for p in unet.parameters()) / 1e6,
        "latent_side": side,
    }


def variant_megabytes(size: ModelSize, name: str, frames: int) -> dict[str, Any]:
    """By how much one pass of a variant lifts the process's memory over its models."""
    _one_thread()
    unet, adapter, side = load_models(size)
    make_call("image", unet, adapter, 1, side)()  # libraries claim their own memory at the first call
    return {"megabytes": measure_peak_memory(make_call(name, unet, adapter, frames, side))}


def growth_seconds(lengths: Sequence[int], repeats: int) -> dict[str, Any]:
    """One prediction of the tiny UNet over `lengths` frames, in one pass."""
    _one_thread()
    unet, adapter, side = load_models("tiny")
    return {"seconds": time_interleaved({str(n): make_call("ours", unet, adapter, n, side) for n in lengths}, repeats)}


def training_seconds(frames: int, repeats: int) -> dict[str, Any]:
    """An optimiser step of the tiny pack: latents and text from the cache, and encoded anew, taking turns."""
    _one_thread()
    with _training(frames) as steps:
        return {"seconds": time_interleaved(steps, repeats)}


def training_megabytes(name: str, frames: int) -> dict[str, Any]:
    """By how much one such step lifts the process's memory."""
    _one_thread()
    with _training(frames) as steps:
        return {"megabytes": measure_peak_memory(steps[name])}


def time_interleaved(what: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Name -> seconds of its quickest run; the runs take turns, so that other load hits all alike."""
    best = dict.fromkeys(what, math.inf)
    for number in range(repeats + 1):
        for name, run in what.items():
            began = time.perf_counter()
            run()
            if number:  # the first warms up
                best[name] = min(best[name], time.perf_counter() - began)
    return best


def fit_exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The p of seconds ~ size^p, by least squares in the logarithms."""
    import numpy as np

    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


@contextmanager
def _training(frames: int) -> Iterator[dict[str, Callable[[], None]]]:
    """A training step of the tiny pack's adapter from nothing, ready to run: name of `TRAINING_STEPS` -> the step."""
    import numpy as np
    import torch

    from mvmodel.backends.image_unet.latents import TrainingLatents, encode_frames, encode_text
    from mvmodel.backends.load import load_backend
    from mvmodel.backends.training_config import TrainConfig
    from mvmodel.packs import load_pack
    from mvmodel.training.cpu_kernels import math_attention
    from mvmodel.training.finetune import build_trainee
    from mvmodel.world.render import random_clip

    pack = load_pack("tiny")
    clip = random_clip((1, 1), frames=frames)
    config = TrainConfig(init_from=None, flip=False)
    backend = load_backend(pack)
    trainee = build_trainee(backend, config).train()
    optimizer = torch.optim.AdamW(trainee.parameters(), lr=1e-5, fused=True)

    def encoded() -> TrainingLatents:
        latents = encode_frames(pack.vae(), clip.frames)[None, None]
        masks = torch.from_numpy(np.ascontiguousarray(clip.masks)).float()[None, None]
        text = encode_text(pack.tokenizer(), pack.text_encoder(), ["", clip.caption])
        return TrainingLatents(latents, masks, text[1:], text[:1])

    cached = encoded()

    def step(data: Callable[[], TrainingLatents]) -> None:
        trainee(*backend.draw(data(), config, 0)).backward()
        optimizer.step()
        optimizer.zero_grad()

    with trainee.attached(), math_attention():
        yield {"cached": lambda: step(lambda: cached), "encoded_anew": lambda: step(encoded)}


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def hash_sources() -> str:
    """Hash of the code that a measured pass depends on; other code is measured again."""
    from benchmarks import variants
    from mvmodel.code_version import code_version

    return code_version(Path(__file__), Path(variants.__file__))


def _machine() -> list[str]:
    import platform

    import torch

    return [platform.node(), platform.machine(), torch.__version__]
