"""The model card of an adapter."""

from __future__ import annotations

import json
from typing import Any


def model_card(facts: dict[str, Any]) -> str:
    """The card, in the hub's Markdown, from what `train.json` records."""
    names = "\n".join(f"- {clip['name']}: {clip['caption'] or '(no caption)'}" for clip in facts["clips"])
    parts = "\n".join(f"| {part} | {count:,} |" for part, count in facts["parameters"].items())
    config = json.dumps(facts["config"], indent=2)
    warning = "\n**Trained on a random pack: it shows nothing.**\n" if facts["random_pack"] else ""
    licence = facts["config"]["data_licence"] or "not stated; ask who made the clips before you pass the adapter on"
    before, after = facts["validation_loss_before"], facts["validation_loss_after"]
    if before is None:
        figures = "No clip was held out, so nothing is measured here; `mvmodel metrics` measures videos made with it."
    else:
        figures = (
            f"Denoising loss on held-out clips, on fixed draws: {before:.4f} before, {after:.4f} after tuning. It says "
            f"that training took hold, not how good videos are; `mvmodel metrics` measures those."
        )
    return f"""---
library_name: mvmodel
tags: [motion-adapter, mask-control]
---
# Motion adapter
{warning}
Tuned on {len(facts["clips"])} clips with mvmodel {facts["mvmodel"]}, for the pack `{facts["pack"]}`
(`{facts["pack_hash"][:12]}`). Use it with `mvmodel generate` or `MaskVideoPipeline`.

## Clips
{names}

Licence of the clips: {licence}.

## Figures
{figures}

## Trainable parameters
| part | weights |
|---|---|
{parts}

## Recipe
The same clips, pack, configuration and machine give the same weights.

```json
{config}
```
"""
