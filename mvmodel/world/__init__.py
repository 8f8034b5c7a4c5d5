"""The motion world: rendered clips with exact masks, captions and motion labels.

The sample clips, the training data of the tiny pack and the ground truth for calibrating metrics come from it.
Everything is a pure function of a seed.
"""
