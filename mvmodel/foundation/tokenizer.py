"""The tiny pack's tokenizer: one token a word, over the motion world's vocabulary."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from mvmodel.world.motions import VERBS
from mvmodel.world.scenes import BACKGROUNDS
from mvmodel.world.sprites import OBJECTS

MAX_TOKENS = 16


def vocabulary() -> list[str]:
    """Every word a caption can hold, in a fixed order."""
    words = ["a", "an", "and", "the", "of"]
    words += list(OBJECTS)
    words += list(VERBS.values())
    words += [word for phrase in BACKGROUNDS.values() for word in phrase.split()]
    return list(dict.fromkeys(words))


def build_tokenizer() -> Any:
    """A transformers tokenizer; unknown words become `<unk>`, lower case throughout."""
    special = ["<pad>", "<bos>", "<eos>", "<unk>"]
    ids = {word: index for index, word in enumerate(special + vocabulary())}
    tokenizer = Tokenizer(WordLevel(ids, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", ids["<bos>"]), ("<eos>", ids["<eos>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=MAX_TOKENS,
    )
