"""How good a video is: pure functions on arrays, with their formulas, ranges and sources in the docstrings.

judge        judges one video: detections, every metric that the inputs allow, and the scorer's record
score        the table of metrics, and their computation from arrays
adherence    does the object fill its control mask; the detector never sees that mask
appearance   consistency, alignment and colour drift, on embeddings and colours
flow         motion and flicker, from optical flow without weights
stability    warping error and smoothness, from the same flow
scorer       the CLIP that gives the embeddings
report_card  means with intervals and counts
config       settings of the judge
protocols    what the metrics need of a scorer
"""
