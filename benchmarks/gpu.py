"""The method on a GPU at Stable Diffusion 1.5's size: `python -m benchmarks gpu` measures what that card needs.

By importance: whether the card computes what the CPU does (the shipped pack); every memory plan within the memory of
the card that it is named after, and training and a video that run out of memory; single training steps and denoising
passes, and whether they wait for the GPU or for the host; whole videos beside diffusers' AnimateDiff and
Text2Video-Zero; the UNet compiled. Weights are random and cost what trained ones do. Each measurement is kept as soon
as it is there; what does not fit into memory, or does not compile, is said so and the rest goes on. The same command
goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_tables import format_tables
from benchmarks.machine import describe_machine, publish_report, round_numbers
from benchmarks.measurements import Figures, MeasurementLog, SharedProcess

if TYPE_CHECKING:
    from benchmarks.gpu_workload import Workload

RANDOM_PACK = Path(".mvmodel/benchmarks/sd15-random")
PARTS = ("agreement", "ladder", "matmul", "tuning", "denoising", "launches", "video", "compiled")
PASSES = ("image", "ours", "remembered", "full")
METHODS = ("ours", "AnimateDiff", "Text2Video-Zero")
RUNGS = (
    ("8gb", "float16", "bf16"),
    ("24gb", "float16", "bf16"),
    ("12gb", "float16", "bf16"),
    ("16gb", "float16", "bf16"),
    ("8gb", "bfloat16", "fp16"),
    ("24gb", "bfloat16", "fp16"),
)
"""Memory plan, number type of the models and autocast of training, the most telling first."""
STEP_DOWN, VIDEO_STEP_DOWN = "memory that runs out", "memory that runs out, video"
LONGEST_SECONDS = 240.0
"""A measurement that takes longer is given up: the compiler may."""


@dataclass
class Session:
    """One run of the benchmark: where figures are kept, the process that measures, and until when it may begin one."""

    log: MeasurementLog
    process: SharedProcess
    deadline: float

    def measure(self, key: str, measure: Callable[..., Figures], *arguments: Any) -> Figures:
        """The kept figures, or new ones; what failed in an earlier run is measured again."""
        stored = self.log.rows().get(key, {"failed": ""})
        if "failed" not in stored:
            return stored
        began = time.monotonic()
        if began > self.deadline:
            return {"failed": "no time was left; the same command goes on"}
        figures = self.process.run(measure, *arguments, seconds=LONGEST_SECONDS)
        self.log.add(key, figures)
        problem = f", {figures['failed']}" if "failed" in figures else ""
        print(f"{key}: {time.monotonic() - began:.0f} s{problem}", file=sys.stderr, flush=True)
        return figures


def measure_gpu(
    session: Session, size: Workload, small_pack: str, parts: tuple[str, ...], names: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The figures of `parts`, in the order of `PARTS`: part -> measurement -> figures.

    names: measurements to make, such as "image"; empty for all of each part.
    """
    reference_file = session.log.file.with_suffix(".reference.npz").resolve()
    measured: dict[str, Any] = {}
    for part in (name for name in PARTS if name in parts):
        calls = dict(list_agreement(session, small_pack, size.device, reference_file)) if part == "agreement" else {}
        calls |= dict(list_calls(part, size))
        chosen = {name: call for name, call in calls.items() if not names or name in names}
        figures = {name: session.measure(f"{part}, {name}", *call) for name, call in chosen.items()}
        measured[part] = figures.get("matmul", {}) if part == "matmul" else figures
        if part == "launches" and "failed" not in figures.get("by turns", {}):
            measured[part] = figures.get("by turns", {})  # one measurement of many passes
    peak = measured.get("matmul", {}).get("tflops")
    for found in (*measured.get("denoising", {}).values(), *measured.get("compiled", {}).values()):
        if "tflop" in found and peak:
            found["share_of_matmul"] = found["tflop"] / found["seconds"] / peak
    return measured


def list_agreement(
    session: Session, pack: str, device: str, reference_file: Path
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The calls that compare a device with the CPU, whose own figures are measured first: (name, call)."""
    from benchmarks.gpu_agreement import PRECISIONS, measure_agreement, measure_reference

    reference = session.measure("agreement, reference", measure_reference, pack, reference_file)
    if "failed" not in reference:
        for dtype in PRECISIONS:
            yield dtype, (measure_agreement, pack, device, dtype, reference_file, reference)


def list_calls(part: str, size: Workload) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """(name, function with its arguments) of the measurements of a part at full size."""
    from benchmarks import gpu_ladder, gpu_launches, gpu_passes

    if part == "ladder":
        for level, dtype, precision in RUNGS:
            yield f"{level}, {dtype}, {precision}", (gpu_ladder.measure_rung, size, level, dtype, precision)
        yield STEP_DOWN, (gpu_ladder.measure_step_down, size)
        yield VIDEO_STEP_DOWN, (gpu_ladder.measure_video_step_down, size)
    elif part == "matmul":
        yield "matmul", (gpu_passes.measure_matmul, size)
    elif part == "tuning":
        for name in ("checkpointing", "no checkpointing"):
            yield name, (gpu_passes.measure_tuning, size, name == "checkpointing")
    elif part == "denoising":
        yield from ((name, (gpu_passes.measure_denoising, size, name, False)) for name in PASSES)
    elif part == "launches":
        yield "by turns", (gpu_launches.measure_launches, size)
    elif part == "compiled":
        order = ("remembered", "ours", "image")  # first what generation runs
        yield from ((name, (gpu_passes.measure_denoising, size, name, True)) for name in order)
    elif part == "video":
        yield from ((name, (gpu_passes.measure_video, size, name)) for name in METHODS)


def build_log(file: Path, size: Workload) -> MeasurementLog:
    """The file of kept figures; other code, sizes or cards are measured anew."""
    from benchmarks import gpu_agreement, gpu_ladder, gpu_launches, gpu_passes, gpu_workload
    from benchmarks.cost import hash_sources
    from mvmodel.code_version import code_version

    measuring = (gpu_agreement, gpu_ladder, gpu_launches, gpu_passes, gpu_workload)
    modules = [Path(str(module.__file__)) for module in measuring]
    recipe = {"code": [hash_sources(), code_version(*modules)], "card": describe_machine()["card"]}
    return MeasurementLog(file, {**asdict(size), **recipe})


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    from benchmarks.gpu_workload import Workload
    from mvmodel.packs.device import resolve_device

    device = resolve_device(options.device)
    if options.pack is None and device == "cpu":
        sys.exit("there is no GPU here, and Stable Diffusion 1.5 on a CPU takes hours; give --pack with a small pack")
    deadline = time.monotonic() + 60 * options.minutes
    if options.pack is None and not RANDOM_PACK.exists():
        from mvmodel.packs.random_pack import write_random_pack

        write_random_pack("sd15", RANDOM_PACK, device=device)
    shape = {name: getattr(options, name) for name in ("frames", "height", "width", "steps", "repeats", "matrix")}
    size = Workload(str(options.pack or RANDOM_PACK), device, **shape)
    on = describe_machine()
    publish = partial(publish_report, out=options.out, as_json=options.json)
    with SharedProcess() as process:
        session = Session(build_log(options.kept, size), process, deadline)
        figures = measure_gpu(session, size, options.small_pack, tuple(options.parts), tuple(options.names))
    report = {**round_numbers(figures), "size": shape, "on": on}
    publish(report, report)
    if not options.json:
        print(format_tables(report))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--pack", type=Path, help=f"a pack's folder; without it {RANDOM_PACK}, written when it is missing"
    )
    parser.add_argument("--small-pack", default="tiny", help="the pack that is compared with the CPU")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="measure only these")
    parser.add_argument(
        "--names", nargs="+", default=[], help='only these of each part, such as "24gb, bfloat16, fp16"'
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no measurement after so many")
    parser.add_argument("--device", default="auto")
    for name, default in (("frames", 16), ("height", 320), ("width", 512), ("steps", 20), ("repeats", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--matrix", type=int, default=8192, help="side of the matrix product")
    parser.add_argument("--kept", type=Path, default=Path(".mvmodel/benchmarks/gpu.jsonl"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file; benchmarks/results/ holds ours")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
