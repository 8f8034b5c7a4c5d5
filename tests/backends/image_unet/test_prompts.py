"""Prompts that are longer than the text encoder reads are said, not cut silently."""

from __future__ import annotations

import pytest

from mvmodel.backends.backend import report_cut_texts
from mvmodel.backends.load import load_backend


def test_the_end_of_a_long_prompt_is_named(small_pack, capsys: pytest.CaptureFixture[str]):
    backend = load_backend(small_pack)
    fitting = " ".join(["horse"] * 75)
    assert backend.find_cut_text("a horse gallops") == backend.find_cut_text(fitting) == ""
    long_prompt = f"{fitting} under a red moon"
    assert backend.find_cut_text(long_prompt) == "under a red moon"
    assert report_cut_texts(backend, [long_prompt, "a horse", long_prompt]) == {long_prompt: "under a red moon"}
    assert capsys.readouterr().err.count('"under a red moon"; shorten it') == 1
    ids = small_pack.tokenizer()(long_prompt, truncation=True, max_length=77).input_ids
    assert "moon" not in small_pack.tokenizer().decode(ids)


def test_the_tiny_tokenizer_counts_its_own_marks(tiny_pack):
    backend = load_backend(tiny_pack)
    assert backend.find_cut_text("a horse gallops over a meadow") == ""
    words = ["horse"] * (2 * tiny_pack.tokenizer().model_max_length)
    cut = backend.find_cut_text(" ".join(words))
    assert 0 < len(cut.split()) < len(words)
