"""Results that are computed once: whole or not at all."""

from __future__ import annotations

import pytest

from mvmodel.cache import Cache


def test_a_result_is_made_once_and_whole_or_not_at_all(tmp_path):
    cache, calls = Cache(tmp_path), []

    def build(folder):
        calls.append(folder)
        (folder / "half").write_text("x")
        if len(calls) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get_or_build("videos", "a" * 64, build)
    assert not cache.path_of("videos", "a" * 64).exists()
    for _ in range(2):
        assert (cache.get_or_build("videos", "a" * 64, build) / "half").exists()
    assert len(calls) == 2
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["a" * 24]
