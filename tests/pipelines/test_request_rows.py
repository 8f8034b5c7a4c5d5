"""Rows of a request table reach their motion, and rows that no motion takes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvmodel.errors import InputError
from pipelines.request_rows import describe_unused_rows, find_request_table, read_all_requests
from pipelines.resources import Settings
from pipelines.settings import RequestsConfig

ROWS = "motion,prompt,masks\nhop,a dog hops,words: a dog hops\nHip Hop,a cat dances,words: a cat jumps\n"


def _settings(file: str) -> Settings:
    return Settings(sections={"requests": {"file": file}})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "mine.csv").write_text(ROWS)
    return _settings(str(tmp_path / "mine.csv"))


def test_rows_name_their_motion(settings: Settings) -> None:
    rows = {request.motion: request.prompt for request in read_all_requests(settings)}
    assert rows == {"hop": "a dog hops", "hip-hop": "a cat dances"}
    assert read_all_requests(_settings("")) == []


def test_rows_of_motions_that_are_not_there_are_named(settings: Settings) -> None:
    sentence = describe_unused_rows(settings, read_all_requests(settings), {"hop", "glide"})
    assert "mine.csv" in sentence and "(hip-hop)" in sentence and "glide, hop" in sentence
    assert describe_unused_rows(settings, read_all_requests(settings), {"hop", "hip-hop"}) == ""


def test_the_default_table_says_nothing_about_other_clips() -> None:
    for settings in (_settings(RequestsConfig().file), _settings("")):
        assert describe_unused_rows(settings, read_all_requests(settings), {"hop"}) == ""


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no table"):
        find_request_table(_settings(str(tmp_path / "tpyo.csv")))
