"""Are motions learned, or only enforced by the masks? What the motions of the detected objects say about that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import scipy.stats

from mvmodel.motion.recognition import MotionRecognizer
from mvmodel.reports.conditions import get_condition
from mvmodel.reports.entries import VideoEntry

CONTROL_MASKS = "control masks"
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Recognition:
    """How many videos of a condition show the motion that they were asked for. p_value: of so many by chance."""

    condition: str
    label: str
    recognized: int
    videos: int
    p_value: float


def measure_recognition(videos: Sequence[tuple[str, VideoEntry]], recognizer: MotionRecognizer) -> list[Recognition]:
    """The control masks themselves, then every condition. videos: (motion, video); those without detections are left
    out. Empty with fewer than two known motions, between which there is nothing to choose."""
    if len(recognizer.motions) < 2:
        return []
    rows: dict[str, list[bool]] = {}
    for motion, video in videos:
        if motion not in recognizer.motions or video.detected is None:
            continue
        if video.condition == "full":
            rows.setdefault(CONTROL_MASKS, []).append(recognizer.recognize(video.masks) == motion)
        rows.setdefault(video.condition, []).append(recognizer.recognize(video.detected) == motion)
    results = []
    for name, hits in rows.items():
        chance = 1 / len(recognizer.motions)
        p_value = float(scipy.stats.binomtest(sum(hits), len(hits), chance, alternative="greater").pvalue)
        label = CONTROL_MASKS if name == CONTROL_MASKS else get_condition(name).label.lower()
        results.append(Recognition(name, label, sum(hits), len(hits), p_value))
    return results


def describe_recognition(results: Sequence[Recognition], motions: int) -> str:
    """What the results say, in three sentences; "" without any."""
    by_name = {result.condition: result for result in results}
    full, no_mask = by_name.get("full"), by_name.get("no_mask")
    if full is None:
        return ""
    others = [f"{r.label} {r.recognized} of {r.videos}" for r in results if r is not full]
    text = (
        f"Among {motions} motions, the detected object moves like the clips of its own motion in {full.recognized} of "
        f"{full.videos} videos ({', '.join(others)})."
    )
    if no_mask is None:
        return text
    if no_mask.p_value < 1 - _CONFIDENCE:
        return f"{text} With the mask term off it still does so more often than by chance: the motion was also learned."
    return (
        f"{text} With the mask term off this is not more than chance would give: the masks enforce the motion, and "
        f"nothing shows that it was learned."
    )
