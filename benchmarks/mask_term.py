"""What makes the mask term hold: `python -m benchmarks.mask_term --out FILE` measures, with `--table` it prints.

One cell is a variant and a seed: an adapter tuned on six clips of one motion, then videos on held-out clips whose
objects, backgrounds and, for half of them, motion it was not tuned on. Frame 1 is the held-out clip's own, so that
only the mask term is compared. Each cell is a line of FILE; a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MOTION = "gallop"
OTHERS = ("bounce", "zigzag", "glide", "spin", "fall", "flap")
"""Motions of the test clips that the adapter was not tuned on."""
TRAINED_ON = ("horse", "dog", "cow", "pig", "elephant", "cat")
FRAMES = 12


@dataclass(frozen=True)
class Variant:
    """Changes to the default configurations; `train` None takes the pack's start adapter as it is."""

    train: dict[str, Any] | None = field(default_factory=dict)
    generate: dict[str, Any] = field(default_factory=dict)
    mask_term: bool = True


_SCRATCH = {"init_from": None, "steps": 350, "lr": 3e-4}
_LINEAR = {**_SCRATCH, "mask_encoder": "linear"}
_UNGUIDED = {"mask_guidance": False}
VARIANTS = {
    "no mask term": Variant(mask_term=False),
    "paper: linear, one lr, no mask guidance": Variant({**_LINEAR, "mask_lr": 3e-4, "foreground_weight": 0}, _UNGUIDED),
    "linear, lr of its own": Variant({**_LINEAR, "mask_lr": 4e-2, "foreground_weight": 0}, _UNGUIDED),
    "linear, lr of its own, mask guidance": Variant({**_LINEAR, "mask_lr": 4e-2, "foreground_weight": 0}),
    "conv": Variant({**_SCRATCH, "mask_lr": 3e-3, "foreground_weight": 0}, _UNGUIDED),
    "conv, mask guidance": Variant({**_SCRATCH, "mask_lr": 3e-3, "foreground_weight": 0}),
    "conv, mask guidance, foreground-weighted": Variant({**_SCRATCH, "mask_lr": 3e-3}),
    "conv, mask guidance, mask dropout": Variant({**_SCRATCH, "mask_lr": 3e-3, "mask_dropout": 0.1}),
    "conv, mask guidance, 4 foreground keys": Variant({**_SCRATCH, "mask_lr": 3e-3, "foreground_tokens": 4}),
    "start adapter, not tuned": Variant(None),
    "from start, no mask guidance": Variant({}, _UNGUIDED),
    "from start (the default)": Variant(),
    "from start, mask guidance 4": Variant({}, {"mask_guidance_scale": 4.0}),
    "from start, mask guidance 6": Variant({}, {"mask_guidance_scale": 6.0}),
    "from start, both guidances 4": Variant({}, {"guidance_scale": 4.0}),
    "from start, foreground not weighted": Variant({"foreground_weight": 0}),
    "from start, mask dropout": Variant({"mask_dropout": 0.1}),
    "from start, min-SNR 5": Variant({"min_snr_gamma": 5.0}),
    "from start, EMA": Variant({"ema": 0.98}),
    "from start, no dropout": Variant({"dropout": 0.0}),
    "from start, dpm++ at 20": Variant({}, {"scheduler": "dpm++"}),
    "from start, unipc at 20": Variant({}, {"scheduler": "unipc"}),
    "from start, ddim at 50": Variant({}, {"steps": 50}),
    "from start, alpha 0": Variant({}, {"alpha": 0.0}),
    "from start, alpha 0.4": Variant({}, {"alpha": 0.4}),
    "from start, sharing noise": Variant({}, {"sharing": "noise"}),
    "from start, sharing variance-preserving": Variant({}, {"sharing": "variance_preserving"}),
}


def test_clips(count: int) -> list[tuple[str, Any]]:
    """(group, clip): half "trained motion", half "new motion", no object of which was tuned on."""
    from mvmodel.world.render import HELD_OUT, random_clip
    from mvmodel.world.sprites import OBJECTS

    free = [name for name in OBJECTS if name not in TRAINED_ON]
    clips = []
    for number in range(count):
        trained = number % 2 == 0
        motion = MOTION if trained else OTHERS[number // 2 % len(OTHERS)]
        name = free[number % len(free)]
        clip = random_clip((HELD_OUT, number, 71), frames=FRAMES, motion=motion, objects=(name,), second_object=0)
        clips.append(("trained motion" if trained else "new motion", clip))
    return clips


def training_clips(seed: int) -> list[Any]:
    """Six clips of the motion, by seed."""
    from mvmodel.training.config import TrainingClip
    from mvmodel.world.render import TRAIN, random_clip

    out = []
    for number, name in enumerate(TRAINED_ON):
        clip = random_clip((TRAIN, 700_000 + seed, number), frames=FRAMES, motion=MOTION, objects=(name,))
        out.append(TrainingClip(name, clip.frames, clip.masks, clip.caption))
    return out


class Judge:
    """IoU of frames 2..n with their masks by the automatic judge, on every `stride`-th frame."""

    def __init__(self, pack: Any, stride: int) -> None:
        self.pack, self.stride = pack, stride

    def __call__(self, frames: np.ndarray, clip: Any) -> float:
        from mvmodel.metrics.adherence import find_foreground, iou

        picked = slice(1, None, self.stride)
        found = find_foreground(frames[picked], self.pack.segmenter(), self.pack.scorer(), list(clip.objects))
        return float(iou(found, clip.masks[picked]).mean())


def ceiling(pack: Any, clips: Sequence[tuple[str, Any]], judge: Judge) -> list[float]:
    """The judge's IoU on the autoencoder's copy of each true clip: what a perfect video would get."""
    import torch

    from mvmodel.training.latents import encode_frames

    scores = []
    for _, clip in clips:
        with torch.no_grad():
            latents = encode_frames(pack.vae(), clip.frames) / pack.vae().config.scaling_factor
            copy = pack.vae().decode(latents).sample.clamp(-1, 1)
        frames = ((copy + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        scores.append(judge(frames, clip))
    return scores


def cell(
    pack: Any, variant: Variant, seed: int, clips: Sequence[tuple[str, Any]], judge: Judge, work: Path
) -> list[Any]:
    """IoU of every test clip's video."""
    import torch

    from mvmodel.files import hash_value
    from mvmodel.generation.build import build_pipeline
    from mvmodel.generation.config import GenerationConfig
    from mvmodel.generation.long_video import call_options
    from mvmodel.training.config import TrainConfig
    from mvmodel.training.finetune import finetune

    if variant.train is None:
        adapter = pack.start_adapter()
    else:
        config = TrainConfig(**{"seed": seed, **variant.train})
        room = work / hash_value([config.model_dump(), seed, pack.hash])[:16]  # variants that differ later share it
        adapter = finetune(pack, training_clips(seed), config, room, report=lambda row: None)
    generation = GenerationConfig(**variant.generate)
    pipeline = build_pipeline(pack, adapter, generation)
    scores = []
    for number, (_, clip) in enumerate(clips):
        generator = torch.Generator().manual_seed(seed * 1000 + number)
        options = {**call_options(generation), "mask_term": variant.mask_term, "generator": generator}
        video = pipeline(clip.caption, clip.masks, clip.frames[0], **options).frames[0]
        scores.append(judge((video * 255).round().astype(np.uint8), clip))
    return scores


def measure(given: argparse.Namespace) -> None:
    """Fill in the cells that FILE lacks, ceiling first."""
    import torch

    from mvmodel.packs import load_pack

    torch.set_num_threads(given.threads)
    pack = load_pack(given.pack)
    clips, judge = test_clips(given.clips), Judge(pack, given.stride)
    groups = [group for group, _ in clips]
    about = {"pack": pack.hash, "clips": given.clips, "stride": given.stride}
    done = {(row["variant"], row["seed"]) for row in rows(given.out) if all(row[k] == v for k, v in about.items())}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(given.work or tempfile.mkdtemp(prefix="mask-term-"))

    def keep(variant: str, seed: int, scores: list[float]) -> None:
        with open(given.out, "a") as file:
            file.write(json.dumps({"variant": variant, "seed": seed, **about, "group": groups, "iou": scores}) + "\n")
        print(f"{variant}, seed {seed}: {np.mean(scores):.3f}", flush=True)

    if ("ceiling", 0) not in done:
        keep("ceiling", 0, ceiling(pack, clips, judge))
    for seed in given.seeds:
        for name, variant in VARIANTS.items():
            if (name, seed) in done or (given.only and not any(part in name for part in given.only)):
                continue
            keep(name, seed, cell(pack, variant, seed, clips, judge, work))


def rows(file: Path) -> list[dict[str, Any]]:
    """The cells measured so far."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def table(found: Sequence[dict[str, Any]]) -> str:
    """Markdown: mean IoU by group, a 95 % interval over clips, the spread over seeds, and the share of the ceiling."""
    from mvmodel.metrics.report_card import bootstrap_interval

    groups = ("trained motion", "new motion")
    ceilings = next(row for row in found if row["variant"] == "ceiling")
    out = ["| variant | seeds | " + " | ".join(f"{group} | of ceiling" for group in groups) + " |", "|---" * 6 + "|"]
    for name in dict.fromkeys(row["variant"] for row in found):
        cells = [row for row in found if row["variant"] == name]
        line = [name, str(len(cells))]
        for group in groups:
            chosen = np.array([g == group for g in ceilings["group"]])
            values = np.array([row["iou"] for row in cells])[:, chosen]  # (seeds, clips)
            low, high = bootstrap_interval(values.mean(axis=0))
            spread = f", seeds ±{values.mean(axis=1).std(ddof=1):.3f}" if len(cells) > 1 else ""
            share = values.mean() / np.array(ceilings["iou"])[chosen].mean()
            line += [f"{values.mean():.3f} ({low:.3f}–{high:.3f}{spread})", f"{share:.2f}"]
        out.append("| " + " | ".join(line) + " |")
    return "\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mask_term", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/mask_term.jsonl"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--stride", type=int, default=2, help="judge every so many frames")
    parser.add_argument("--only", nargs="+", help="variants whose names contain one of these")
    parser.add_argument("--pack", default="tiny")
    parser.add_argument("--work", help="where adapters are kept between runs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="print what FILE holds, measure nothing")
    given = parser.parse_args()
    if given.table:
        print(table(rows(given.out)))
    else:
        measure(given)


if __name__ == "__main__":
    main()
