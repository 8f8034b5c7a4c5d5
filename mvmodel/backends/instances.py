"""Several objects in one video: each with its own masks, bound to its own words of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mvmodel.errors import InputError


@dataclass(frozen=True)
class Instance:
    """One object of a video. Copies of an object are instances with the same words.

    words: as they occur in the prompt, such as "a dog". masks: bool (frames, height, width).
    """

    words: str
    masks: np.ndarray

    def __post_init__(self) -> None:
        if self.masks.ndim != 3 or self.masks.dtype != np.bool_:
            raise InputError(
                f"the masks of {self.words!r} are {self.masks.dtype} {self.masks.shape}; give a bool array "
                f"(frames, height, width)"
            )


def union_masks(instances: Sequence[Instance]) -> np.ndarray:
    """All instances in one mask, bool (frames, height, width). Raises InputError when their sizes differ."""
    shapes = {instance.masks.shape for instance in instances}
    if len(shapes) != 1:
        raise InputError(f"the instances' masks differ in size ({sorted(shapes)}); give one length and size to all")
    masks: np.ndarray = np.logical_or.reduce([instance.masks for instance in instances])
    return masks


def merge_by_words(instances: Sequence[Instance]) -> list[Instance]:
    """One instance per phrase, in order of appearance: copies of an object share their words and so their mask term."""
    phrases: dict[str, list[Instance]] = {}
    for instance in instances:
        phrases.setdefault(" ".join(instance.words.lower().split()), []).append(instance)
    return [Instance(words, union_masks(copies)) for words, copies in phrases.items()]


def compute_token_weights(tokenizer: Any, prompt: str, words: str) -> np.ndarray:
    """Which of the prompt's tokens are `words`: float32 (tokens,), 1 wherever the phrase occurs, else 0.

    tokenizer: as in transformers. Raises InputError when the prompt does not contain the phrase.
    """

    def encode(text: str, **options: Any) -> list[int]:
        return list(tokenizer(text, truncation=True, max_length=tokenizer.model_max_length, **options).input_ids)

    prompt_ids = encode(prompt, padding="max_length")
    phrase_ids = encode(words, add_special_tokens=False)
    weights = np.zeros(len(prompt_ids), np.float32)
    for start in range(len(prompt_ids) - len(phrase_ids) + 1):
        if phrase_ids and prompt_ids[start : start + len(phrase_ids)] == phrase_ids:
            weights[start : start + len(phrase_ids)] = 1
    if not weights.any():
        raise InputError(
            f"the prompt {prompt!r} does not contain {words!r}; an instance is bound to words of the prompt"
        )
    return weights
