"""The paper's tables beside ours: which of our videos stand in which of its rows, and what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mvmodel.metrics.report_card import summarise
from mvmodel.metrics.score import METRICS
from mvmodel.reports.texts import count, interval, lookup, number

if TYPE_CHECKING:
    import pandas as pd

STUDY = "ablation_study"
"""The experiment that measures the rows and the diversity that a report's own videos cannot."""
COLUMNS = ("alignment", "consistency", "iou")
"""The paper's figures, in its order."""
OWN_COLUMNS = {"motion": METRICS["motion"].label, "diversity": "Diversity over seeds"}
"""What stands beside ours alone: consistency means little without motion, and diversity was asked for by reviewers."""
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Row:
    """A row of the paper's tables. theirs: its printed figures. study: the experiment's condition that repeats it."""

    label: str
    study: str
    theirs: Mapping[str, float]


ROWS = {
    "full": Row("Full method", "full", {"alignment": 0.330, "consistency": 0.974, "iou": 0.917}),
    "no_mask": Row("Without mask cross-attention", "tuned_without_mask", {"iou": 0.184}),
    "no_shared_noise": Row("Without first-frame shared noise", "no_shared_noise", {"iou": 0.908}),
    "no_first_frame": Row("Without ControlNet first frame", "no_control", {"alignment": 0.299}),
}
"""arXiv 2503.18386, its tables: measured by its authors with Stable Diffusion, CLIP and their own clips."""


def table(metrics: pd.DataFrame, study: pd.DataFrame | None = None) -> list[dict[str, Any]]:
    """The rows to print: [{label, note, ours: [{text, small}], theirs: [text]}].

    metrics: the report's own videos, one row each. study: the experiment's, one row a video (`condition` as there), or
    None where it has not been run. The report's own full method and the experiment's stand in rows of their own: they
    are not the same videos.
    """
    card = summarise(metrics, metrics=[*METRICS, "diversity"]) if len(metrics) else None
    own = _line(ROWS["full"], card, "full", "this report's videos")
    if study is None or not len(study):
        off = _line(ROWS["no_mask"], card, "no_mask", "here: switched off in the trained adapter")
        rest = [_line(ROWS[name], None, name, f"measured by {STUDY}") for name in ("no_shared_noise", "no_first_frame")]
        return [own, off, *rest]
    measured = summarise(study, metrics=[*METRICS, "diversity"])
    note = f"in {STUDY}"
    lines = [_line(row, measured, row.study, _note(name, note)) for name, row in ROWS.items()]
    lines[0]["theirs"] = ["" for _ in COLUMNS]  # once is enough
    return [own, *lines]


def _note(name: str, where: str) -> str:
    return f"{where}: an adapter tuned without it" if name == "no_mask" else where


def _line(row: Row, card: pd.DataFrame | None, condition: str, note: str) -> dict[str, Any]:
    cells = []
    for metric in (*COLUMNS, *OWN_COLUMNS):
        found = None if card is None else lookup(card, condition, metric)
        if found is None:
            cells.append({"text": NOT_MEASURED, "small": ""})
            continue
        digits = METRICS[metric].digits if metric in METRICS else 3
        over = count(int(found["videos"]), "prompt" if metric == "diversity" else "video")
        spread = f"{interval(found, digits)}, " if found["videos"] > 1 else ""
        cells.append({"text": number(found["mean"], digits), "small": f"{spread}{over}"})
    theirs = [number(row.theirs[metric]) if metric in row.theirs else "–" for metric in COLUMNS]
    return {"label": row.label, "note": note, "ours": cells, "theirs": theirs}


def heads() -> list[str]:
    """Heads of our columns; the paper's are the first of them."""
    return [*(METRICS[name].label for name in COLUMNS), *OWN_COLUMNS.values()]


def how_to_measure(rows: list[dict[str, Any]], command: str) -> str:
    """The command that fills the cells that say "not measured", or nothing where no row or column lacks figures."""
    empty = any(all(cell["text"] == NOT_MEASURED for cell in row["ours"]) for row in rows)
    no_diversity = all(row["ours"][-1]["text"] == NOT_MEASURED for row in rows)
    return command if empty or no_diversity else ""


def differences(provenance: Mapping[str, Any], frames: tuple[int, ...], study: bool) -> list[str]:
    """What differs between the paper's measurement and this one, so that nobody compares the figures themselves."""
    pack = provenance.get("pack", "unnamed")
    pack = pack.get("name", "unnamed") if isinstance(pack, dict) else pack
    scorer = provenance.get("scorer", "the pack's own scorer")
    shape = f"{frames[0]} frames of {frames[2]}×{frames[1]}"
    off = (
        "Without the mask: as in the paper, an adapter of its own is tuned without mask cross-attention, on the same "
        "clips. It begins with the pack's start adapter where the motion's own does, and that one has seen masks."
        if study
        else "Without the mask: the paper trains without mask cross-attention; here the term of the trained adapter is "
        "switched off, so what is left is an adapter that has learned to expect it."
    )
    return [
        f"Models: the paper builds on Stable Diffusion and scores with CLIP; here it is the pack “{pack}”, scored by "
        f"{scorer}. Cosines of different scorers do not compare.",
        f"Pictures: {shape} here; the authors' clips, prompts and masks are not public.",
        off,
        "IoU: here the judge looks for the object without seeing the control mask; the paper does not say how it found "
        "its own.",
        "Diversity: the mean cosine of videos that differ in their seed alone, one figure a prompt; lower is more "
        "diverse. The paper prints none.",
    ]
