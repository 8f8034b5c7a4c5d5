"""Other methods on the pack that ours runs on, the same clips and requests, by the same judges: a table.

`python -m benchmarks peers` trains what trains, once per method, and makes and judges one video per method and request.
Requests are held-out renders of the motions, so that the true clips are known. An interrupted run continues where it
stopped. `--generators` spreads methods over processes, `--workers` the judges of their videos. `--settings` measures
ours with several settings of `benchmarks.later_frames` instead of the pack's defaults. `--page` puts the tables into
`benchmarks/peers.md`, and with `--table` nothing is measured. `--json` prints one row per method.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.later_frames_settings import NEUTRAL, SETTINGS
from benchmarks.peer_requests import load_first_frames, render_requests
from benchmarks.peer_table import (
    format_differences,
    format_table,
    is_ours,
    load_summary,
    read_all_rows,
    read_rows,
    replace_table,
    write_rows,
)
from benchmarks.workers import load_pack_once, run_in_two_stages, use_one_thread
from mvmodel.backends.generation_config import GenerationConfig, check_later_frames
from mvmodel.backends.training_config import TrainConfig
from mvmodel.cache import Cache
from mvmodel.code_version import code_version
from mvmodel.experiments.__main__ import load_motions, select_motions
from mvmodel.experiments.bench import METRICS_CODE, TUNING_CODE, VIDEO_CODE, Bench, Motion
from mvmodel.experiments.cells import Task, hash_masks
from mvmodel.files import hash_value, write_json
from mvmodel.packs import Pack
from mvmodel.packs.info import PackInfo
from mvmodel.video.frames import read_frames, write_frames

METHODS: dict[str, tuple[str, bool]] = {
    "ours_from_nothing": ("mvmodel, from nothing", True),
    "ours": ("mvmodel, from the pack's start adapter", True),
    "plain_from_nothing": ("mvmodel without options for later frames, from nothing", True),
    "plain": ("mvmodel without options for later frames, from the start adapter", True),
    "ours_paper": ("mvmodel as the paper has it, from nothing", True),
    "animatediff_control": ("AnimateDiff motion modules + ControlNet on every mask", True),
    "text2video_zero_control": ("Text2Video-Zero + ControlNet on every mask", True),
    "frame_by_frame_control": ("text-to-image, frame by frame + ControlNet on every mask", True),
    "lamp_like": ("LAMP-like: ours without mask term, with temporal convolution", False),
    "animatediff": ("AnimateDiff motion modules", False),
    "text2video_zero": ("Text2Video-Zero", False),
    "frame_by_frame": ("text-to-image, frame by frame", False),
    "cut_out": ("frame 1's object moved by the masks, no diffusion", True),
    "first_frame_repeated": ("first frame repeated", False),
}
"""Method -> how the table names it, and whether it sees the masks of frames 2 to n."""
SHARED_TRAININGS = (
    ("ours_from_nothing", "plain_from_nothing"),
    ("animatediff", "animatediff_control"),
    ("ours", "plain"),
)
"""Methods that are trained once together, and therefore run in one process."""
REFERENCE = "ours_from_nothing"
"""The method that the others are compared with: like them, it has no start adapter."""
PAPER_TRAINING = {"mask_encoder": "linear", "lr": 3e-4, "mask_lr": 3e-4, "foreground_weight": 0}
DEFAULTS = "defaults"
_FILES = [Path(__file__).with_name(name) for name in ("peer_methods.py", "peer_training.py")]
CODE = [VIDEO_CODE, TUNING_CODE, *(code_version(file) for file in _FILES)]
JUDGE_CODE = [METRICS_CODE, code_version(Path(__file__).with_name("later_frames_videos.py"))]
RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent / "peers.md"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks peers", description=__doc__)
    parser.add_argument("--motion", action="append", help="a motion of the manifest, all by default; may be repeated")
    parser.add_argument("--clips", type=Path, default=Path("datasets/samples"))
    parser.add_argument("--requests", type=Path, default=Path("datasets/prompts/requests.csv"), help="names motions")
    parser.add_argument("--steps", type=int, default=120, help="optimizer steps of everything that is trained")
    parser.add_argument("--videos", type=int, default=8, help="requests of a motion")
    parser.add_argument("--first", type=int, default=0, help="number of the first request: earlier runs had the others")
    parser.add_argument("--denoising-steps", type=int, default=20)
    parser.add_argument("--settings", nargs="+", choices=[DEFAULTS, *SETTINGS], default=[DEFAULTS], metavar="SETTING")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), metavar="METHOD")
    parser.add_argument("--pack", default="tiny")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--generators", type=int, default=1, help="processes that train and make videos")
    parser.add_argument("--workers", type=int, default=1, help="processes that judge videos")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing more after this long")
    parser.add_argument("--work", type=Path, default=Path(".mvmodel/peers"), help="where videos and adapters are kept")
    parser.add_argument("--out", type=Path, default=RESULTS / "peers.csv")
    parser.add_argument("--keep", action="store_true", help="keep what --out holds of other methods and requests")
    parser.add_argument("--table", action="store_true", help="print what --out holds, measure nothing")
    parser.add_argument("--json", action="store_true", help="print one row per method, as JSON")
    parser.add_argument("--page", action="store_true", help="put the tables into benchmarks/peers.md")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    failed = 0 if options.table else measure(options)
    tables = print_tables(options.out, options.settings[0])
    if options.json:
        print(json.dumps(load_summary(options.out, options.settings[0], METHODS, REFERENCE), indent=2))
    else:
        print(f"{tables}\n{(time.perf_counter() - began) / 60:.1f} minutes")
    if options.page:
        replace_table(PAGE, tables)
    if failed:
        sys.exit(f"{failed} methods failed; their errors are above")


def measure(options: argparse.Namespace) -> int:
    """Make and judge every video, and write the rows. Returns how many methods failed."""
    use_one_thread()
    pack = load_pack_once(options.pack, options.device)
    every = load_motions(pack, options.clips, options.requests)
    motions = select_motions(every, options.motion or []) or every
    steps = {"steps": options.denoising_steps, "first_frame_steps": options.denoising_steps}
    generation = GenerationConfig(scheduler="ddim", **steps).for_pack(pack.info)
    training = TrainConfig(steps=options.steps, init_from=None, precision="no")
    cache = Cache(options.work)
    for motion in motions:  # before the processes, which share them
        tasks = [task for task, _ in render_requests(motion, options.videos, pack.info.frames, options.first)]
        load_first_frames(pack, tasks, generation, cache)
    numbers = options.first, options.videos
    shared = (options.pack, options.device, generation, training, numbers, options.work, options.settings)
    together = [name for names in SHARED_TRAININGS for name in names]
    families = [*SHARED_TRAININGS, *((name,) for name in METHODS if name not in together)]
    families = [tuple(name for name in names if name in options.methods) for names in families]
    tasks_by_method = [(*shared, motion, names) for names in families if names for motion in motions]
    earlier_rows = read_all_rows(options.out) if options.keep else []
    rows: list[dict[str, Any]] = []
    failed = 0
    judged = run_in_two_stages(
        make_in_process, judge_video_in_process, tasks_by_method, options.generators, options.workers, options.minutes
    )
    try:
        for columns, metrics in judged:
            rows.append({**columns, **metrics})
            if len(rows) % 10 == 0:
                write_rows(rows, options.out, pack, generation, options.steps, earlier_rows)
    except RuntimeError as error:  # one method's failure leaves the others
        failed += 1
        print(error, file=sys.stderr)
    if rows:
        write_rows(rows, options.out, pack, generation, options.steps, earlier_rows)
    return failed


def make_in_process(
    pack: str,
    device: str,
    generation: GenerationConfig,
    training: TrainConfig,
    numbers: tuple[int, int],
    work: Path,
    settings: Sequence[str],
    motion: Motion,
    names: Sequence[str],
) -> list[tuple[dict[str, Any], tuple[Any, ...]]]:
    """A generator's part: the videos of some methods on one motion, as columns and the arguments of their judge.

    numbers: of the first request, and how many there are.
    """
    models = load_pack_once(pack, device)
    first, count = numbers
    requests = render_requests(motion, count, models.info.frames, first)
    made = make_videos(models, motion, requests, generation, training, Cache(work), settings, names)
    return [(columns, (pack, work, *arguments)) for columns, arguments in made]


def judge_video_in_process(pack: str, work: Path, *arguments: Any) -> dict[str, Any]:
    """A judge's part: the figures of one video."""
    return judge_video(load_pack_once(pack, "cpu"), Cache(work), *arguments)


def print_tables(file: Path, setting: str) -> str:
    """The tables of a file of rows, with ours under `setting`, as markdown."""
    rows, record = read_rows(file, setting)
    timed = record["machine"]["card"] is None and len({row.get("device") for row in rows}) == 1
    differences = format_differences(rows, METHODS, REFERENCE)
    pack = f"Pack `{record['pack']}` ({record['pack_hash'][:12]}), {record['optimiser_steps']} optimizer steps."
    title = f"{METHODS[REFERENCE][0]}, minus the other methods on the same requests:"
    return "\n".join([format_table(rows, METHODS, timed), pack, "", title, "", differences])


def choose_generation(name: str, base: GenerationConfig, setting: str, info: PackInfo) -> GenerationConfig:
    """The generation settings of a method. setting: of ours; all others have every option off."""
    if name not in ("ours", "ours_from_nothing"):
        return base.model_copy(update={**NEUTRAL, **({"mask_guidance": False} if name == "ours_paper" else {})})
    changes = check_later_frames(info) if setting == DEFAULTS else SETTINGS[setting]
    return base.model_copy(update={**changes, "camera": (0.0, 0.0)})  # the cameras of the requests stand still


def make_videos(
    pack: Pack,
    motion: Motion,
    requests: Sequence[tuple[Task, np.ndarray]],
    generation: GenerationConfig,
    training: TrainConfig,
    cache: Cache,
    settings: Sequence[str] = (DEFAULTS,),
    names: Sequence[str] | None = None,
) -> list[tuple[dict[str, Any], tuple[Any, ...]]]:
    """(columns, the last arguments of `judge_video`) of a video per method, setting of ours and request of the motion.

    What an earlier run made is found.
    """
    bench = Bench(
        pack, [motion], cache, {}, generation, training, log=lambda text: print(text, file=sys.stderr, flush=True)
    )
    pictures, latents = load_first_frames(pack, [task for task, _ in requests], generation, cache)
    made = []
    load_method = functools.cache(functools.partial(train_method, bench=bench, training=training, cache=cache))
    for name in METHODS if names is None else names:
        has_settings = name in ("ours", "ours_from_nothing")
        for setting in settings if has_settings else ["-"]:
            config = choose_generation(name, bench.generation, setting, pack.info)
            maker = functools.partial(get_method, name, config, load_method)
            for number, (task, true_frames) in enumerate(requests):
                recipe = hash_value(
                    {
                        "method": name,
                        "task": [task.prompt, task.seed, hash_masks(task.masks)],
                        "clips": [[clip.name, clip.caption] for clip in motion.clips],
                        "training": training.model_dump(mode="json"),
                        "generation": config.model_dump(mode="json"),
                        "pack": pack.hash,
                        "code": CODE,
                    }
                )
                make = functools.partial(_make, maker, task, pictures[number], latents[number])
                folder = cache.get_or_build("peer_videos", recipe, make)
                record = json.loads((folder / "facts.json").read_text())
                columns = {"method": name, "setting": setting, "slug": motion.name, "name": task.name}
                columns |= {"prompt": task.prompt, "seed": task.seed, **record, **bench.record}
                made.append((columns, (task, true_frames, folder, recipe)))
    return made


def judge_video(pack: Pack, cache: Cache, task: Task, true_frames: np.ndarray, video: Path, recipe: str) -> Any:
    """The figures of a video by both judges. recipe: the video's."""
    judge = functools.partial(_judge, pack, task, true_frames, video)
    scores = cache.get_or_build("peer_scores", hash_value({"video": recipe, "code": JUDGE_CODE}), judge)
    return json.loads((scores / "metrics.json").read_text())


def compare_methods(
    pack: Pack,
    motion: Motion,
    requests: Sequence[tuple[Task, np.ndarray]],
    generation: GenerationConfig,
    training: TrainConfig,
    cache: Cache,
) -> list[dict[str, Any]]:
    """One row per method and request of the motion, made and judged in this process."""
    made = make_videos(pack, motion, requests, generation, training, cache)
    return [{**columns, **judge_video(pack, cache, *arguments)} for columns, arguments in made]


def get_method(
    name: str, config: GenerationConfig, trained: Callable[[str], tuple[Any, float]]
) -> tuple[Callable[..., np.ndarray], float]:
    """A method that can make videos, and the seconds that its training took; both AnimateDiffs share one training."""
    family = "animatediff" if name.startswith("animatediff") else name
    makers, seconds = trained(family)
    if family == "animatediff":
        return makers[name.endswith("control")], seconds
    return (functools.partial(makers, config) if is_ours(name) else makers), seconds


def train_method(name: str, bench: Bench, training: TrainConfig, cache: Cache) -> tuple[Any, float]:
    """Train a method, where it trains, and load it; for "animatediff" a pair, without and with ControlNet."""
    from benchmarks import peer_methods as peers
    from benchmarks import peer_training as trained_peers

    pack, clips, config = (
        bench.pack,
        bench.motion.clips,
        choose_generation(name, bench.generation, DEFAULTS, bench.pack.info),
    )
    recipe = hash_value([name, bench.motion.name, pack.hash, training.model_dump(mode="json"), CODE])
    weights_file = cache.path_of("peer_weights", recipe) / "weights.safetensors"
    work = cache.path_of("peer_latents", recipe)
    began = time.perf_counter()
    method: Any = peers.draw_cut_out if name == "cut_out" else peers.repeat_first_frame
    if is_ours(name):
        changes: dict[str, Any] = PAPER_TRAINING if name == "ours_paper" else {}
        start = "start" if name in ("ours", "plain") and pack.start_adapter() is not None else None
        own_training = training.model_copy(update={**changes, "init_from": start})
        method = peers.load_ours(pack, bench.adapters[bench.tune(name, clips, own_training)])
    elif name == "lamp_like":
        method = trained_peers.train_lamp_like(pack, clips, training, config, work, weights_file)
    elif name == "animatediff":
        method = trained_peers.train_animatediff(pack, clips, training, config, work, weights_file)
    elif name.startswith("text2video_zero"):
        method = peers.text2video_zero(pack, config, name.endswith("control"))
    elif name.startswith("frame_by_frame"):
        method = peers.frame_by_frame(pack, config, name.endswith("control"))
    if not is_ours(name) and name not in ("lamp_like", "animatediff"):
        return method, 0.0
    timing = {"seconds": time.perf_counter() - began}  # of the run that trained: a later one finds the weights
    folder = cache.get_or_build("peer_seconds", recipe, lambda new: write_json(new / "taken.json", timing))
    return method, float(json.loads((folder / "taken.json").read_text())["seconds"])


def _make(
    maker: Callable[[], tuple[Any, float]], task: Task, first: np.ndarray, latents: np.ndarray, folder: Path
) -> None:
    make, trained = maker()
    began = time.perf_counter()
    frames = make(task, first, latents)
    record = {"seconds_training": round(trained, 1), "seconds_video": round(time.perf_counter() - began, 2)}
    write_frames(folder / "video.npz", frames)
    write_json(folder / "facts.json", record)


def _judge(pack: Pack, task: Task, true_frames: np.ndarray, video: Path, folder: Path) -> None:
    from benchmarks.later_frames_videos import judge_frames

    frames = read_frames(video / "video.npz")
    judge_pack = load_pack_once(str(pack.folder), "cpu")
    figures = judge_frames(judge_pack, frames, true_frames, task.masks, task.prompt, task.words)
    write_json(folder / "metrics.json", {name: value for name, value in figures.items() if np.isfinite(value)})


if __name__ == "__main__":
    main()
