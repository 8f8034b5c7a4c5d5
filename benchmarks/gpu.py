"""The method on a GPU at Stable Diffusion 1.5's size: `python -m benchmarks.gpu` measures what that card needs.

Tuning as `mvmodel train` does it, with and without gradient checkpointing; a denoising pass beside the image UNet's,
plain and compiled, and its share of what the card reaches in one large matrix product; whole videos beside diffusers'
AnimateDiff and Text2Video-Zero. Weights are random and cost what trained ones do. Each measurement has a process of its
own and is kept as soon as it is there; what does not fit into memory, or does not compile, is said so and the rest goes
on.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import describe_machine, publish_report, round_numbers
from benchmarks.measurements import Figures, MeasurementLog, measure_peak_memory

if TYPE_CHECKING:
    from mvmodel.packs import Pack

RANDOM_PACK = Path(".mvmodel/benchmarks/sd15-random")
PASSES = ("image", "ours", "remembered", "full")
METHODS = ("ours", "AnimateDiff", "Text2Video-Zero")
PROMPT = "a horse gallops in the snow"


@dataclass(frozen=True)
class Workload:
    """What every measurement shares."""

    pack: str
    device: str = "auto"
    frames: int = 16
    height: int = 320
    width: int = 512
    steps: int = 20
    repeats: int = 5
    matrix: int = 8192


def measure_gpu(size: Workload, file: Path) -> dict[str, Any]:
    """All figures: {"matmul", "tuning", "denoising", "compiled", "video"}, each measurement kept in `file`."""
    from benchmarks.cost import hash_sources
    from mvmodel.code_version import code_version

    log = MeasurementLog(
        file,
        {**asdict(size), "code": [hash_sources(), code_version(Path(__file__))], "card": describe_machine()["card"]},
    )
    peak = log.measure_apart("matmul", measure_matmul, size)
    tuning = {
        name: log.measure_apart(f"tuning, {name}", measure_tuning, size, name == "checkpointing")
        for name in ("checkpointing", "no checkpointing")
    }
    passes = {name: log.measure_apart(f"denoising, {name}", measure_denoising, size, name, False) for name in PASSES}
    compiled = {
        name: log.measure_apart(f"compiled, {name}", measure_denoising, size, name, True) for name in PASSES[:3]
    }
    videos = {name: log.measure_apart(f"video, {name}", measure_video, size, name) for name in METHODS}
    for found in (*passes.values(), *compiled.values()):
        if "tflop" in found:
            found["share_of_matmul"] = found["tflop"] / found["seconds"] / peak["tflops"]
    return {"matmul": peak, "tuning": tuning, "denoising": passes, "compiled": compiled, "video": videos}


def measure_matmul(size: Workload) -> Figures:
    """TFLOP/s of a square matrix product in the pack's number type: what the card reaches, not what its maker says."""
    import torch

    pack = _pack(size)
    one = torch.randn(size.matrix, size.matrix, device=pack.device, dtype=getattr(torch, pack.dtype))
    seconds = _seconds(lambda: one @ one, size)
    return {"tflops": 2 * size.matrix**3 / seconds / 1e12, "dtype": pack.dtype}


def measure_tuning(size: Workload, checkpointing: bool) -> Figures:
    """Seconds of an optimiser step, one clip each, and peak memory: of the steps, and of the run with its encoding."""
    import torch

    from mvmodel.backends.load import load_backend
    from mvmodel.backends.training_config import TrainConfig
    from mvmodel.training.finetune import finetune

    pack = _pack(size)
    config = TrainConfig(steps=size.repeats + 3, init_from=None, flip=False, gradient_checkpointing=checkpointing)
    ends: list[float] = []
    encoding: list[float] = []

    def tell(row: dict[str, Any]) -> None:
        if "loss" in row:
            _wait(pack)
            if not ends and pack.device != "cpu":  # the first step has claimed the optimiser's memory
                encoding.append(torch.cuda.max_memory_allocated() / 1e6)
                torch.cuda.reset_peak_memory_stats()
            ends.append(time.perf_counter())

    def run() -> None:
        with tempfile.TemporaryDirectory() as work_dir:
            finetune(load_backend(pack), [_clip(size)], config, Path(work_dir), report=tell)

    def steps() -> Figures:
        peak = _megabytes(pack, run)
        seconds = statistics.median(after - before for before, after in pairwise(ends[1:]))
        return {"seconds_a_step": seconds, "peak_megabytes": peak, "run_peak_megabytes": max([*encoding, peak])}

    return _measure_or_report(steps)


def measure_denoising(size: Workload, name: str, compiled: bool) -> Figures:
    """Seconds and TFLOP of one pass over the frames under a variant of `benchmarks.variants`, and peak memory."""
    import torch

    from benchmarks.flops import count_flops
    from benchmarks.variants import make_call
    from mvmodel.model.adapter import MotionMaskAdapter
    from mvmodel.packs.device import move_model

    pack = _pack(size)
    torch.manual_seed(0)
    unet = pack.unet()
    adapter = move_model(MotionMaskAdapter.for_unet(unet), pack.device, unet.dtype).eval()
    side = (size.height // pack.latent_factor, size.width // pack.latent_factor)
    run = make_call(name, unet, adapter, size.frames, side)

    def found() -> Figures:
        tflop = count_flops(run) / 1e12
        if compiled:
            unet.compile()
        seconds = _seconds(run, size)
        generated_frames = size.frames - (name == "remembered")  # frame 1 is not made again
        return {
            "seconds": seconds,
            "milliseconds_a_frame": 1000 * seconds / generated_frames,
            "tflop": tflop,
            "peak_megabytes": _megabytes(pack, run),
        }

    return _measure_or_report(found)


def measure_video(size: Workload, method: str) -> Figures:
    """Seconds a frame of a whole video, its decoding included, and peak memory."""

    def found() -> Figures:
        run = _videos(size, method)
        seconds = _seconds(run, size, repeats=1)
        return {"seconds_a_frame": seconds / size.frames, "peak_megabytes": _megabytes(_pack(size), run)}

    return _measure_or_report(found)


def _videos(size: Workload, method: str) -> Callable[[], object]:
    """A function that makes one video by a method of `METHODS`."""
    import numpy as np
    import torch

    from benchmarks.peer_methods import build_motion_modules, hide_progress_bar, load_parts
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.build import build_pipeline
    from mvmodel.model.adapter import MotionMaskAdapter
    from mvmodel.packs.device import move_model

    pack = _pack(size)
    torch.manual_seed(0)
    sampling = {"num_inference_steps": size.steps, "guidance_scale": 7.5}
    shape = {"height": size.height, "width": size.width}
    if method == "ours":
        clip = _clip(size)
        pipeline = build_pipeline(pack, None, GenerationConfig())
        pipeline.load_adapter(MotionMaskAdapter.for_unet(pack.unet()), "random")
        return lambda: pipeline(PROMPT, clip.masks, np.array(clip.frames[0]), **sampling)
    if method == "AnimateDiff":
        from diffusers import AnimateDiffPipeline

        shared = {name: getattr(pack, name)() for name in ("vae", "text_encoder", "tokenizer", "scheduler")}
        modules = move_model(build_motion_modules(pack.unet(), heads=8), pack.unet().dtype)
        moving = hide_progress_bar(
            AnimateDiffPipeline(unet=pack.unet(), motion_adapter=modules, **shared).to(pack.device)
        )
        return lambda: moving(PROMPT, num_frames=size.frames, **shape, **sampling)
    from diffusers import TextToVideoZeroPipeline

    zero = hide_progress_bar(TextToVideoZeroPipeline(**load_parts(pack, "unet")).to(pack.device))
    late = size.steps - 2  # when it moves the noise costs next to nothing
    return lambda: zero(PROMPT, video_length=size.frames, t0=late, t1=late + 1, **shape, **sampling)


@cache
def _pack(size: Workload) -> Pack:
    from mvmodel.packs import load_pack

    return load_pack(size.pack, size.device, memory="24gb")  # what is measured is named, not chosen


def _clip(size: Workload) -> Any:
    """A clip of noise with a moving box for its mask."""
    import numpy as np

    from mvmodel.backends.training_config import TrainingClip

    frames = np.random.default_rng(0).integers(0, 256, (size.frames, size.height, size.width, 3), dtype=np.uint8)
    masks = np.zeros(frames.shape[:3], bool)
    for number, mask in enumerate(masks):
        left = number * (size.width // 2) // size.frames
        mask[size.height // 4 : size.height // 2, left : left + size.width // 2] = True
    return TrainingClip("noise", frames, masks, PROMPT)


def _wait(pack: Pack) -> None:
    import torch

    if pack.device != "cpu":
        torch.cuda.synchronize()


def _seconds(run: Callable[[], object], size: Workload, repeats: int | None = None) -> float:
    """The median of several runs after two to warm up, the device's work awaited."""
    pack, seconds = _pack(size), []
    for number in range((repeats or size.repeats) + 2):
        began = time.perf_counter()
        run()
        _wait(pack)
        if number > 1:
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _megabytes(pack: Pack, run: Callable[[], object]) -> float:
    """Peak memory of a run, its models included, on a GPU; on a CPU what the process grows by."""
    import torch

    if pack.device == "cpu":
        return measure_peak_memory(run)
    torch.cuda.reset_peak_memory_stats()
    run()
    _wait(pack)
    return float(torch.cuda.max_memory_allocated() / 1e6)


def _measure_or_report(find: Callable[[], Figures]) -> Figures:
    """The figures, or why there are none."""
    try:
        return find()
    except Exception as error:  # out of memory and the compiler's errors are of many kinds
        told = " ".join(str(error).split("\n\n")[0].split())
        return {"failed": f"{type(error).__name__}: {told[:300]}"}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    parser.add_argument(
        "--pack", type=Path, help=f"a pack's folder; without it {RANDOM_PACK}, written when it is missing"
    )
    parser.add_argument("--device", default="auto")
    for name, default in (("frames", 16), ("height", 320), ("width", 512), ("steps", 20), ("repeats", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--matrix", type=int, default=8192, help="side of the matrix product")
    parser.add_argument("--kept", type=Path, default=Path(".mvmodel/benchmarks/gpu.jsonl"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file; benchmarks/results/ holds ours")
    options = parser.parse_args(arguments)
    from mvmodel.errors import MvmodelError
    from mvmodel.packs.device import resolve_device

    if options.pack is None and resolve_device(options.device) == "cpu":
        sys.exit("there is no GPU here, and Stable Diffusion 1.5 on a CPU takes hours; give --pack with a small pack")
    if options.pack is None and not RANDOM_PACK.exists():
        from mvmodel.packs.random_pack import write_random_pack

        write_random_pack("sd15", RANDOM_PACK)
    shape = {name: getattr(options, name) for name in ("frames", "height", "width", "steps", "repeats", "matrix")}
    size = Workload(str(options.pack or RANDOM_PACK), options.device, **shape)
    try:
        figures = measure_gpu(size, options.kept)
    except MvmodelError as error:
        sys.exit(str(error))
    report = {**round_numbers(figures), "size": shape, "on": describe_machine()}
    publish_report(report, report, options.out, options.json)


if __name__ == "__main__":
    main()
