"""Figures of `python -m benchmarks gpu` as Markdown tables, for docs/sd15.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Figures = dict[str, Any]


def format_tables(report: Figures) -> str:
    """One table for each part that was measured, under the card's name."""
    card = report["on"]["card"] or "CPU"
    parts = {
        "agreement": _format_agreement,
        "ladder": _format_ladder,
        "tuning": _format_passes,
        "denoising": _format_passes,
        "launches": _format_passes,
        "compiled": _format_passes,
        "video": _format_passes,
    }
    tables = [
        f"#### {card}: {name}\n" + "\n".join(format_rows(report[name]))
        for name, format_rows in parts.items()
        if name in report
    ]
    return "\n\n".join(tables)


def format_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """The lines of a Markdown table; numbers with three significant digits."""
    yield f"| {' | '.join(header)} |"
    yield "|---" * len(header) + "|"
    for row in rows:
        yield f"| {' | '.join(format_cell(cell) for cell in row)} |"


def format_cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _format_ladder(figures: dict[str, Figures]) -> Iterator[str]:
    header = ("plan, models, training", "limit, GiB", "training: peak (reserved), GiB", "s a step")
    header += ("video: peak (reserved), GiB", "s first frame", "s a video")
    rungs = {name: row for name, row in figures.items() if "training" in row}
    rows = []
    for name, row in rungs.items():
        training, video = row["training"], row["video"]
        rows.append(
            (
                name,
                row["limit_gib"],
                _format_peak(training),
                training.get("seconds_a_step", "-"),
                _format_peak(video),
                video.get("seconds_first_frame", "-"),
                video.get("seconds", "-"),
            )
        )
    yield from format_table(header, rows)
    for name, row in figures.items():
        if name not in rungs:
            yield f"{name}: {', '.join(f'{key} {format_cell(value)}' for key, value in row.items())}"


def _format_peak(row: Figures) -> str:
    peaks = "{} ({})".format(*(format_cell(row.get(f"peak_{kind}_gib", "-")) for kind in ("allocated", "reserved")))
    return f"does not fit: {row['failed'][:60]} {peaks}" if "failed" in row else peaks


def _format_agreement(figures: dict[str, Figures]) -> Iterator[str]:
    names = ("first_frame_psnr", "video_psnr", "loss", "reference_loss", "largest_metric_difference", "metric")
    header = ("number type", "first frame, dB", "video, dB", "loss", "loss on the CPU", "largest difference", "metric")
    rows = [(dtype, *(row.get(name, row.get("failed", "-")) for name in names)) for dtype, row in figures.items()]
    yield from format_table(header, rows)


def _format_passes(figures: dict[str, Figures]) -> Iterator[str]:
    columns = list(
        dict.fromkeys(key for row in figures.values() for key, cell in row.items() if not isinstance(cell, dict))
    )
    rows = [(name, *(row.get(column, "-") for column in columns)) for name, row in figures.items()]
    yield from format_table(("", *(column.replace("_", " ") for column in columns)), rows)
