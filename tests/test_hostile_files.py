"""Files that would run code if they were unpickled: each is refused by a sentence, and nothing is executed."""

from __future__ import annotations

import ast
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mvmodel.errors import InputError, MvmodelError, PackError
from mvmodel.generation.first_latents import read_first_latents
from mvmodel.masks.files import read_masks
from mvmodel.model.saving import load_adapter
from mvmodel.packs import load_pack
from mvmodel.packs.single_file import write_pack_from_checkpoint
from mvmodel.segmentation.sam_loading import find_model_type, load_sam
from mvmodel.segmentation.video_segmenter import VideoSegmenter
from mvmodel.video.catalogue import Catalogue
from mvmodel.video.frames import read_frames


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Fails a test in which a file ran its code."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "executed").exists(), "the file was executed"


def test_the_hostile_object_works(work_folder: Path) -> None:
    pickle.loads(pickle.dumps(_Hostile()))
    assert (work_folder / "executed").is_dir()
    (work_folder / "executed").rmdir()


def _write_hostile(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez(path, frames=np.array([_Hostile()]), masks=np.array([_Hostile()]), latents=np.array([_Hostile()]))
    elif path.suffix == ".npy":
        np.save(path, np.array([_Hostile()]), allow_pickle=True)
    elif path.suffix in (".pth", ".bin", ".ckpt"):
        torch.save({"weights": _Hostile()}, path)
    else:
        path.write_bytes(pickle.dumps(_Hostile()))
    return path


@pytest.mark.parametrize("name", ["sam.pth", "sam.pt", "sam.safetensors"])
def test_segmenters(name: str) -> None:
    path = _write_hostile(Path(name))
    for load in (find_model_type, lambda file: load_sam("tiny", file)):
        with pytest.raises(PackError, match=name):
            load(path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_folders_of_transformers(name: str) -> None:
    _write_hostile(Path("segmenter") / name)
    Path("segmenter/config.json").write_text('{"model_type": "sam2_video"}')
    with pytest.raises(PackError, match="segmenter"):
        VideoSegmenter.from_pretrained(Path("segmenter"))


@pytest.mark.parametrize(
    ("part", "weights", "pickled", "load"),
    [
        ("unet", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin", lambda pack: pack.unet()),
        ("vae", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin", lambda pack: pack.vae()),
        ("text_encoder", "model.safetensors", "pytorch_model.bin", lambda pack: pack.text_encoder()),
        ("scorer", "open_clip_model.safetensors", "open_clip_pytorch_model.bin", lambda pack: pack.scorer()),
    ],
)
def test_packs(small_pack_folder: Path, part: str, weights: str, pickled: str, load: Callable[[Any], Any]) -> None:
    folder = Path("pack")
    shutil.copytree(small_pack_folder, folder)
    (folder / part / weights).unlink()
    _write_hostile(folder / part / pickled)
    with pytest.raises(PackError, match="pack"):
        load(load_pack(folder.resolve()))


def test_adapters_and_community_checkpoints(small_pack: Any) -> None:
    _write_hostile(Path("adapter/diffusion_pytorch_model.bin"))
    Path("adapter/config.json").write_text("{}")
    with pytest.raises(MvmodelError, match="adapter"):
        load_adapter(Path("adapter"))
    for name in ("model.ckpt", "model.safetensors"):
        with pytest.raises(PackError, match=name):
            write_pack_from_checkpoint(_write_hostile(Path(name)), Path("out"), small_pack.folder)


@pytest.mark.parametrize("name", ["a.npz", "b.npy", "c.pkl"])
def test_masks_and_frames(name: str) -> None:
    path = _write_hostile(Path(name))
    for read in (read_masks, read_frames):
        with pytest.raises(InputError, match=name):
            read(path)


def test_arrays_of_artifacts() -> None:
    _write_hostile(Path("picture.latents.npz"))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_first_latents(Path("picture.png"), np.zeros((2, 2, 3), np.uint8))
    _write_hostile(Path("frames/clip.npy"))
    with pytest.raises(ValueError, match="allow_pickle"):
        Catalogue(Path.cwd(), pd.DataFrame({"clip": ["clip"]}), pd.DataFrame()).frames("clip")


@pytest.mark.parametrize("package", ["mvmodel", "pipelines", "benchmarks"])
def test_nothing_is_pickled_by_the_code(package: str, repository: Path) -> None:
    """No import of pickle or its kin, no torch.save, torch.load only of weights, NumPy without objects."""
    problems = []
    for file in sorted((repository / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            if {name.split(".")[0] for name in names} & {
                "pickle",
                "cloudpickle",
                "dill",
                "joblib",
                "shelve",
                "marshal",
            }:
                problems.append(f"{file.name}:{node.lineno} imports {names}")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                call = ast.unparse(node.func)
                options = {option.arg: ast.unparse(option.value) for option in node.keywords}
                if (
                    call in ("torch.save", "accelerator.save_state")
                    or (call == "torch.load" and options.get("weights_only") != "True")
                    or options.get("allow_pickle", "False") != "False"
                ):
                    problems.append(f"{file.name}:{node.lineno} {ast.unparse(node)}")
    assert not problems
