"""Videos of another size than the server's: chosen in the page, checked, and drawn masks go with it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.studio.conftest import HEADERS, Page


def test_drawn_masks_follow_the_size(serve, idle):
    page = Page(serve(idle))
    sizes = [entry["size"] for entry in page.get("state")["pack"]["sizes"]]
    assert sizes[:3] == ["64x64", "96x64", "64x96"]
    page.add_disc(points=[[0.25, 0.5], [0.75, 0.5]])
    page.project["size"] = "96x64"
    answer = page.save()
    assert (answer["width"], answer["height"]) == (96, 64)
    assert np.allclose(np.array(answer["centres"][0])[[0, -1]], [[0.25, 0.5], [0.75, 0.5]], atol=0.02)
    name = page.project["objects"][0]["masks"]["keys"]["0"]
    key = page.client.get(f"/api/masks/{name}?frame=0&size=96x64", headers=HEADERS)
    assert Image.open(io.BytesIO(key.content)).size == (96, 64)
    assert page.get("state")["project"]["size"] == "96x64"


@pytest.mark.parametrize(
    ("size", "reason"),
    [("65x64", "multiples of 8; use 64x64"), ("512x512", "choose a smaller size"), ("big", "no size")],
)
def test_sizes_that_cannot_be_are_named(serve, idle, size, reason):
    page = Page(serve(idle))
    page.project["size"] = size
    assert reason in page.refuse("project", page.project, "PUT")


def test_a_pack_at_another_size_shares_its_models(small_pack_folder):
    from mvmodel.packs import load_pack
    from mvmodel.picture_size import PictureSize

    pack = load_pack(small_pack_folder)
    unet = pack.unet()
    other = pack.with_size(PictureSize(96, 64))
    assert other.unet() is unet and other.info.size == PictureSize(96, 64) and pack.info.size == PictureSize(64, 64)
