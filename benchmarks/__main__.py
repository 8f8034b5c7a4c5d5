"""`python -m benchmarks [NAME] [OPTIONS]` measures speed, memory and quality on this machine.

Without a name it runs flops, cost, long, imports, render, scoring, judging and masks in turn. The other benchmarks take
hours and have options of their own, see `python -m benchmarks NAME --help`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.cost import CostConfig, measure_cost
from benchmarks.flops import count_unet_flops
from benchmarks.imports import measure_imports
from benchmarks.long_video import measure_long_videos
from benchmarks.machine import describe_machine, format_lines, round_numbers
from benchmarks.masks import MasksConfig, measure_masks
from benchmarks.speed import measure_judging, measure_rendering, measure_scoring
from mvmodel.libraries import quiet_libraries

Figures = dict[str, Any]

BENCHMARKS: dict[str, Callable[[], Figures]] = {
    "flops": count_unet_flops,
    "cost": measure_cost,
    "long": measure_long_videos,
    "imports": measure_imports,
    "render": measure_rendering,
    "scoring": measure_scoring,
    "judging": measure_judging,
    "masks": measure_masks,
}
"""Name -> function, of the benchmarks that `all` runs."""
COMPARISONS = {
    "catalogue": "how listing, grouping, the store and the UI grow with the number of clips",
    "drift": "what reduces the drift of long videos",
    "ingestion": "ingestion against bare decoding of the same frames",
    "fuzz": "whether damaged files end in clips or in the quarantine",
    "gpu": "training and generation at the size of Stable Diffusion 1.5 on a GPU",
    "later_frames": "ControlNet, background, noise, drafts and colours of the frames after frame 1",
    "mask_term": "what makes objects follow their masks",
    "mask_steps": "how much sooner the masks are there if two steps compute them",
    "memory": "peak memory of every memory plan at the size of Stable Diffusion 1.5, without a GPU",
    "orchestration": "what Dagster costs on top of the library: seconds and records",
    "peers": "other methods on the same pack, by the same judge",
    "pictures": "contact sheets before and after, and the moving picture of the README",
    "rehearsal": "the whole pipeline at the size of Stable Diffusion 1.5 with random weights, by stage",
    "sampling": "noise sharing and schedulers",
    "sentences": "sentences that the grammar does not understand",
    "sentence_memory": "peak memory of masks from a sentence, in a process of its own",
    "shapes": "quality at sizes that a pack was not trained on",
    "studio": "how long a person waits in the studio: for the page, the preview of an edit, and a video",
    "start_adapter": "a start adapter without some motions, and what tuning on them brings",
    "two_objects": "two objects, each with its own mask",
}
"""Benchmarks that are modules with a `main` and options of their own -> what they measure."""


def main(arguments: list[str] | None = None) -> None:
    """Runs one benchmark, or all of `BENCHMARKS`."""
    quiet_libraries()
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in COMPARISONS:
        import_module(f"benchmarks.{arguments[0]}").main(arguments[1:])
        return
    options = _parse(arguments)
    names = list(BENCHMARKS) if options.name == "all" else [options.name]
    on = describe_machine()
    sized: dict[str, Callable[[], Figures]] = {}
    if options.quick:
        sized = {
            "cost": lambda: measure_cost(CostConfig.quick()),
            "masks": lambda: measure_masks(MasksConfig.quick()),
        }
    elif options.clips or options.sequences or options.segmenter or options.variants:
        sized = {"masks": lambda: measure_masks(_masks_config(options))}
    figures = {name: round_numbers({**BENCHMARKS, **sized}[name]()) for name in names}
    content = (
        figures if len(figures) > 1 else figures[names[0]]
    )  # the figures of a single benchmark are at the top level
    text = json.dumps({**content, "on": on}, indent=2)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
    if options.json:
        print(text)
        return
    for name, value in {**figures, "on": on}.items():
        print(*format_lines(name, value), sep="\n")


def _masks_config(options: argparse.Namespace) -> MasksConfig:
    """The size of the masks benchmark. --sequences, --segmenter and --variants leave out all but real sequences."""
    changes: dict[str, Any] = {"clips": options.clips} if options.clips else {}
    if options.sequences:
        changes["sequences"] = options.sequences
    if options.sequences or options.segmenter or options.variants:
        changes |= {"segmenters": tuple(options.segmenter or ()), "renders": False}
    changes |= {"variants": options.variants}
    return MasksConfig(**changes)


def _parse(arguments: list[str]) -> argparse.Namespace:
    comparisons = "\n".join(f"  {name:12} {description}" for name, description in COMPARISONS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"benchmarks with options of their own:\n{comparisons}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", default="all", choices=[*BENCHMARKS, *COMPARISONS, "all"])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="run cost and masks at their smallest size")
    parser.add_argument("--clips", type=int, help="held-out renders of each kind for masks (default 12)")
    parser.add_argument(
        "--sequences", type=Path, help="folder of NAME/frames and NAME/masks for masks, without renders"
    )
    parser.add_argument("--segmenter", action="append", help="segmenter for masks on real sequences; may be repeated")
    parser.add_argument(
        "--variants",
        action="store_true",
        help="measure masks on real sequences, also mirrored, dark, reversed and so on",
    )
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
