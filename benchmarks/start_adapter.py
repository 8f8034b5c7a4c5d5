"""A start adapter that has not seen some motions, and what tuning on them brings: `python -m benchmarks start_adapter`.

Trains the adapter from nothing on the pack's image models for `--minutes`, without the motions of the sample clips,
and makes a candidate pack with it. Then both packs are measured: the part of `mvmodel packs check` that depends on the
start adapter, and, for every left-out motion, requests by the start adapter alone and by an adapter tuned on six clips.
One cell is a pack and a motion; each is kept as soon as it is there, and a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measurements import MeasurementLog
from benchmarks.workers import add_cell_options, load_pack_once, measure_missing

if TYPE_CHECKING:
    from mvmodel.world.render import RenderedClip

SHIPPED, CANDIDATE = "shipped", "candidate"
COLUMNS = {
    "iou": "IoU",
    "motion_cosine": "motion cosine",
    "consistency": "consistency",
    "alignment": "alignment",
    "colour_drift": "colour drift",
    "flicker": "flicker",
}
TOLERANCE = 0.01
"""By how much the candidate's share of the ceiling may be lower: seeds and clips change it by as much."""


def render_motion_clips(motion: str, frames: int) -> list[Any]:
    """Six clips of a motion to tune on: the objects and backgrounds of the sample clips."""
    from mvmodel.backends.training_config import TrainingClip
    from mvmodel.world.render import TRAIN, random_clip
    from mvmodel.world.samples import SAMPLE_SCENES

    clips = []
    for number, (name, background) in enumerate(SAMPLE_SCENES[motion][:6]):
        seed = (TRAIN, 881_000 + number, list(SAMPLE_SCENES).index(motion))
        clip = random_clip(seed, frames, motion=motion, objects=(name,), background=background, pan=0.0)
        clips.append(TrainingClip(name, clip.frames, clip.masks, clip.caption))
    return clips


def render_requests(motion: str, frames: int, count: int) -> list[RenderedClip]:
    """Held-out clips of a motion, whose captions and masks are the requests; no object was tuned on."""
    from mvmodel.world.render import HELD_OUT, random_clip
    from mvmodel.world.samples import SAMPLE_SCENES
    from mvmodel.world.sprites import OBJECTS

    tuned = {name for name, _ in SAMPLE_SCENES[motion]}
    names = [name for name in OBJECTS if name not in tuned]
    return [
        random_clip((HELD_OUT, number, 76), frames, motion=motion, objects=(names[number % len(names)],), pan=0.0)
        for number in range(count)
    ]


def measure_motion(pack: str, motion: str, requests: int, tuning_steps: int | None) -> dict[str, Any]:
    """Every metric of every request, without and with tuning: {"not tuned": [...], "tuned": [...]}."""
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.load import load_backend
    from mvmodel.backends.training_config import TrainConfig
    from mvmodel.generation.requests import generate_video
    from mvmodel.masks import MaskSequence
    from mvmodel.metrics.judge import judge_video
    from mvmodel.training.finetune import finetune

    models = load_pack_once(pack)
    backend, frames = load_backend(models), models.info.frames
    config = GenerationConfig()
    steps = {} if tuning_steps is None else {"steps": tuning_steps}
    rows: dict[str, Any] = {"not tuned": [], "tuned": []}
    with tempfile.TemporaryDirectory() as work:
        clips = render_motion_clips(motion, frames)
        tuned = finetune(backend, clips, TrainConfig(**steps), Path(work), report=lambda row: None)
        adapters = {"not tuned": models.start_adapter(), "tuned": tuned}
        for seed, clip in enumerate(render_requests(motion, frames, requests)):
            first = backend.first_frames([clip.caption], clip.masks[:1], [seed], config)[0]
            for name, adapter in adapters.items():
                video = generate_video(
                    backend, adapter, clip.caption, MaskSequence(clip.masks), first, config, seed, mask_term=True
                )
                judgement = judge_video(
                    video, clip.masks, clip.caption, models.scorer(), models.segmenter(), list(clip.objects)
                )
                rows[name].append({key: float(value) for key, value in judgement.metrics.items()})
    return rows


def measure_pack(pack: str, clips: int) -> dict[str, float]:
    """The part of `mvmodel packs check` that depends on the start adapter."""
    from mvmodel.foundation.few_shot_quality import measure_few_shot

    return measure_few_shot(load_pack_once(pack), clips)


def format_table(rows: dict[str, Any]) -> str:
    """Markdown: means of both packs, without and with tuning, and the paired gain of tuning with its interval.

    rows: "PACK/MOTION" -> what `measure_motion` returned.
    """
    from mvmodel.metrics.report_card import bootstrap_interval

    out = [
        "| " + " | ".join(["pack", "adapter", "videos", *COLUMNS.values()]) + " |",
        "|---" * (3 + len(COLUMNS)) + "|",
    ]
    for pack in (SHIPPED, CANDIDATE):
        cells = [figures for key, figures in rows.items() if key.startswith(f"{pack}/") and "tuned" in figures]
        if not cells:
            continue
        videos = {name: [video for cell in cells for video in cell[name]] for name in ("not tuned", "tuned")}
        for name, group in videos.items():
            values = [[video[metric] for video in group if metric in video] for metric in COLUMNS]
            means = [f"{np.mean(numbers):.3f}" if numbers else "" for numbers in values]
            out.append("| " + " | ".join([pack, name, str(len(group)), *means]) + " |")
        gains = []
        for metric in COLUMNS:
            gain = tuning_gain(cells, metric)
            low, high = bootstrap_interval(gain)
            gains.append(f"{gain.mean():+.3f} ({low:+.3f} to {high:+.3f})" if len(gain) else "")
        out.append("| " + " | ".join([pack, "tuned minus not tuned", "", *gains]) + " |")
    return "\n".join(out)


def tuning_gain(cells: list[dict[str, Any]], metric: str) -> np.ndarray:
    """Tuned minus not tuned of every request, float (requests,); requests without the metric are left out."""
    pairs = [pair for cell in cells for pair in zip(cell["tuned"], cell["not tuned"], strict=True)]
    return np.array([after[metric] - before[metric] for after, before in pairs if metric in after and metric in before])


def judge_candidate(rows: dict[str, Any]) -> str:
    """One sentence: which of the two packs' start adapters to keep, and why."""
    from mvmodel.foundation.pack_quality import CEILINGS, FLOORS
    from mvmodel.metrics.report_card import bootstrap_interval

    shipped, candidate = rows.get(f"{SHIPPED}/check"), rows.get(f"{CANDIDATE}/check")
    cells = [figures for key, figures in rows.items() if key.startswith(f"{CANDIDATE}/") and "tuned" in figures]
    if not shipped or not candidate or not cells:
        return "Not everything is measured yet."
    reasons = [name for name, floor in FLOORS.items() if candidate.get(name, floor) < floor]
    reasons += [name for name, ceiling in CEILINGS.items() if candidate.get(name, ceiling) > ceiling]
    share, earlier_share = candidate["few_shot_share"], shipped["few_shot_share"]
    if share < earlier_share - TOLERANCE:
        reasons.append(f"share of the ceiling {share:.3f} instead of {earlier_share:.3f}")
    gains = {metric: bootstrap_interval(tuning_gain(cells, metric)) for metric in ("iou", "motion_cosine")}
    if not any(low > 0 for low, _ in gains.values()):
        reasons.append("no certain gain of tuning in IoU or motion cosine")
    if reasons:
        return f"Keep the shipped start adapter: the candidate fails by {'; '.join(reasons)}."
    return f"Take the candidate: share of the ceiling {share:.3f} (shipped {earlier_share:.3f}), and tuning has a gain."


def train_candidate(options: argparse.Namespace) -> Path:
    """Train the start adapter, if that has not been done, and return the candidate pack's folder."""
    from mvmodel.foundation.pack_assembly import assemble_pack
    from mvmodel.foundation.stages import run_stage
    from mvmodel.foundation.start_clips import StartAdapterData
    from mvmodel.packs.info import find_pack_folder

    source, out = find_pack_folder(options.pack), options.folder / "pack"
    changes = {
        name: getattr(options, name)
        for name in ("steps", "batch", "lr", "minutes", "precision")
        if getattr(options, name) is not None
    }
    data = StartAdapterData(options.clips, tuple(options.motions), options.device, options.render_workers)
    run_stage("start_adapter", options.folder, changes=changes, data=data, models=source)
    return out if (out / "pack.json").exists() else assemble_pack(options.folder, out, check=False, start=source)


def main(arguments: list[str] | None = None) -> None:
    from mvmodel.world.samples import SAMPLE_SCENES

    parser = argparse.ArgumentParser(prog="python -m benchmarks start_adapter", description=__doc__)
    add_cell_options(parser, "start_adapter.jsonl")
    parser.add_argument("--folder", type=Path, default=Path(".mvmodel/benchmarks/start_adapter"))
    parser.add_argument("--motions", nargs="+", default=list(SAMPLE_SCENES), help="motions that are left out")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--minutes", type=float, default=3.0, help="length of the training, rendering not included")
    parser.add_argument("--steps", type=int, default=20_000, help="optimizer steps at most")
    parser.add_argument("--clips", type=int, default=4000, help="clips that are rendered to train on")
    parser.add_argument("--render-workers", type=int, default=1, help="processes that render")
    parser.add_argument("--batch", type=int, default=24, help="clips a step")
    parser.add_argument("--lr", type=float, help="peak learning rate; default: the stage's own")
    parser.add_argument("--precision", choices=("no", "bf16", "fp16"), help="default: the stage's own")
    parser.add_argument("--requests", type=int, default=8, help="requests a motion")
    parser.add_argument("--check-clips", type=int, default=12, help="videos of the pack check; 0 leaves it out")
    parser.add_argument("--tuning-steps", type=int, help="default: that of the settings")
    options = parser.parse_args(arguments)
    if not options.table:
        train_candidate(options)
    packs = {SHIPPED: options.pack, CANDIDATE: str(options.folder / "pack")}
    recipe = {
        "packs": {name: load_pack_once(pack).hash for name, pack in packs.items()},
        "requests": options.requests,
        "steps": options.tuning_steps,
        "check": options.check_clips,
    }
    log = MeasurementLog(options.out, recipe)
    if not options.table:
        # the longest first, so that no worker ends late
        checks = {f"{name}/check": (pack, options.check_clips) for name, pack in packs.items() if options.check_clips}
        cells: dict[str, tuple[Any, ...]] = {key: ("check", *arguments) for key, arguments in checks.items()}
        for name, pack in packs.items():
            for motion in options.motions:
                cells[f"{name}/{motion}"] = ("motion", pack, motion, options.requests, options.tuning_steps)
        measure_missing(log, measure_cell, cells, options.workers)
    rows = log.rows()
    for key, figures in rows.items():
        if key.endswith("/check"):
            print(key, {name: round(value, 4) for name, value in figures.items()})
    print(f"\n{format_table(rows)}\n\n{judge_candidate(rows)}")


def measure_cell(kind: str, *arguments: Any) -> dict[str, Any]:
    """A worker's part: a pack's check or one of its motions."""
    return measure_pack(*arguments) if kind == "check" else measure_motion(*arguments)


if __name__ == "__main__":
    main()
