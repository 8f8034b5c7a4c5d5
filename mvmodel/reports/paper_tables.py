"""The paper's tables next to ours: which of our videos belong to which of its rows, and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mvmodel.metrics.report_card import summarise
from mvmodel.metrics.score import METRICS
from mvmodel.reports.formatting import NO_VALUE, find_summary_row, format_count, format_interval, format_number

ABLATION_STUDY = "ablation_study"
"""The experiment that measures the rows and the diversity that a report's own videos cannot."""
PAPER_METRICS = ("alignment", "consistency", "iou")
"""The metrics that the paper prints, in its order."""
EXTRA_METRICS = {"motion": METRICS["motion"].label, "diversity": "Diversity over seeds"}
"""Our further columns: consistency means little without motion, and the paper's reviewers asked for diversity."""
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class PaperRow:
    """A row of the paper's tables. condition: the one of `ablation_study` that repeats it. printed: its values."""

    label: str
    condition: str
    printed: Mapping[str, float]


PAPER_ROWS = {
    "full": PaperRow("Full method", "full", {"alignment": 0.330, "consistency": 0.974, "iou": 0.917}),
    "no_mask": PaperRow("Without mask cross-attention", "tuned_without_mask", {"iou": 0.184}),
    "no_shared_noise": PaperRow("Without first-frame shared noise", "no_shared_noise", {"iou": 0.908}),
    "no_first_frame": PaperRow("Without ControlNet first frame", "no_control", {"alignment": 0.299}),
}
"""arXiv 2503.18386, its tables: measured by its authors with Stable Diffusion, CLIP and their own clips."""


def build_paper_table(metrics: pd.DataFrame, study: pd.DataFrame | None = None) -> list[dict[str, Any]]:
    """The rows to print: [{label, note, ours: [{text, small}], printed: [text]}].

    metrics: the report's own videos, one row each. study: the videos of `ablation_study`, one row each, or None if it
    was not run. The full method of the report and that of the study have separate rows: their videos differ.
    """
    card = summarise(metrics, metrics=[*METRICS, "diversity"]) if len(metrics) else None
    full = _build_row(PAPER_ROWS["full"], card, "full", "this report's videos")
    if study is None or not len(study):
        no_mask = _build_row(PAPER_ROWS["no_mask"], card, "no_mask", "here: switched off in the trained adapter")
        unmeasured = [
            _build_row(PAPER_ROWS[name], None, name, f"measured by {ABLATION_STUDY}")
            for name in ("no_shared_noise", "no_first_frame")
        ]
        return [full, no_mask, *unmeasured]
    study_card = summarise(study, metrics=[*METRICS, "diversity"])
    rows = []
    for name, row in PAPER_ROWS.items():
        note = f"in {ABLATION_STUDY}" + (": an adapter tuned without it" if name == "no_mask" else "")
        rows.append(_build_row(row, study_card, row.condition, note))
    rows[0]["printed"] = ["" for _ in PAPER_METRICS]  # printed in the first row already
    return [full, *rows]


def _build_row(row: PaperRow, card: pd.DataFrame | None, condition: str, note: str) -> dict[str, Any]:
    cells = []
    for metric in (*PAPER_METRICS, *EXTRA_METRICS):
        summary = None if card is None else find_summary_row(card, condition, metric)
        if summary is None:
            cells.append({"text": NOT_MEASURED, "small": ""})
            continue
        digits = METRICS[metric].digits if metric in METRICS else 3
        count = format_count(int(summary["videos"]), "prompt" if metric == "diversity" else "video")
        interval = f"{format_interval(summary, digits)}, " if summary["videos"] > 1 else ""
        cells.append({"text": format_number(summary["mean"], digits), "small": f"{interval}{count}"})
    printed = [format_number(row.printed[metric]) if metric in row.printed else NO_VALUE for metric in PAPER_METRICS]
    return {"label": row.label, "note": note, "ours": cells, "printed": printed}


def get_column_labels() -> list[str]:
    """Labels of our columns; the first ones are also the paper's."""
    return [*(METRICS[name].label for name in PAPER_METRICS), *EXTRA_METRICS.values()]


def get_study_command(rows: Sequence[Mapping[str, Any]], command: str) -> str:
    """`command`, which runs the study, if a row or the diversity was not measured, else ""."""
    empty_row = any(all(cell["text"] == NOT_MEASURED for cell in row["ours"]) for row in rows)
    no_diversity = all(row["ours"][-1]["text"] == NOT_MEASURED for row in rows)
    return command if empty_row or no_diversity else ""


def describe_differences(provenance: Mapping[str, Any], frames: tuple[int, ...], has_study: bool) -> list[str]:
    """Sentences on how the paper's measurement differs from ours, so that nobody compares the numbers directly.

    frames: shape of a video, (frames, height, width, 3).
    """
    pack = provenance.get("pack", "unnamed")
    pack = pack.get("name", "unnamed") if isinstance(pack, dict) else pack
    scorer = provenance.get("scorer", "the pack's own scorer")
    shape = f"{frames[0]} frames of {frames[2]}×{frames[1]}"
    without_mask = (
        "Without the mask: as in the paper, a separate adapter is tuned without mask cross-attention on the same "
        "clips. If the motion's adapter starts from the pack's start adapter, so does this one, and the start adapter "
        "was trained with masks."
        if has_study
        else "Without the mask: the paper trains without mask cross-attention. Here the mask term of the trained "
        "adapter is switched off, so what is left is an adapter that expects the mask."
    )
    return [
        f"Models: the paper builds on Stable Diffusion and scores with CLIP. This report uses the pack “{pack}”, "
        f"scored "
        f"by {scorer}. Cosines of different scorers cannot be compared.",
        f"Videos: {shape} here. The authors' clips, prompts and masks are not public.",
        without_mask,
        "IoU: here the judge looks for the object without seeing the control mask. The paper does not say how it found "
        "the object.",
        "Diversity: the mean cosine of videos that differ only in their seed, one value per prompt. Lower is more "
        "diverse. The paper prints none.",
    ]
