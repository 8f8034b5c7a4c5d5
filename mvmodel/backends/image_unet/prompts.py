"""The part of a prompt that a text encoder does not read."""

from __future__ import annotations

from typing import Any

MAX_COUNTED_TOKENS = 10_000


def find_cut_text(tokenizer: Any, prompt: str) -> str:
    """The end of a prompt that does not fit into the text encoder, in the tokenizer's spelling; "" if all of it fits.

    Stable Diffusion's text encoder reads 77 tokens, two of which mark the beginning and the end.
    """
    tokens = tokenizer(prompt, add_special_tokens=False, truncation=True, max_length=MAX_COUNTED_TOKENS).input_ids
    kept = int(tokenizer.model_max_length) - len(tokenizer("").input_ids)
    return str(tokenizer.decode(tokens[kept:])).strip() if len(tokens) > kept else ""
