"""Few-shot tuning of a motion adapter on a handful of clips with masks."""
