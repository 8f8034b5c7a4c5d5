"""The model card of an adapter."""

from __future__ import annotations

import json
from typing import Any


def model_card(record: dict[str, Any]) -> str:
    """The card, in the hub's Markdown, from the contents of `train.json`."""
    clips = "\n".join(f"- {clip['name']}: {clip['caption'] or '(no caption)'}" for clip in record["clips"])
    parameters = "\n".join(f"| {part} | {count:,} |" for part, count in record["parameters"].items())
    config = json.dumps(record["config"], indent=2)
    warning = "\n**Trained on a random pack: it shows nothing.**\n" if record["random_pack"] else ""
    licence = record["config"]["data_licence"] or "not stated; ask who made the clips before you pass the adapter on"
    return f"""---
library_name: mvmodel
tags: [motion-adapter, mask-control]
---
# Motion adapter
{warning}
Tuned on {len(record["clips"])} clips with mvmodel {record["mvmodel"]}, for the pack `{record["pack"]}`
(`{record["pack_hash"][:12]}`). Use it with `mvmodel generate` or `MaskVideoPipeline`.

## Clips
{clips}

Licence of the clips: {licence}.

## Metrics
{_describe_validation(record["validation_loss_before"], record["validation_loss_after"])}

## Trainable parameters
| part | weights |
|---|---|
{parameters}

## Recipe
The same clips, pack, configuration and machine give the same weights.

```json
{config}
```
"""


def _describe_validation(loss_before: float | None, loss_after: float | None) -> str:
    """The validation losses in a sentence; None where no clip was held out."""
    if loss_before is None:
        return "No clip was held out, so no loss was measured. Measure generated videos with `mvmodel metrics`."
    return (
        f"Denoising loss on held-out clips, on fixed draws: {loss_before:.4f} before tuning, {loss_after:.4f} after. "
        f"It shows that training worked, not how good videos are; measure those with `mvmodel metrics`."
    )
