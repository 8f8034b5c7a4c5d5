"""Sizes as people write them, and the sizes that a pack can do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mvmodel.config import parse_config
from mvmodel.errors import InputError
from mvmodel.packs import load_pack
from mvmodel.packs.info import read_pack_info, read_run_info
from mvmodel.picture_size import PictureSize, parse_size, parse_size_option
from mvmodel.video.config import IngestConfig
from pipelines.settings import validate_settings


@pytest.mark.parametrize(
    "value", ["512x320", "512X320", " 512 × 320 ", (512, 320), [512, 320], {"width": 512, "height": 320}]
)
def test_forms_of_one_size(value: object) -> None:
    assert parse_size(value) == PictureSize(512, 320)


@pytest.mark.parametrize("value", [128, "128", "128x128"])
def test_one_number_is_a_square(value: object) -> None:
    assert parse_size(value) == PictureSize(128, 128) and parse_size(value).shape == (128, 128)


@pytest.mark.parametrize(
    "value", ["", "wide", "512x", "512x320x3", "-1x5", "1.5", 128.0, True, None, [1], "4x128", "99999x9"]
)
def test_no_size(value: object) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_size(value)


def test_an_option_is_named() -> None:
    assert parse_size_option(None) is None
    with pytest.raises(InputError, match="--size: 'wide' is no size; a size is WIDTHxHEIGHT"):
        parse_size_option("wide")


def test_a_setting_reads_and_writes_a_size() -> None:
    config = parse_config(IngestConfig, {"size": "96x64"}, "ingest")
    assert config.size.shape == (64, 96) and config.model_dump(mode="json")["size"] == "96x64"
    assert IngestConfig.model_validate(config.model_dump(mode="json")) == config
    with pytest.raises(InputError, match="ingest: size: 'wide' is no size"):
        parse_config(IngestConfig, {"size": "wide"}, "ingest")


def test_a_run_has_one_size() -> None:
    validate_settings({"size": "96x64"}, "settings")
    with pytest.raises(InputError, match="write size outside of sections"):
        validate_settings({"ingest": {"size": 96}}, "settings")


def test_a_pack_has_the_size_of_the_run(small_pack_folder: Path, tmp_path: Path) -> None:
    assert load_pack(small_pack_folder).info.size == PictureSize(64, 64)
    assert load_pack(small_pack_folder, size=PictureSize(96, 64)).info.size.shape == (64, 96)
    with pytest.raises(InputError, match="size 100x64 does not fit the pack small-random.*multiples of 16; use 96x64"):
        read_run_info(small_pack_folder, PictureSize(100, 64))
    for name, value in (("size", "96x64"), ("resolution", 64)):
        shutil.copy(small_pack_folder / "pack.json", tmp_path / "pack.json")
        content = json.loads((tmp_path / "pack.json").read_text())
        del content["size"]
        (tmp_path / "pack.json").write_text(json.dumps({**content, name: value}))
        assert read_pack_info(tmp_path).size == parse_size(value)
