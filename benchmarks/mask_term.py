"""What makes the mask term hold: `python -m benchmarks.mask_term --out FILE` measures, with `--table` it prints.

One cell is a variant and a seed: an adapter tuned on six clips of one motion, then videos on held-out clips whose
objects, backgrounds and, for half of them, motion it was not tuned on. Frame 1 is the held-out clip's own, so that
only the mask term is compared. Each cell is a line of FILE; a stopped run goes on where it was. Samplers and ways of
sharing noise are compared by `benchmarks.sampling`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.mask_term_variants import DEFAULT, EXTRA_VARIANTS, VARIANTS, Variant
from benchmarks.workers import add_cell_options, load_pack_once, run_in_processes, use_one_thread

if TYPE_CHECKING:
    from mvmodel.packs import Pack

MOTION = "gallop"
OTHER_MOTIONS = ("bounce", "zigzag", "glide", "spin", "fall", "flap")
"""Motions of the test clips that the adapter was not tuned on."""
TRAINING_OBJECTS = ("horse", "dog", "cow", "pig", "elephant", "cat")
FRAMES = 12
CEILING = "ceiling"


def render_test_clips(count: int, salt: int = 71) -> list[tuple[str, Any]]:
    """(group, clip): half "trained motion", half "new motion", no object of which was tuned on."""
    from mvmodel.world.render import HELD_OUT, random_clip
    from mvmodel.world.sprites import OBJECTS

    free = [name for name in OBJECTS if name not in TRAINING_OBJECTS]
    clips = []
    for number in range(count):
        is_training_motion = number % 2 == 0
        motion = MOTION if is_training_motion else OTHER_MOTIONS[number // 2 % len(OTHER_MOTIONS)]
        name = free[number % len(free)]
        clip = random_clip((HELD_OUT, number, salt), frames=FRAMES, motion=motion, objects=(name,), second_object=0)
        clips.append(("trained motion" if is_training_motion else "new motion", clip))
    return clips


def render_training_clips(seed: int) -> list[Any]:
    """Six clips of the motion, by seed."""
    from mvmodel.backends.training_config import TrainingClip
    from mvmodel.world.render import TRAIN, random_clip

    out = []
    for number, name in enumerate(TRAINING_OBJECTS):
        clip = random_clip((TRAIN, 700_000 + seed, number), frames=FRAMES, motion=MOTION, objects=(name,))
        out.append(TrainingClip(name, clip.frames, clip.masks, clip.caption))
    return out


class StridedJudge:
    """IoU of frames 2..n with their masks by the automatic judge, on every `stride`-th frame."""

    def __init__(self, pack: Pack, stride: int) -> None:
        self.pack, self.stride = pack, stride

    def __call__(self, frames: np.ndarray, clip: Any) -> float:
        from mvmodel.metrics.judge import judge_iou

        part, models = slice(1, None, self.stride), (self.pack.scorer(), self.pack.segmenter())
        return float(judge_iou(frames[part], clip.masks[part], *models, list(clip.objects)).mean())


def measure_ceiling(pack: Pack, clips: Sequence[tuple[str, Any]], judge: StridedJudge) -> list[float]:
    """The judge's IoU on the autoencoder's copy of each true clip: what a perfect video would get."""
    from mvmodel.foundation.few_shot_quality import reconstruct_frames

    return [judge(reconstruct_frames(pack, clip.frames), clip) for _, clip in clips]


def tune_variant(pack: Pack, variant: Variant, seed: int, work: Path) -> Path:
    """The variant's adapter, tuned if it has not been; variants that differ later share it."""
    from mvmodel.backends.load import load_backend
    from mvmodel.backends.training_config import TrainConfig
    from mvmodel.files import hash_value
    from mvmodel.training.finetune import finetune

    if variant.train is None:
        start: Path = pack.start_adapter()
        return start
    config = TrainConfig(**{"seed": seed, **variant.train})
    work_dir = work / hash_value([config.model_dump(), seed, pack.hash, FRAMES])[:16]
    return finetune(load_backend(pack), render_training_clips(seed), config, work_dir, report=lambda row: None)


def measure_cell(
    pack: Pack, variant: Variant, seed: int, clips: Sequence[tuple[str, Any]], judge: StridedJudge, work: Path
) -> list[Any]:
    """IoU of every test clip's video."""
    import torch

    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.build import build_pipeline
    from mvmodel.backends.image_unet.long_video import pipeline_options
    from mvmodel.video.tensors import to_uint8

    generation = GenerationConfig(**variant.generate)
    pipeline = build_pipeline(pack, tune_variant(pack, variant, seed, work), generation)
    scores = []
    for number, (_, clip) in enumerate(clips):  # one by one: batches of four were no quicker on a CPU
        generator = torch.Generator().manual_seed(seed * 1000 + number)
        options = {**pipeline_options(generation), "mask_term": variant.mask_term, "generator": generator}
        video = pipeline(clip.caption, clip.masks, clip.frames[0], **options).frames[0]
        scores.append(judge(to_uint8(video), clip))
    return scores


def get_variant(name: str) -> Variant:
    return {**VARIANTS, **EXTRA_VARIANTS}[name]


def tune_one(pack: str, name: str, seed: int, work: Path) -> None:
    """A worker's part: one adapter."""
    tune_variant(load_pack_once(pack), get_variant(name), seed, work)


def run_cell(pack: str, name: str, seed: int, count: int, stride: int, work: Path) -> list[Any]:
    """A worker's part: one cell, "ceiling" among them."""
    models = load_pack_once(pack)
    clips, judge = render_test_clips(count), StridedJudge(models, stride)
    return (
        measure_ceiling(models, clips, judge)
        if name == CEILING
        else measure_cell(models, get_variant(name), seed, clips, judge, work)
    )


def measure(options: argparse.Namespace) -> None:
    """Fill in the cells that FILE lacks, ceiling first, seed by seed; each adapter is tuned once."""
    use_one_thread()
    pack, work = load_pack_once(options.pack), Path(options.work)
    recipe = {"pack": pack.hash, "clips": options.clips, "stride": options.stride}
    measured_cells = {
        (row["variant"], row["seed"]) for row in read_rows(options.out) if all(row[k] == v for k, v in recipe.items())
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    groups = [group for group, _ in render_test_clips(options.clips)]
    names = select_variants(options.only, options.all)
    for seed in options.seeds:
        lacking = [name for name in names if (name, seed) not in measured_cells]
        first = [] if (CEILING, 0) in measured_cells else [(CEILING, 0)]
        name_by_training = {
            json.dumps(get_variant(name).train): name for name in lacking if get_variant(name).train is not None
        }
        tuning = [(options.pack, name, seed, work) for name in name_by_training.values()]
        for (_, name, *_), _ in run_in_processes(tune_one, tuning, options.workers):
            print(f"tuned for {name}, seed {seed}", flush=True)
        cells = [
            (options.pack, name, s, options.clips, options.stride, work)
            for name, s in [*first, *((n, seed) for n in lacking)]
        ]
        for (_, name, cell_seed, *_), scores in run_in_processes(run_cell, cells, options.workers):
            with open(options.out, "a") as file:
                row = {"variant": name, "seed": cell_seed, **recipe, "group": groups, "iou": scores}
                file.write(json.dumps(row) + "\n")
            print(f"{name}, seed {cell_seed}: {np.mean(scores):.3f}", flush=True)
        measured_cells.add((CEILING, 0))


def select_variants(only: Sequence[str] | None, every: bool) -> list[str]:
    """Names of the variants to measure."""
    if only:
        return [name for name in {**VARIANTS, **EXTRA_VARIANTS} if any(part in name for part in only)]
    return list({**VARIANTS, **EXTRA_VARIANTS} if every else VARIANTS)


def read_rows(file: Path) -> list[dict[str, Any]]:
    """The cells measured so far."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def format_table(rows: Sequence[dict[str, Any]], against: str = DEFAULT) -> str:
    """Markdown: mean IoU by group, a 95 % interval over clips, the spread over seeds, the share of the ceiling, and how
    much more than `against` it is on the same clips and seeds, with the interval of that."""
    from mvmodel.metrics.report_card import bootstrap_interval

    groups = ("trained motion", "new motion")
    ceilings = next(row for row in rows if row["variant"] == CEILING)
    scores = {(row["variant"], row["seed"]): np.array(row["iou"]) for row in rows}
    reference = "the default" if against == DEFAULT else against
    heads = " | ".join(f"{group} | of ceiling | against {reference}" for group in groups)
    out = [f"| variant | seeds | {heads} |", "|---" * 8 + "|"]
    for name in dict.fromkeys(row["variant"] for row in rows):
        seeds = [seed for variant, seed in scores if variant == name]
        line = [name, str(len(seeds))]
        for group in groups:
            in_group = np.array([g == group for g in ceilings["group"]])
            values = np.array([scores[name, seed][in_group] for seed in seeds])  # (seeds, clips)
            low, high = bootstrap_interval(values.mean(axis=0))
            seed_spread = f", seeds ±{values.mean(axis=1).std(ddof=1):.3f}" if len(seeds) > 1 else ""
            share = values.mean() / np.array(ceilings["iou"])[in_group].mean()
            line += [f"{values.mean():.3f} ({low:.3f}–{high:.3f}{seed_spread})", f"{share:.2f}", ""]
            shared_seeds = [seed for seed in seeds if (against, seed) in scores]
            if shared_seeds and name not in (CEILING, against):
                gap = np.mean([(scores[name, seed] - scores[against, seed])[in_group] for seed in shared_seeds], axis=0)
                low, high = bootstrap_interval(gap)
                line[-1] = f"{gap.mean():+.3f} ({low:+.3f} to {high:+.3f})"
        out.append("| " + " | ".join(line) + " |")
    return "\n".join(out)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks mask_term", description=__doc__)
    add_cell_options(parser, "mask_term.jsonl")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--stride", type=int, default=2, help="judge every so many frames")
    parser.add_argument("--only", nargs="+", help="variants whose names contain one of these")
    parser.add_argument("--all", action="store_true", help="the neighbours of the contenders too")
    parser.add_argument(
        "--against", default=DEFAULT, choices=[*VARIANTS, *EXTRA_VARIANTS], help="the table's differences are to it"
    )
    parser.add_argument("--work", default=".mvmodel/benchmarks/mask_term", help="where adapters are kept between runs")
    options = parser.parse_args(arguments)
    if options.table:
        rows = read_rows(options.out)
        same = ("pack", "clips", "stride")  # as the last cell: others are not comparable
        print(format_table([row for row in rows if all(row[key] == rows[-1][key] for key in same)], options.against))
    else:
        measure(options)


if __name__ == "__main__":
    main()
