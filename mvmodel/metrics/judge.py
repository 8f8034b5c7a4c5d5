"""The judge of one video: detects the object, computes the metrics, and records which scorer gave them.

Every part of the project that measures a video calls `judge_video`. The detection never sees the control masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmodel.metrics import adherence
from mvmodel.metrics.adherence import Detections
from mvmodel.metrics.appearance import colour_distances
from mvmodel.metrics.config import JudgeConfig
from mvmodel.metrics.score import check_shapes, compute_metrics
from mvmodel.progress import start_task
from mvmodel.text import find_object_words

if TYPE_CHECKING:
    from mvmodel.metrics.protocols import JudgeModels, ScorerProtocol
    from mvmodel.segmentation.protocols import SegmenterProtocol
    from mvmodel.segmentation.u2net import U2NetSegmenter


@dataclass(frozen=True)
class Judgement:
    """What the judge says about one video.

    metrics: name in `METRICS` -> value; what could not be computed is missing. detections: where the object was found,
    None without a segmenter. embeddings: of the frames, float32 (frames, size), None without a scorer. scorer: the
    scorer's record (name, hash of the weights, preprocessing), empty without one.
    """

    metrics: dict[str, float]
    detections: Detections | None = None
    embeddings: np.ndarray | None = None
    scorer: dict[str, Any] = field(default_factory=dict)

    @property
    def record(self) -> dict[str, Any]:
        """What is stored beside the metrics: the scorer's record, and `detection_frames`, the number of frames in which
        the judge looked for the object, if it did not look in all."""
        indices = None if self.detections is None else self.detections.indices
        return self.scorer if indices is None else {"detection_frames": len(indices), **self.scorer}


def judge_video(
    frames: np.ndarray,
    masks: np.ndarray | None = None,
    prompt: str | None = None,
    scorer: ScorerProtocol | None = None,
    segmenter: SegmenterProtocol | None = None,
    object_words: str | Sequence[str] | None = None,
    *,
    detections: Detections | None = None,
    independent: U2NetSegmenter | None = None,
    config: JudgeConfig = JudgeConfig(),
) -> Judgement:
    """Measure one video with every metric in `METRICS` that the inputs allow.

    frames: uint8 RGB (frames, height, width, 3). masks: control masks, bool (frames, height, width). object_words: what
    to look for; None takes the scorer's words that the prompt names, else the prompt itself. detections: what
    `adherence.detect` returned for these frames, to save detecting again. independent: finds the
    object once more, for `iou_independent`. None for any other argument leaves out the metrics that need it.

    Raises InputError when frames and masks do not fit each other.
    """
    check_shapes(frames, masks)
    with start_task("measure the video", 3) as advance:
        encodings = None
        if detections is None and segmenter is not None and scorer is not None and (prompt or object_words):
            words = get_object_words(prompt, object_words, scorer)
            indices = adherence.get_detection_frames(len(frames), config)
            encodings = segmenter.encode(frames if indices is None else frames[indices])
            detections = adherence.detect(frames, segmenter, scorer, words, config=config, encodings=encodings)
        advance()
        embeddings = None if scorer is None else scorer.images(frames)
        advance()
        metrics = compute_metrics(
            frames, masks, prompt, scorer, segmenter, detections, embeddings, config, independent, encodings
        )
    return Judgement(metrics, detections, embeddings, {} if scorer is None else scorer.record)


def judge_with_pack(
    pack: JudgeModels,
    frames: np.ndarray,
    masks: np.ndarray | None,
    prompt: str | None,
    object_words: str | Sequence[str] | None = None,
    config: JudgeConfig = JudgeConfig(),
) -> Judgement:
    """`judge_video` by a pack's models, and by the independent segmenter where it is on this machine.

    Arguments and errors are those of `judge_video`.
    """
    independent = pack.independent_segmenter()
    models = pack.scorer(), pack.segmenter()
    return judge_video(frames, masks, prompt, *models, object_words, independent=independent, config=config)


def judge_iou(
    frames: np.ndarray,
    masks: np.ndarray,
    scorer: ScorerProtocol,
    segmenter: SegmenterProtocol,
    object_words: Sequence[str],
    config: JudgeConfig = JudgeConfig(),
) -> np.ndarray:
    """The `iou` of `judge_video` alone, frame by frame: float (frames,), 0..1; (detection_frames,) of `config` if set.

    frames: uint8 RGB (frames, height, width, 3). masks: control masks, bool (frames, height, width).
    """
    detections = adherence.detect(frames, segmenter, scorer, object_words, config=config)
    return adherence.iou(detections.of(detections.foreground), detections.of(masks))


def compute_frame_metrics(
    frames: np.ndarray, masks: np.ndarray, prompt: str, scorer: ScorerProtocol, judgement: Judgement
) -> dict[str, np.ndarray]:
    """The metrics that can be followed frame by frame: name -> float (frames,).

    iou, alignment, to_first (cosine with frame 1) and colour_drift (distance to frame 1, 0 for frame 1). judgement:
    what `judge_video` returned for these frames, with detections and embeddings.
    """
    if judgement.detections is None or judgement.embeddings is None:
        raise ValueError("the video was judged without a scorer or a segmenter")
    embeddings = judgement.embeddings
    return {
        "iou": adherence.iou(judgement.detections.foreground, masks),
        "alignment": embeddings @ scorer.texts([prompt])[0],
        "to_first": embeddings @ embeddings[0],
        "colour_drift": np.concatenate([[0.0], colour_distances(frames, masks)]),
    }


def get_object_words(prompt: str | None, object_words: str | Sequence[str] | None, scorer: ScorerProtocol) -> list[str]:
    """What the judge looks for, see `judge_video`."""
    if object_words:
        return [object_words] if isinstance(object_words, str) else list(object_words)
    return find_object_words(prompt or "", scorer.words) or [prompt or ""]
