"""The tables of `benchmarks.peers`: means, and every method's paired difference to ours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmodel.files import atomic_write, write_json

if TYPE_CHECKING:
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.packs import Pack

TABLE_METRICS = (
    "iou",
    "iou_independent",
    "motion_cosine",
    "object_error",
    "object_change",
    "flicker",
    "colour_drift",
    "consistency",
    "alignment",
    "motion",
)
DIFFERENCE_METRICS = TABLE_METRICS[:-2]
EXTRA_LABELS = {"object_error": "Object error", "object_change": "Object change"}
EXTRA_DIGITS = {"object_error": 1, "object_change": 1}
MARKS = ("<!-- figures -->", "<!-- end of figures -->")
REFERENCES = ("first_frame_repeated", "cut_out")
"""Methods without diffusion."""
ROW_COLUMNS = {metric: metric for metric in TABLE_METRICS} | {"identity": "object_change"}
"""Key of a method's row -> column of the videos' table."""


def summarize_methods(rows: list[dict[str, Any]], methods: Mapping[str, tuple[str, bool]]) -> list[dict[str, Any]]:
    """One row per method: means, 95 % intervals over videos (None for fewer than two), and what kind of method it is.

    rows: one per video. methods: method -> its name, and whether it sees the masks of frames 2 to n.
    """
    import pandas as pd

    from mvmodel.metrics.report_card import bootstrap_interval

    data, summaries = pd.DataFrame(rows), []
    for method in (name for name in methods if name in set(data["method"])):
        videos = data[data["method"] == method]
        label, sees_masks = methods[method]
        summary: dict[str, Any] = {
            "method": method,
            "label": label,
            "sees_masks": sees_masks,
            "ours": is_ours(method),
            "from_nothing": is_ours(method) and method not in ("ours", "plain"),
            "no_diffusion": method in REFERENCES,
            "videos": len(videos),
        }
        for key, column in ROW_COLUMNS.items():
            if column in videos and videos[column].notna().any():
                low, high = bootstrap_interval(videos[column].to_numpy(float))
                summary[key] = round(float(videos[column].mean()), 5)
                summary[f"{key}_interval"] = [round(low, 5), round(high, 5)] if np.isfinite(low) else None
        summaries.append(summary)
    return summaries


def is_ours(method: str) -> bool:
    """Whether a method is mvmodel's, with or without its options for later frames."""
    return method.startswith(("ours", "plain"))


def format_table(rows: list[dict[str, Any]], methods: Mapping[str, tuple[str, bool]], timed: bool) -> str:
    """The means as a markdown table, best IoU first; 95 % intervals of IoU over videos.

    methods: method -> its name, and whether it sees the masks of frames 2 to n. timed: add the columns of seconds.
    """
    import pandas as pd

    from mvmodel.metrics.report_card import bootstrap_interval

    data = pd.DataFrame(rows)
    names = [name for name in TABLE_METRICS if name in data.columns]
    heads = ["method", "sees masks 2..n", "videos", *(_label(name) for name in names)]
    heads += ["training, s", "a video, s"] if timed else []
    lines = ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(heads) - 2)]
    for method in data.groupby("method")["iou"].mean().sort_values(ascending=False).index:
        method_rows = data[data["method"] == method]
        words, sees = methods[str(method)]
        cells = [
            f"{method_rows[name].mean():.{_digits(name)}f}" if method_rows[name].notna().any() else "–"
            for name in names
        ]
        low, high = bootstrap_interval(method_rows["iou"].to_numpy(float))
        if np.isfinite(low):
            cells[0] += f" ({low:.2f} to {high:.2f})"
        if timed:
            cells += [f"{method_rows['seconds_training'].max():.0f}", f"{method_rows['seconds_video'].mean():.1f}"]
        lines.append("| " + " | ".join([words, "yes" if sees else "no", str(len(method_rows)), *cells]) + " |")
    requests, motions = data["name"].nunique(), data["slug"].nunique()
    count = f"{requests} requests of {motions} motions, at most one video of each per method."
    return "\n".join([*lines, "", count])


def format_differences(rows: list[dict[str, Any]], methods: Mapping[str, tuple[str, bool]], reference: str) -> str:
    """`reference` minus every other method on the same requests, with 95 % intervals, as a markdown table."""
    import pandas as pd

    from mvmodel.metrics.report_card import bootstrap_interval

    data = pd.DataFrame(rows)
    names = [name for name in DIFFERENCE_METRICS if name in data.columns]
    lines = ["| minus | " + " | ".join(_label(name) for name in names) + " |", "|---|" + "---:|" * len(names)]
    by_method = {str(method): group.set_index("name") for method, group in data.groupby("method")}
    if reference not in by_method:
        return ""
    for method in methods:
        if method == reference or method not in by_method:
            continue
        cells = []
        for name in names:
            values = (by_method[reference][name] - by_method[method][name]).to_numpy(float)
            values = values[np.isfinite(values)]
            low, high = bootstrap_interval(values)
            digits = _digits(name)
            cells.append(
                f"{values.mean():+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})" if len(values) else "–"
            )
        lines.append(f"| {methods[method][0]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def replace_table(page: Path, text: str) -> None:
    """Replace what stands between the page's two marks."""
    before, rest = page.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    with atomic_write(page) as temporary_file:
        temporary_file.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}")


def write_rows(
    rows: list[dict[str, Any]],
    out: Path,
    pack: Pack,
    generation: GenerationConfig,
    steps: int,
    earlier_rows: Sequence[dict[str, Any]] = (),
) -> None:
    """The rows as CSV, with the machine in the column `device`, and beside it what they were made with and on.

    earlier_rows: rows of an earlier run, which stay where no new row has the same method, setting and request.
    """
    import pandas as pd

    from benchmarks.machine import describe_machine

    out.parent.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    machine["card"] = None if pack.device == "cpu" else machine["card"]
    new_rows = [{**row, "device": machine["card"] or machine["processor"]} for row in rows]
    identities = {_identify(row) for row in new_rows}
    data = pd.DataFrame([row for row in earlier_rows if _identify(row) not in identities] + new_rows)
    with atomic_write(out) as temporary_file:
        data.round(5).to_csv(temporary_file, index=False)
    record = {
        "pack": pack.info.name,
        "pack_hash": pack.hash,
        "random_pack": pack.info.random,
        "optimiser_steps": steps,
        "generation": generation.model_dump(mode="json"),
        "machine": machine,
    }
    write_json(out.with_suffix(".json"), record)


def _identify(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("method", "setting", "slug", "name"))


def read_all_rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a file; none if there is no file."""
    import pandas as pd

    rows: list[dict[str, Any]] = pd.read_csv(file).to_dict("records") if file.exists() else []
    return rows


def read_rows(file: Path, setting: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of a file, with ours under `setting`, and what they were made with and on."""
    rows = [row for row in read_all_rows(file) if row["setting"] in ("-", setting)]
    return rows, json.loads(file.with_suffix(".json").read_text())


def load_summary(file: Path, setting: str, methods: Mapping[str, tuple[str, bool]], reference: str) -> dict[str, Any]:
    """What `--json` prints: one row per method, the reference of comparisons, and what they were made with and on."""
    rows, record = read_rows(file, setting)
    return {"rows": summarize_methods(rows, methods), "reference": reference, "setting": setting, **record}


def _label(metric: str) -> str:
    from mvmodel.experiments import plots

    return EXTRA_LABELS.get(metric) or plots.get_metric_label(metric)


def _digits(metric: str) -> int:
    from mvmodel.metrics.score import METRICS

    return METRICS[metric].digits if metric in METRICS else EXTRA_DIGITS[metric]
