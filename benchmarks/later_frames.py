"""Options for the frames after frame 1: `python -m benchmarks later_frames` measures, with `--table` it prints.

One cell is an adapter, a setting and a held-out clip: frame 1 is the clip's, DPM++ in 10 steps. Adapters are the pack's
start adapter and one that is tuned from nothing on six gallops in 120 steps, which the command trains once and keeps in
`--work`. The clip's own camera path is used, as masks that are made with a pan know it. Clips with a still
camera, with a panning camera and of articulated objects are listed apart. Two judges measure: the pack's (IoU) and one
from outside (IoU, independent). `--development` measures on other clips: choose settings on those.

Videos are made by `--generators` processes on `--device`, in batches on a GPU, and judged by `--workers` processes on
the CPU. Settings come in order of importance, so that an interrupted run is a whole table of the first ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.later_frames_settings import NEUTRAL, PLAIN, REFERENCES, SETTINGS
from benchmarks.later_frames_videos import (
    ARTICULATED,
    NO_ADAPTER,
    NOTHING,
    RIGID,
    START,
    generate_videos,
    judge_frames,
    load_clips,
    read_camera,
    tune_from_nothing,
)
from benchmarks.mask_term import FRAMES
from benchmarks.measurements import MeasurementLog
from benchmarks.workers import add_cell_options, load_pack_once, run_in_two_stages, use_one_thread
from mvmodel.files import hash_value

COLUMNS = {
    "iou": "IoU",
    "iou_independent": "IoU, independent",
    "motion_cosine": "motion cosine",
    "motion": "motion",
    "flicker": "flicker",
    "colour_drift": "drift",
    "colour_frame_2": "colour, frame 2",
    "object_error": "object error",
    "object_change": "object change",
    "background_sharpness": "background sharpness",
    "object_sharpness": "object sharpness",
    "consistency": "consistency",
    "seconds": "seconds on a CPU",
}
"""Metric -> heading. Colour distances compare decoded frames with decoded frames. Object error is the CIELAB distance
to the true clip inside the masks; object change that to frame 1's object, deformed to fit the mask. Sharpness is the
mean magnitude of the Laplacian, as a share of the true clip's."""
DIGITS = {"motion": 2, "flicker": 2, "colour_drift": 2, "colour_frame_2": 2, "object_error": 1, "object_change": 1}
STILL, PANNING = "still", "panning"
HEADINGS = {STILL: "Still camera", PANNING: "Panning camera", ARTICULATED: "Articulated objects"}

Row = dict[str, Any]


def compose_key(adapter: str, setting: str, kind: str, number: int) -> str:
    """The key of a cell; another meaning of the setting's name is another cell."""
    identity = "-" if setting in REFERENCES else hash_value(SETTINGS[setting])[:8]
    return f"{adapter}/{setting}/{identity}/{kind}/{number}"


def generate_cells(
    pack: str,
    adapter: tuple[str, Path | None],
    setting: str,
    kind: str,
    numbers: Sequence[int],
    count: int,
    development: bool,
    device: str,
) -> list[tuple[Any, tuple[Any, ...]]]:
    """A generator's part: a batch of videos, each with its key and the arguments of `judge_cell`."""
    name, folder = adapter
    videos = generate_videos(pack, folder, setting, kind, numbers, count, development, device)
    return [
        (compose_key(name, setting, kind, number), (pack, kind, number, count, development, *video))
        for number, video in zip(numbers, videos, strict=True)
    ]


def judge_cell(
    pack: str, kind: str, number: int, count: int, development: bool, frames: np.ndarray, seconds: float, pans: bool
) -> Row:
    """A judge's part: the figures of one video."""
    group = ARTICULATED if kind == ARTICULATED else PANNING if pans else STILL
    clip = load_clips(kind, count, development)[number]
    models = load_pack_once(pack, "cpu")
    figures = judge_frames(models, frames, clip.frames, clip.masks, clip.caption, clip.objects)
    return {**figures, "seconds": seconds if seconds == seconds else None, "group": group}


def plan_batches(
    lacking: Iterable[tuple[str, str, str, int]], options: argparse.Namespace
) -> list[tuple[str, str, str, list[int]]]:
    """Cells (adapter, setting, kind, clip) as batches of clips whose camera stands still, and single others."""
    batches: list[tuple[str, str, str, list[int]]] = []
    open_batches: dict[tuple[str, str, str], list[int]] = {}
    for adapter, setting, kind, number in lacking:
        clips = options.clips if kind == RIGID else options.articulated
        is_estimated = SETTINGS.get(setting, {}).get("camera_source") == "clips"
        if is_estimated or read_camera(kind, clips, options.development, number).any():
            batches.append((adapter, setting, kind, [number]))
            continue
        batch = open_batches.get((adapter, setting, kind))
        if batch is None or len(batch) >= options.batch:
            batch = open_batches[adapter, setting, kind] = []
            batches.append((adapter, setting, kind, batch))
        batch.append(number)
    return batches


def measure(options: argparse.Namespace, log: MeasurementLog, names: Sequence[str]) -> None:
    """Measure the cells that the log lacks."""
    stored = log.rows()
    cells = []
    for name in names:
        adapters = [NO_ADAPTER] if name in REFERENCES else options.adapters
        clips = [(RIGID, n) for n in range(options.clips)] + [(ARTICULATED, n) for n in range(options.articulated)]
        cells += [(adapter, name, kind, number) for adapter in adapters for kind, number in clips]
    lacking = [cell for cell in cells if compose_key(*cell) not in stored]
    if not lacking:
        return
    folders: dict[str, Path | None] = {NO_ADAPTER: None}
    if START in options.adapters:
        folders[START] = load_pack_once(options.pack, options.device).start_adapter()
    if any(adapter == NOTHING for adapter, *_ in lacking):
        folders[NOTHING] = tune_from_nothing(options.pack, options.work, options.device)
    tasks = []
    for adapter, name, kind, numbers in plan_batches(lacking, options):
        count = options.clips if kind == RIGID else options.articulated
        chosen = (adapter, folders[adapter])
        tasks.append((options.pack, chosen, name, kind, numbers, count, options.development, options.device))
    for key, figures in run_in_two_stages(
        generate_cells, judge_cell, tasks, options.generators, options.workers, options.minutes
    ):
        log.add(key, figures)


def format_table(rows_by_setting: dict[str, list[Row]], base: str | None = None) -> str:
    """Markdown, a setting a line: means over clips; with a `base`, the paired differences to that setting.

    rows_by_setting: setting -> figures by clip, with the clip's number; a setting without figures is left out.
    """
    from mvmodel.metrics.report_card import bootstrap_interval

    out = ["| " + " | ".join(["setting", "videos", *COLUMNS.values()]) + " |"]
    out.append("|---" * (2 + len(COLUMNS)) + "|")
    for name, rows in rows_by_setting.items():
        if not rows or (base and name in (base, *REFERENCES)):
            continue
        line = [name, str(len(rows))]
        for metric in COLUMNS:
            values = np.array([row.get(metric, np.nan) for row in rows], float)
            if base:
                base_values = {_clip(row): row.get(metric, np.nan) for row in rows_by_setting.get(base, ())}
                values = values - np.array([base_values.get(_clip(row), np.nan) for row in rows], float)
            values = values[np.isfinite(values)]
            if not len(values):
                line.append("")
                continue
            low, high = bootstrap_interval(values)
            digits = DIGITS.get(metric, 3)
            mean = f"{values.mean():+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
            line.append(mean if base else f"{values.mean():.{digits}f}")
        out.append("| " + " | ".join(line) + " |")
    return "\n".join(out)


def _clip(row: Row) -> tuple[str, int]:
    return str(row["kind"]), int(row["clip"])


def group_rows(rows: dict[str, Row], adapter: str, group: str | None, names: Sequence[str]) -> dict[str, list[Row]]:
    """Setting -> its rows of one group of clips, or of all, in the order of `names`."""
    by_setting: dict[str, list[Row]] = {name: [] for name in names}
    for key, row in rows.items():
        row_adapter, name, _, kind, clip = key.split("/")
        expected = NO_ADAPTER if name in REFERENCES else adapter
        is_current = name in by_setting and key.split("/")[2] == compose_key(row_adapter, name, "", 0).split("/")[2]
        if is_current and row_adapter == expected and group in (None, row["group"]):
            by_setting[name].append({**row, "kind": kind, "clip": int(clip)})
    return by_setting


def print_tables(rows: dict[str, Row], names: Sequence[str], adapters: Sequence[str], base: str = PLAIN) -> None:
    """Print the tables of every adapter and group of clips, and of all, with the paired differences to `base`."""
    titles = {START: "the pack's start adapter", NOTHING: "an adapter from nothing"}
    for adapter in adapters:
        for group, heading in (*HEADINGS.items(), (None, "All clips")):
            by_setting = group_rows(rows, adapter, group, names)
            if any(by_setting[name] for name in names if name not in REFERENCES):
                print(f"{heading}, {titles[adapter]}\n\n{format_table(by_setting)}\n")
                print(f"Paired differences to {base!r}\n\n{format_table(by_setting, base)}\n")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks later_frames",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_cell_options(parser, "later_frames.jsonl")
    parser.add_argument("--clips", type=int, default=24, help="clips of rigid objects")
    parser.add_argument("--articulated", type=int, default=12, help="clips of articulated objects")
    parser.add_argument("--adapters", nargs="+", choices=[NOTHING, START], default=[NOTHING, START])
    parser.add_argument("--development", action="store_true", help="measure on clips that settings are chosen on")
    parser.add_argument("--only", nargs="+", help="settings whose names contain one of these")
    parser.add_argument(
        "--against", default=PLAIN, choices=list(SETTINGS), metavar="SETTING", help="base of differences"
    )
    parser.add_argument("--device", default="cpu", help="cpu, or cuda to generate on a GPU")
    parser.add_argument("--generators", type=int, default=1, help="processes that generate videos")
    parser.add_argument("--batch", type=int, help="clips in a batch; default: 1 on a CPU, 12 on a GPU")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing more after this long")
    parser.add_argument("--work", type=Path, default=Path(".mvmodel/benchmarks/later_frames"))
    options = parser.parse_args(arguments)
    options.batch = options.batch or (1 if options.device == "cpu" else 12)
    use_one_thread()
    recipe = {
        "pack": load_pack_once(options.pack, options.device).hash,
        "frames": FRAMES,
        "development": options.development,
        "neutral": NEUTRAL,
        "camera": "rendered",
    }
    log = MeasurementLog(options.out, recipe)
    names = [options.against] if options.only else []
    every = (PLAIN, *REFERENCES, *(name for name in SETTINGS if name != PLAIN))
    names += [n for n in every if n not in names and (not options.only or any(part in n for part in options.only))]
    if not options.table:
        measure(options, log, names)
    rows = log.rows()
    if not rows and options.table and (recipe_hash := log.last_recipe()):
        print(f"Measured under another recipe ({recipe_hash}): another pack, for example.\n")
        rows = log.rows(recipe_hash)
    print_tables(rows, names, options.adapters, options.against)


if __name__ == "__main__":
    main()
