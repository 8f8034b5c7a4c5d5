"""Whether the words of objects are in the prompt that binds them."""

from __future__ import annotations

import re

from mvmodel.errors import InputError
from mvmodel.generation.requests import bind_instances
from mvmodel.masks import MaskSequence


def check_words(sequence: MaskSequence, prompt: str) -> None:
    """Raise InputError if all objects have names, but the prompt does not contain the words of all."""
    names = [re.sub(r"( copy| \d+)+$", "", name) for name in sequence.names]
    if not names or not all(names) or bind_instances(sequence, prompt) is not None:
        return
    missing = [name for name in names if not re.search(rf"\b{re.escape(name)}\b", prompt, re.IGNORECASE)]
    raise InputError(
        f"the prompt does not contain {' and '.join(map(repr, dict.fromkeys(missing)))}, the words of an object; write "
        f"them into the prompt, or change the object's words"
    )
