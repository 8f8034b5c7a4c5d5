"""The tiny pack, trained from scratch on the motion world. It takes hours, so no other job includes this group.

Every stage trains in its own folder below `MVMODEL_FOUNDATION`, by default .mvmodel/foundation in the repository, where
`make foundation` trains too. An interrupted stage resumes from its checkpoint and a finished one is used as it is;
delete its folder to train it again. Assets pass models on by the hash of their files.

"Materialize all" in the UI includes these assets. They train only in a run whose config says so, as that of the job
`train_tiny_pack` does; in other runs they are skipped, unless what they make is stored already.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from mvmodel.code_version import code_version
from mvmodel.files import empty_folder
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.assets.on_demand import Build, step_if_asked
from pipelines.settings import REPOSITORY
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.version_store import Handle


@dataclass(frozen=True)
class FoundationModel:
    """stage: of mvmodel.foundation. inputs: the models that it builds on. description: of its asset."""

    stage: str
    inputs: tuple[str, ...]
    description: str


class FoundationConfig(dg.Config):
    """What a run may do that takes hours."""

    train: bool = Field(
        default=False,
        description="Train what is not stored yet, which takes hours. False skips it, and what is made from it.",
    )


FOUNDATION_MODELS = {
    "tiny_vae": FoundationModel("vae", (), "The autoencoder: 8 latent channels at an eighth of the resolution."),
    "tiny_decoder": FoundationModel(
        "decoder", ("tiny_vae",), "The autoencoder with its decoder trained further and its encoder fixed."
    ),
    "tiny_text_to_image": FoundationModel("text_to_image", ("tiny_vae",), "The text encoder and the UNet."),
    "tiny_controlnet": FoundationModel(
        "controlnet", ("tiny_vae", "tiny_text_to_image"), "The ControlNet, conditioned on a picture of the mask."
    ),
    "tiny_segmenter": FoundationModel("segmenter", (), "A small segment-anything model."),
    "tiny_scorer": FoundationModel("scorer", (), "A small open_clip CLIP."),
    "tiny_start_adapter": FoundationModel(
        "start_adapter",
        ("tiny_vae", "tiny_text_to_image", "tiny_controlnet"),
        "An adapter trained on many motions. Tuning on one motion can start from it.",
    ),
}
PACK_MODELS = (
    "tiny_decoder",
    "tiny_text_to_image",
    "tiny_controlnet",
    "tiny_segmenter",
    "tiny_scorer",
    "tiny_start_adapter",
)
PACK_FILES = ("*.safetensors", "*.json", "*.jsonl", "*.png", "*.txt", "*.pt", "*.md")
VOLATILE_FILES = ("*.jsonl", "**/*.jsonl", "*.png", "**/*.png")
"""Differ between two trainings that give the same model."""
RENDER_SEEDS = range(24)


def foundation_folder() -> Path:
    """The folder in which all stages train. Every home uses the same one."""
    folder = os.environ.get("MVMODEL_FOUNDATION")
    return Path(folder) if folder else REPOSITORY / ".mvmodel" / "foundation"


@mvmodel_asset("foundation", "video", code_version=code_version("mvmodel.world.render", files=(__file__,)))
def world_renders(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.MaterializeResult[Handle]:
    """Examples of the motion world that the models are trained on. Trainings render their own clips."""

    def build(folder: Path) -> None:
        import numpy as np

        from mvmodel.video.frames import write_frames
        from mvmodel.world.render import random_clip

        middle_frames = [random_clip((99, seed), frames=8).frames[4] for seed in RENDER_SEEDS]
        write_frames(empty_folder(folder) / "renders.npz", np.stack(middle_frames))

    def describe(folder: Path) -> dict[str, Any]:
        from mvmodel.video.frames import read_frames

        return {"sheet": ui_metadata.contact_sheet(list(read_frames(folder / "renders.npz")), "the motion world")}

    return store.step(context, {}, {"seeds": list(RENDER_SEEDS)}, build, describe)


def _model_asset(name: str, model: FoundationModel) -> dg.AssetsDefinition:
    def train(
        context: dg.AssetExecutionContext, config: FoundationConfig, store: ArtifactStore, **inputs: Handle
    ) -> dg.MaterializeResult[Handle] | None:
        def build(work: Path) -> None:
            from mvmodel.foundation.stages import run_stage

            _copy_results(run_stage(model.stage, foundation_folder()), empty_folder(work))

        return _train_if_asked(context, config, store, inputs, build, _training_metadata, VOLATILE_FILES)

    train.__name__ = name
    decorate = mvmodel_asset(
        "foundation",
        "pytorch",
        trains=True,
        output_required=False,
        name=name,
        ins={upstream: dg.AssetIn() for upstream in model.inputs},
        deps=["world_renders"],
        description=model.description,
        code_version=code_version(f"mvmodel.foundation.{model.stage}", files=(__file__,)),
    )
    return decorate(train)


def _train_if_asked(
    context: dg.AssetExecutionContext,
    config: FoundationConfig,
    store: ArtifactStore,
    inputs: Mapping[str, Handle],
    build: Callable[[Path], None],
    describe: Callable[[Path], Mapping[str, Any]],
    volatile: tuple[str, ...] = (),
) -> dg.MaterializeResult[Handle] | None:
    """What `ArtifactStore.step` returns; None if it would have to build and the config does not say `train`."""

    def step(build_if_asked: Build) -> dg.MaterializeResult[Handle]:
        return store.step(context, inputs, {}, build_if_asked, describe, volatile=volatile)

    result = step_if_asked(step, build, config.train)
    if result is None:
        name = context.asset_key.to_user_string()
        context.log.warning(
            f"{name} is skipped, because training it takes hours; start the job train_tiny_pack, or set `train: true` "
            f"in the config of {name}"
        )
    return result


def _copy_results(folder: Path, target: Path) -> None:
    """Copy what a training wrote, without its checkpoints."""
    for pattern in PACK_FILES:
        for path in folder.rglob(pattern):
            parts = path.relative_to(folder).parts
            if "checkpoint" not in parts:
                (target / Path(*parts)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / Path(*parts))


def _training_metadata(folder: Path) -> dict[str, Any]:
    """The last point of the training curve, and the latest picture of samples."""
    from PIL import Image

    metadata: dict[str, Any] = {}
    curves = sorted(folder.rglob("curve.jsonl"))
    if curves and (lines := curves[0].read_text().splitlines()):
        metadata |= ui_metadata.finite_numbers(json.loads(lines[-1]))
    pictures = sorted(folder.rglob("*.png"), key=lambda path: path.name)
    if pictures:
        metadata["samples"] = ui_metadata.inline_image(Image.open(pictures[-1]), "samples")
    return metadata


model_assets = [_model_asset(name, model) for name, model in FOUNDATION_MODELS.items()]


@mvmodel_asset(
    "foundation",
    "pytorch",
    trains=True,
    output_required=False,
    ins={name: dg.AssetIn() for name in PACK_MODELS},
    code_version=code_version("mvmodel.foundation.pack_assembly", files=(__file__,)),
)
def tiny_pack(
    context: dg.AssetExecutionContext, config: FoundationConfig, store: ArtifactStore, **inputs: Handle
) -> dg.MaterializeResult[Handle] | None:
    """The models as one fp16 pack with its measured quality. Copy it to `mvmodel/packs/tiny` to ship it."""

    def build(work: Path) -> None:
        from mvmodel.foundation.stages import run_stage

        run_stage("pack", foundation_folder(), empty_folder(work))

    def describe(folder: Path) -> dict[str, Any]:
        path = folder / "pack.json"
        info = json.loads(path.read_text()) if path.exists() else {}
        size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
        return {"megabytes": round(size / 1e6, 2), **ui_metadata.finite_numbers(info.get("quality", {}))}

    return _train_if_asked(context, config, store, inputs, build, describe)
