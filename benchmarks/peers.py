"""`python -m benchmarks.peers --motion MOTION`: other methods beside ours, on one pack, by one judge.

The same requests, masks, seeds, denoising steps and guidance; the same number of optimiser steps on the same clips for
what is trained. Writes a row a video to `benchmarks/results/peers.csv`, prints the table of means, and with `--page`
puts it into `benchmarks/peers.md`.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.training_config import TrainConfig
from mvmodel.cache import Cache
from mvmodel.code_version import code_version
from mvmodel.experiments.__main__ import load_motions, select_motions
from mvmodel.experiments.bench import METRICS_CODE, MOTION_ADAPTER, TUNING_CODE, VIDEO_CODE, Bench, Motion
from mvmodel.experiments.cells import Cell, FirstFrameSpec, Task, hash_masks
from mvmodel.files import atomic_write, hash_value, write_json
from mvmodel.metrics.judge import judge_video
from mvmodel.video.frames import read_frames, write_frames

if TYPE_CHECKING:
    from mvmodel.packs import Pack

METHODS: dict[str, tuple[str, bool]] = {
    "ours": ("mvmodel, from the pack's start adapter", True),
    "ours_from_nothing": ("mvmodel, tuned on these clips alone", True),
    "lamp_like": ("LAMP-like: ours without mask term, with temporal convolution", False),
    "animatediff_control": ("AnimateDiff motion modules + ControlNet on every mask", True),
    "animatediff": ("AnimateDiff motion modules", False),
    "text2video_zero_control": ("Text2Video-Zero + ControlNet on every mask", True),
    "text2video_zero": ("Text2Video-Zero", False),
    "frame_by_frame_control": ("text-to-image, frame by frame + ControlNet on every mask", True),
    "frame_by_frame": ("text-to-image, frame by frame", False),
    "first_frame_repeated": ("first frame repeated", False),
}
"""Method -> how the table names it, and whether it sees the masks of frames 2 to n."""
TABLE_METRICS = ("iou", "consistency", "motion", "motion_cosine", "alignment", "colour_drift", "flicker")
CODE = [VIDEO_CODE, TUNING_CODE, code_version(Path(__file__).with_name("peer_methods.py"))]
RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent / "peers.md"
MARKS = ("<!-- figures -->", "<!-- end of figures -->")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks peers", description=__doc__)
    parser.add_argument(
        "--motion", action="append", default=None, help="a motion of the manifest; may be given more than once"
    )
    parser.add_argument("--every-motion", action="store_true", help="all motions of the manifest, not the first alone")
    parser.add_argument("--clips", type=Path, default=Path("datasets/samples"))
    parser.add_argument("--requests", type=Path, default=Path("datasets/prompts/requests.csv"))
    parser.add_argument("--steps", type=int, default=60, help="optimiser steps of everything that is trained")
    parser.add_argument("--videos", type=int, default=4, help="requests of a motion")
    parser.add_argument("--denoising-steps", type=int, default=20)
    parser.add_argument("--pack", default=None)
    parser.add_argument("--work", type=Path, default=Path(".mvmodel/peers"), help="what was made stays here")
    parser.add_argument("--out", type=Path, default=RESULTS / "peers.csv")
    parser.add_argument("--page", action="store_true", help="put the table into benchmarks/peers.md")
    options = parser.parse_args(arguments)
    from mvmodel.packs import load_pack

    began = time.perf_counter()
    pack = load_pack(options.pack)
    every = load_motions(pack, options.clips, options.requests)
    motions = every if options.every_motion else select_motions(every, options.motion or []) or every[:1]
    steps = {"steps": options.denoising_steps, "first_frame_steps": options.denoising_steps}
    generation = GenerationConfig(scheduler="ddim", **steps).for_pack(pack.info)
    rows = [
        row
        for motion in motions
        for row in compare_methods(pack, motion, generation, options.steps, options.videos, Cache(options.work))
    ]
    write_rows(rows, options.out, pack, generation, options.steps)
    print(format_table(rows))
    print(f"{len(rows)} videos in {(time.perf_counter() - began) / 60:.1f} minutes")
    if options.page:
        replace_table(
            PAGE, f"{format_table(rows)}\nPack `{pack.info.name}` ({pack.hash[:12]}), {options.steps} optimiser steps."
        )


def replace_table(page: Path, text: str) -> None:
    """Replace what stands between the page's two marks."""
    before, rest = page.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    with atomic_write(page) as temporary_file:
        temporary_file.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}")


def compare_methods(
    pack: Pack, motion: Motion, generation: GenerationConfig, steps: int, videos: int, cache: Cache
) -> list[dict[str, Any]]:
    """One row a method and request of the motion; what an earlier run made is found."""
    start = "start" if pack.start_adapter() is not None else None
    training = TrainConfig(steps=steps, init_from=start)
    bench = Bench(pack, [motion], cache, {}, generation, training, log=print)
    rows = []
    load_method = functools.cache(functools.partial(train_method, bench=bench, training=training, cache=cache))
    for name in METHODS:
        maker = functools.partial(get_method, name, load_method)
        for task in motion.tasks[:videos]:
            recipe = hash_value(
                {
                    "method": name,
                    "task": [task.prompt, task.seed, hash_masks(task.masks)],
                    "clips": [[clip.name, clip.caption] for clip in motion.clips],
                    "training": training.model_dump(mode="json"),
                    "generation": bench.generation.model_dump(mode="json"),
                    "pack": pack.hash,
                    "code": CODE,
                }
            )
            folder = cache.get_or_build("peer_videos", recipe, functools.partial(_make, maker, task, bench))
            record = json.loads((folder / "facts.json").read_text())
            metrics_recipe = hash_value({"video": recipe, "code": METRICS_CODE})
            scores = cache.get_or_build("peer_scores", metrics_recipe, functools.partial(_judge, pack, task, folder))
            metrics = json.loads((scores / "metrics.json").read_text())
            columns = {"method": name, "slug": motion.name, "name": task.name, "prompt": task.prompt, "seed": task.seed}
            rows.append({**columns, **metrics, **record, **bench.record})
    return rows


def get_method(name: str, trained: Callable[[str], tuple[Any, float]]) -> tuple[Callable[..., np.ndarray], float]:
    """A method that can make videos, and the seconds that its training took; both AnimateDiffs share one training."""
    family = "animatediff" if name.startswith("animatediff") else name
    makers, seconds = trained(family)
    return (makers[name.endswith("control")] if family == "animatediff" else makers), seconds


def train_method(name: str, bench: Bench, training: TrainConfig, cache: Cache) -> tuple[Any, float]:
    """Train a method, where it trains, and load it; for "animatediff" a pair, without and with ControlNet."""
    from benchmarks import peer_methods as peers

    pack, clips, config = bench.pack, bench.motion.clips, bench.generation
    work = cache.path_of("peer_latents", hash_value([[clip.name for clip in clips], pack.hash]))
    recipe = hash_value([name, work.name, training.model_dump(mode="json"), CODE])
    weights_file = cache.path_of("peer_weights", recipe) / "weights.safetensors"
    began = time.perf_counter()
    method: Any = peers.repeat_first_frame
    if name in ("ours", "ours_from_nothing"):
        how = training if name == "ours" else training.model_copy(update={"init_from": None})
        method = _ours(bench, bench.tune(name, clips, how))
    elif name == "lamp_like":
        method = peers.train_lamp_like(pack, clips, training, config, work, weights_file)
    elif name == "animatediff":
        method = peers.train_animatediff(pack, clips, training, config, work, weights_file)
    elif name.startswith("text2video_zero"):
        method = peers.text2video_zero(pack, config, name.endswith("control"))
    elif name.startswith("frame_by_frame"):
        method = peers.frame_by_frame(pack, config, name.endswith("control"))
    if name not in ("ours", "ours_from_nothing", "lamp_like", "animatediff"):
        return method, 0.0
    timing = {"seconds": time.perf_counter() - began}  # of the run that trained: a later one finds the weights
    folder = cache.get_or_build("peer_seconds", recipe, lambda new: write_json(new / "taken.json", timing))
    return method, float(json.loads((folder / "taken.json").read_text())["seconds"])


def _ours(bench: Bench, adapter: str) -> Callable[[Task, np.ndarray], np.ndarray]:
    from mvmodel.generation.requests import generate_video
    from mvmodel.masks import MaskSequence

    def make(task: Task, first: np.ndarray) -> np.ndarray:
        weights, masks = bench.adapters[adapter], MaskSequence(task.masks, task.fps)
        return generate_video(bench.backend, weights, task.prompt, masks, first, bench.generation, task.seed)

    return make


def _make(maker: Callable[[], tuple[Any, float]], task: Task, bench: Bench, folder: Path) -> None:
    make, trained = maker()
    cell = Cell({}, task, MOTION_ADAPTER, bench.generation, first=FirstFrameSpec())
    first = bench.first_frame(cell)
    began = time.perf_counter()
    frames = make(task, first)
    record = {"seconds_training": round(trained, 1), "seconds_video": round(time.perf_counter() - began, 2)}
    write_frames(folder / "video.npz", frames)
    write_json(folder / "facts.json", record)


def _judge(pack: Pack, task: Task, video: Path, folder: Path) -> None:
    frames = read_frames(video / "video.npz")
    judgement = judge_video(
        frames,
        task.masks,
        task.prompt,
        pack.scorer(),
        pack.segmenter(),
        task.words,
        independent=pack.independent_segmenter(),
    )
    write_json(folder / "metrics.json", judgement.metrics)


def write_rows(rows: list[dict[str, Any]], out: Path, pack: Pack, generation: GenerationConfig, steps: int) -> None:
    """The rows as CSV, and beside it what they were made with and on."""
    import pandas as pd

    from benchmarks.machine import describe_machine

    out.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).round(5).to_csv(out, index=False)
    record = {
        "pack": pack.info.name,
        "pack_hash": pack.hash,
        "random_pack": pack.info.random,
        "optimiser_steps": steps,
        "generation": generation.model_dump(mode="json"),
        "machine": describe_machine(),
    }
    write_json(out.with_suffix(".json"), record)


def format_table(rows: list[dict[str, Any]]) -> str:
    """The means as a markdown table, best IoU first; 95 % intervals of IoU over videos."""
    import pandas as pd

    from mvmodel.experiments import plots
    from mvmodel.metrics.report_card import bootstrap_interval
    from mvmodel.metrics.score import METRICS

    data = pd.DataFrame(rows)
    names = [name for name in TABLE_METRICS if name in data.columns]
    heads = [
        "method",
        "sees masks 2..n",
        *(plots.get_metric_label(name) for name in names),
        "training, s",
        "a video, s",
    ]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(heads) - 2)]
    order = data.groupby("method")["iou"].mean().sort_values(ascending=False).index
    for method in order:
        method_rows = data[data["method"] == method]
        words, sees = METHODS[str(method)]
        cells = [
            f"{method_rows[name].mean():.{METRICS[name].digits}f}" if method_rows[name].notna().any() else "–"
            for name in names
        ]
        low, high = bootstrap_interval(method_rows["iou"].to_numpy(float))
        if np.isfinite(low):
            cells[0] += f" ({low:.2f} to {high:.2f})"
        speed = [f"{method_rows['seconds_training'].max():.0f}", f"{method_rows['seconds_video'].mean():.1f}"]
        lines.append("| " + " | ".join([words, "yes" if sees else "no", *cells, *speed]) + " |")
    count = f"{data['name'].nunique()} requests of {data['slug'].nunique()} motions, one video a method and request."
    return "\n".join([*lines, "", count])


if __name__ == "__main__":
    main()
