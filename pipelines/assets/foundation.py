"""The tiny pack, trained from the motion world. Hours, not minutes: a group of its own that no other job touches.

Every model trains in `foundation/<name>` of the repository's `.mvmodel` folder (or `MVMODEL_FOUNDATION`), where
`make foundation` trains too; it resumes there from its checkpoint, and what is finished there is taken as it is: remove
the folder to train anew. A model is handed on by the hash of what it wrote.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.code_version import code_version
from mvmodel.files import empty_folder
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.settings import REPOSITORY
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.version_store import Handle

MODELS = {
    "tiny_vae": ("vae", (), "The autoencoder: 8 times down, 8 latent channels."),
    "tiny_decoder": ("decoder", ("tiny_vae",), "The autoencoder with its decoder trained on, its encoder fixed."),
    "tiny_text_to_image": ("text_to_image", ("tiny_vae",), "Text encoder and UNet."),
    "tiny_controlnet": ("controlnet", ("tiny_vae", "tiny_text_to_image"), "ControlNet on the mask picture."),
    "tiny_segmenter": ("segmenter", (), "A small segment-anything model."),
    "tiny_scorer": ("scorer", (), "A small open_clip CLIP."),
    "tiny_start_adapter": (
        "start_adapter",
        ("tiny_vae", "tiny_text_to_image", "tiny_controlnet"),
        "An adapter over many motions, from which a motion's own may start.",
    ),
}
"""Asset -> (module of mvmodel.foundation, models it rests on, description)."""
PACK_FILES = ("*.safetensors", "*.json", "*.jsonl", "*.png", "*.txt", "*.pt", "*.md")


def foundation_folder() -> Path:
    """Where the models train, over days perhaps, whatever the home."""
    named = os.environ.get("MVMODEL_FOUNDATION")
    return Path(named) if named else REPOSITORY / ".mvmodel" / "foundation"


@mvmodel_asset("foundation", "video", code_version=code_version("mvmodel.world.render", files=(__file__,)))
def world_renders(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.MaterializeResult[Handle]:
    """A look at the motion world that everything here learns from; trainings render their own, endlessly."""
    seeds = list(range(24))

    def build(folder: Path) -> None:
        import numpy as np

        from mvmodel.video.frames import write_frames
        from mvmodel.world.render import random_clip

        empty_folder(folder)
        middles = [random_clip((99, seed), frames=8).frames[4] for seed in seeds]
        write_frames(folder / "renders.npz", np.stack(middles))

    def describe(folder: Path) -> dict[str, Any]:
        from mvmodel.video.frames import read_frames

        return {
            "sheet": ui_metadata.inline_image(
                ui_metadata.image_grid(read_frames(folder / "renders.npz")), "the motion world"
            )
        }

    return store.step(context, {}, {"seeds": seeds}, build, describe)


def _model_asset(name: str, module: str, needs: tuple[str, ...], description: str) -> dg.AssetsDefinition:
    def train(
        context: dg.AssetExecutionContext, store: ArtifactStore, **inputs: Handle
    ) -> dg.MaterializeResult[Handle]:
        def build(work: Path) -> None:
            from mvmodel.foundation.stages import run_stage

            _copy_results(run_stage(module, foundation_folder()), empty_folder(work))

        return store.step(
            context, inputs, {}, build, _training_metadata, volatile=("*.jsonl", "**/*.jsonl", "*.png", "**/*.png")
        )

    decorate = mvmodel_asset(
        "foundation",
        "pytorch",
        gpu=True,
        name=name,
        deps=["world_renders"],
        description=description,
        code_version=code_version(f"mvmodel.foundation.{module}", files=(__file__,)),
    )
    return decorate(_with_inputs(train, needs))


def _with_inputs(function: Callable[..., Any], needs: tuple[str, ...]) -> Callable[..., Any]:
    """`function` with its inputs as named parameters, as Dagster reads them."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    own = [p for p in inspect.signature(function, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    named = [inspect.Parameter(need, kind, annotation=Handle) for need in needs]
    function.__signature__ = inspect.Signature([*own, *named])  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in (*own, *named)}
    return function


def _copy_results(folder: Path, target: Path) -> None:
    """Copy what a training wrote, without its checkpoints."""
    for pattern in PACK_FILES:
        for path in folder.rglob(pattern):
            parts = path.relative_to(folder).parts
            if "checkpoint" not in parts:
                (target / Path(*parts)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / Path(*parts))


def _training_metadata(folder: Path) -> dict[str, Any]:
    from PIL import Image

    metadata: dict[str, Any] = {}
    curves = sorted(folder.rglob("curve.jsonl"))
    if curves and (lines := curves[0].read_text().splitlines()):
        metadata |= ui_metadata.finite_numbers(json.loads(lines[-1]))
    pictures = sorted(folder.rglob("*.png"), key=lambda path: path.name)
    if pictures:
        metadata["samples"] = ui_metadata.inline_image(Image.open(pictures[-1]), "samples")
    return metadata


model_assets = [_model_asset(name, *rest) for name, rest in MODELS.items()]


@mvmodel_asset(
    "foundation", "pytorch", code_version=code_version("mvmodel.foundation.pack_assembly", files=(__file__,))
)
def tiny_pack(
    context: dg.AssetExecutionContext,
    tiny_decoder: Handle,
    tiny_text_to_image: Handle,
    tiny_controlnet: Handle,
    tiny_segmenter: Handle,
    tiny_scorer: Handle,
    tiny_start_adapter: Handle,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The models as one pack, fp16, with its measured quality. Copy it to `mvmodel/packs/tiny` to ship it."""
    inputs = {
        "tiny_decoder": tiny_decoder,
        "tiny_text_to_image": tiny_text_to_image,
        "tiny_controlnet": tiny_controlnet,
        "tiny_segmenter": tiny_segmenter,
        "tiny_scorer": tiny_scorer,
        "tiny_start_adapter": tiny_start_adapter,
    }

    def build(work: Path) -> None:
        from mvmodel.foundation.stages import run_stage

        run_stage("pack", foundation_folder(), empty_folder(work))

    def describe(folder: Path) -> dict[str, Any]:
        path = folder / "pack.json"
        info = json.loads(path.read_text()) if path.exists() else {}
        size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
        return {"megabytes": round(size / 1e6, 2), **ui_metadata.finite_numbers(info.get("quality", {}))}

    return store.step(context, inputs, {}, build, describe)
