"""The library of mask sequences that the pipeline keeps, and requests that name its entries with edits."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mvmodel.authoring.library import Library
from mvmodel.masks import MaskSequence


@pytest.mark.slow
def test_clips_become_a_library_that_requests_can_name(lab) -> None:
    table = lab.home.parent / "wanted.csv"
    rows = ["slide,a square slides,library: slide-1 | flip,1,mirrored", "slide,a square,library: slide-1,2,as-it-is"]
    table.write_text("\n".join(["motion,prompt,masks,seed,name", *rows]) + "\n")
    lab.settings = {"requests": {"file": str(table)}}
    assert lab.run()["status"] == 0
    (folder,) = (lab.home / "store" / "mask_library").glob("*/*")
    library = Library.load(folder)
    assert library.embeddings is not None and len(library.embeddings) == len(library.table)
    assert {"slide-0", "slide-1", "hop-0"} <= set(library.table["name"])
    assert library.search("sliding")[0].motion == "slide"
    (version,) = (lab.home / "store" / "generation_requests").glob("slide/*")
    unedited, mirrored = (
        MaskSequence.load(version / "masks" / f"{name}.npz").masks for name in ("as-it-is", "mirrored")
    )
    assert np.array_equal(unedited[:, :, ::-1], mirrored)
    assert np.array_equal(unedited, library.sequence("slide-1").masks)
    inputs = json.loads((version / "manifest.json").read_text())["inputs"]
    assert "mask_library" in inputs, "where the masks come from is recorded"
