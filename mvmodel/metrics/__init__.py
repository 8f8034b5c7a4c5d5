"""How good a video is: pure functions on arrays, with their formulas, ranges and sources in the docstrings.

appearance  consistency, alignment and colour drift, on embeddings and colours
adherence   does the object fill its control mask; the judge never sees that mask
flow        motion and flicker, from optical flow without weights
stability   warping error and smoothness, from the same flow
scorer      the CLIP that gives the embeddings
score       every figure of one video that the given inputs allow
report_card means with intervals and counts
"""

from mvmodel.metrics.report_card import bootstrap_interval, summarise
from mvmodel.metrics.score import METRICS, Metric, score_video

__all__ = ["METRICS", "Metric", "bootstrap_interval", "score_video", "summarise"]
