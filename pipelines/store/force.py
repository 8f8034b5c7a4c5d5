"""The tag by which a run asks to train although a stored result has the same recipe."""

from __future__ import annotations

import dagster as dg

FORCE_TAG = "mvmodel/force"
"""Set it to "true" in the launchpad, by `mvmodel-pipeline run --retrain`, or by `automation.force`."""


def is_forced(context: dg.AssetExecutionContext) -> bool:
    """Whether the run of a step has the tag."""
    return context.run.tags.get(FORCE_TAG, "").lower() in ("true", "yes", "1")
