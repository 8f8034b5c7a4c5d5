"""More than one object: masks with an identity, each bound to its own words of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mvmodel.errors import InputError


@dataclass(frozen=True)
class Instance:
    """One object of a video. words: as they stand in the prompt ("a dog"). masks: bool (frames, height, width).

    Copies of an object are instances with the same words.
    """

    words: str
    masks: np.ndarray

    def __post_init__(self) -> None:
        if self.masks.ndim != 3 or self.masks.dtype != np.bool_:
            raise InputError(
                f"the masks of {self.words!r} are {self.masks.dtype} {self.masks.shape}; give a bool array "
                f"(frames, height, width)"
            )


def union(instances: Sequence[Instance]) -> np.ndarray:
    """All instances in one mask, bool (frames, height, width). Raises InputError when their sizes differ."""
    shapes = {instance.masks.shape for instance in instances}
    if len(shapes) != 1:
        raise InputError(f"the instances' masks differ in size ({sorted(shapes)}); give one length and size to all")
    together: np.ndarray = np.logical_or.reduce([instance.masks for instance in instances])
    return together


def merge_by_words(instances: Sequence[Instance]) -> list[Instance]:
    """One instance a phrase, in order of appearance: copies of an object share its words and so its mask term."""
    phrases: dict[str, list[Instance]] = {}
    for instance in instances:
        phrases.setdefault(" ".join(instance.words.lower().split()), []).append(instance)
    return [Instance(words, union(same)) for words, same in phrases.items()]


def word_weights(tokenizer: Any, prompt: str, words: str) -> np.ndarray:
    """Which of the prompt's tokens are `words`: float32 (tokens,), 1 at every place where the phrase stands.

    Raises InputError when the prompt does not contain it.
    """

    def ids(text: str, **options: Any) -> list[int]:
        return list(tokenizer(text, truncation=True, max_length=tokenizer.model_max_length, **options).input_ids)

    whole = ids(prompt, padding="max_length")
    phrase = ids(words, add_special_tokens=False)
    out = np.zeros(len(whole), np.float32)
    for start in range(len(whole) - len(phrase) + 1):
        if phrase and whole[start : start + len(phrase)] == phrase:
            out[start : start + len(phrase)] = 1
    if not out.any():
        raise InputError(
            f"the prompt {prompt!r} does not contain {words!r}; an instance is bound to words of the prompt"
        )
    return out
