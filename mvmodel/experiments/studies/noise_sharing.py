"""How much of frame 1 belongs into the later frames' starting noise, in three ways of mixing it in."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from mvmodel.experiments import plots
from mvmodel.experiments.bench import MOTION_ADAPTER, Bench
from mvmodel.experiments.cells import Cell
from mvmodel.experiments.compare import compute_difference, compute_group_means, select_rows
from mvmodel.experiments.config import NoiseSharingConfig
from mvmodel.experiments.experiment import Claim, Conclusion, Experiment, Tables
from mvmodel.metrics.score import METRICS

MODES: dict[str, str] = {"paper": "paper", "noise": "frame 1's noise", "variance_preserving": "variance-preserving"}
METRIC_DIRECTIONS = {"colour_drift": -1, "iou": 1, "step": -1, "alignment": 1}
"""Metrics by which an alpha is called best, and which way is better."""


PAPER_ALPHA = 0.2
"""The share that the paper takes."""


class NoiseSharing(Experiment[NoiseSharingConfig]):
    name = "noise_sharing_sweep"
    title = "First-frame shared noise"
    question = "Is there a best share of frame 1 in the later frames' noise, and does the way of mixing it matter?"
    factors = ("sharing", "alpha")
    names = MODES
    headline = ("colour_drift", "iou", "consistency", "motion", "alignment")
    config = NoiseSharingConfig

    def cells(self, bench: Bench, config: NoiseSharingConfig) -> list[Cell]:
        return [
            Cell(
                factors={"sharing": mode, "alpha": alpha},
                task=task,
                adapter=MOTION_ADAPTER,
                # without frame 1 in it, the noise is the same whatever the way: one video, not one a way
                generation=bench.generation_config(config, alpha=alpha, noise_sharing=mode if alpha else "paper"),
            )
            for mode in config.modes
            for alpha in config.alphas
            for task in bench.tasks(config)
        ]

    def complete(self, tables: Tables, results: object, bench: Bench) -> Tables:
        videos = tables.videos.copy()
        videos["step"] = 1 - videos["consistency_adjacent"]
        return Tables(videos, tables.frames)

    def plots(self, tables: Tables) -> dict[str, Figure]:
        metrics = ("colour_drift", "step", "motion", "iou", "alignment", "flicker")
        return {"alpha": plots.plot_curves(tables.videos, "alpha", metrics, "sharing", "alpha", MODES)}

    def conclude(self, tables: Tables, config: NoiseSharingConfig) -> Conclusion:
        sentences = []
        inner_optima: list[str] = []
        for mode in config.modes:
            rows = select_rows(tables.videos, {"sharing": mode})
            parts = []
            for metric, better in METRIC_DIRECTIONS.items():
                best, certain = find_best_alpha(rows, metric, better)
                if best is None:
                    continue
                at_an_end = best in (min(config.alphas), max(config.alphas))
                if not at_an_end:
                    inner_optima.append(f"{best:g} for {_name(metric)} ({MODES[mode]}{', certain' if certain else ''})")
                spread = compute_difference(rows, {"alpha": best}, {"alpha": _worst(rows, metric, better)}, metric)
                words = f", {abs(spread.mean):.3f} from the worst" if spread.pairs else ""
                parts.append(f"{_name(metric)} at {best:g}{' (an end of the range)' if at_an_end else ''}{words}")
            sentences.append(f"Mixed the way “{MODES[mode]}”, the best metrics lie at: {', '.join(parts)}.")
            sentences.append(_stiffness(rows, config))
        sentences += _papers(tables.videos, config)
        certain_ones = [text for text in inner_optima if text.endswith("certain)")]
        if certain_ones:
            sentences.append(
                f"Best strictly inside the range, and certain against both ends: {'; '.join(certain_ones)}."
            )
        elif inner_optima:
            sentences.append(
                f"Best strictly inside the range, but not certain against both ends: {'; '.join(inner_optima)}. So "
                "these few videos point to such an alpha without making it certain."
            )
        else:
            sentences.append("No metric has its best alpha strictly inside the range: every optimum lies at an end.")
        claim = Claim(
            "some metric has a best alpha strictly inside the range"
            + (f" ({len(certain_ones)} of {len(inner_optima)} certain against both ends)" if inner_optima else ""),
            bool(inner_optima),
        )
        return Conclusion(sentences, [claim])


def _papers(rows: pd.DataFrame, config: NoiseSharingConfig) -> list[str]:
    """What the paper's own share and way bring against none and against the most, where the range has them."""
    rows = select_rows(rows, {"sharing": "paper"})
    if PAPER_ALPHA not in config.alphas or rows.empty:
        return []
    ends = [end for end in (min(config.alphas), max(config.alphas)) if end != PAPER_ALPHA]
    parts = []
    for end in ends:
        gaps = [
            f"{_name(metric)} by {gap}"
            for metric in ("colour_drift", "iou", "motion")
            if (gap := compute_difference(rows, {"alpha": PAPER_ALPHA}, {"alpha": end}, metric)).pairs
        ]
        parts.append(f"against {end:g} {', '.join(gaps)}")
    return [f"The paper's alpha of {PAPER_ALPHA:g}, mixed its way, changes {'; '.join(parts)}."] if parts else []


def _worst(rows: pd.DataFrame, metric: str, better: int) -> float:
    alpha_means = compute_group_means(rows, "alpha", metric)
    return float(min(alpha_means, key=lambda alpha: better * alpha_means[alpha]))  # type: ignore[arg-type]


def find_best_alpha(rows: pd.DataFrame, metric: str, better: int) -> tuple[float | None, bool]:
    """The alpha with the best mean, and whether pairs of videos separate it from both ends of the range."""
    alpha_means = compute_group_means(rows, "alpha", metric)
    if not alpha_means:
        return None, False
    best = max(alpha_means, key=lambda alpha: better * alpha_means[alpha])
    ends = [end for end in (min(alpha_means), max(alpha_means)) if end != best]  # type: ignore[type-var]
    gaps = [compute_difference(rows, {"alpha": best}, {"alpha": end}, metric) for end in ends]
    certain = bool(gaps) and all(gap.certain and better * gap.mean > 0 for gap in gaps)
    return float(best), certain  # type: ignore[arg-type]


def _stiffness(rows: pd.DataFrame, config: NoiseSharingConfig) -> str:
    """Whether frames freeze at the far end of the range."""
    gap = compute_difference(rows, {"alpha": max(config.alphas)}, {"alpha": min(config.alphas)}, "motion")
    return f"From alpha {min(config.alphas):g} to {max(config.alphas):g} the foreground's motion changes by {gap}."


def _name(metric: str) -> str:
    names = {"step": "frame-to-frame distance", "iou": "IoU", "motion": "motion"}
    return names.get(metric) or METRICS[metric].label.lower()
