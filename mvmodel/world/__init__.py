"""The motion world: rendered clips with exact masks, captions and motion labels.

It makes the shipped sample clips, the training data of the tiny pack and the ground truth that metrics are
calibrated against. Everything is a pure function of a seed.
"""
