"""Requests to videos: the first frame by ControlNet, the rest by the promoted adapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg

from mvmodel.code_version import code_version
from mvmodel.files import empty_folder
from mvmodel.generation.default_requests import default_requests, describe_requests, write_requests
from mvmodel.reports.conditions import CONDITIONS
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.assets.training import SCRATCH_ADAPTER
from pipelines.partitions import motions
from pipelines.promotion import promotion
from pipelines.promotion.promotion import TUNED_ADAPTER
from pipelines.resources import PackResource, Settings
from pipelines.settings import ComparisonConfig, RequestsConfig
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.materializations import load_current
from pipelines.store.version_store import Handle

ADAPTERS = {"tuned": TUNED_ADAPTER, "scratch": SCRATCH_ADAPTER}
"""Adapter of a condition -> its folder in a `motion_adapter` version."""


def _shipped(settings: Settings, config: RequestsConfig, motion: str) -> list[Any]:
    from mvmodel.generation.requests import read_requests

    path = settings.path(config.file)
    return [r for r in read_requests(path) if r.motion == motion] if config.file and path.exists() else []


@mvmodel_asset(
    "generation",
    "parquet",
    partitions_def=motions,
    deps=["mask_library"],
    code_version=code_version("mvmodel.generation.request_masks", "mvmodel.backends.shape_models", files=(__file__,)),
)
def generation_requests(
    context: dg.AssetExecutionContext,
    training_set: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """What to generate: the request file's rows for this motion, or requests made up from its clips' masks.

    A row may name a file, words, or an entry of the mask library, each with edits behind it.
    """
    from mvmodel.generation.request_masks import get_source_kind, hash_mask_source
    from mvmodel.generation.requests import read_requests
    from mvmodel.masks import MaskSequence

    motion = context.partition_key
    config = settings.read("requests", RequestsConfig)
    shipped = _shipped(settings, config, motion)
    source_kinds = {get_source_kind(request) for request in shipped}
    library = load_current(context.instance, store.store, "mask_library") if "library" in source_kinds else None

    def build(folder: Path) -> None:
        empty_folder(folder)
        models = pack.load()
        if shipped:
            from mvmodel.authoring.library import Library
            from mvmodel.authoring.mask_sources import MaskSourceLoader
            from mvmodel.backends.shape_models import load_shape_models
            from mvmodel.generation.request_masks import prepare_requests

            loader = MaskSourceLoader(
                folder=settings.path(config.file).parent,
                size=(models.info.resolution, models.info.resolution),
                frames=models.info.frames,
                fps=models.info.fps,
                models=load_shape_models(models),
                library=Library.load(library.folder) if library else None,
            )
            specs, assumptions = prepare_requests(shipped, loader)
            (folder / "assumptions.json").write_text(json.dumps(assumptions, indent=1))
        else:
            from mvmodel.training.training_set import read_training_set

            train, held = read_training_set(training_set.folder)
            clips = [(clip.name, clip.caption, clip.masks) for clip in (*held, *train)]
            specs = default_requests(clips, list(models.info.objects), config.count, config.seed)
        write_requests(folder, motion, specs, float(models.info.fps))

    def describe(folder: Path) -> dict[str, Any]:
        import pandas as pd

        from mvmodel.video.contact_sheet import mask_to_picture
        from mvmodel.video.sampling import evenly_spaced_indices

        requests = read_requests(folder / "requests.csv")
        shown = []
        for request in requests:
            masks = MaskSequence.load(request.masks).masks
            shown += list(mask_to_picture(masks[evenly_spaced_indices(8, len(masks), repeat=True)]))
        assumptions = folder / "assumptions.json"
        return {
            "requests": len(requests),
            "made_up": not shipped,
            "assumptions": dg.MetadataValue.json(json.loads(assumptions.read_text()) if assumptions.exists() else {}),
            "prompts": ui_metadata.table(pd.DataFrame(describe_requests(requests))),
            "sheet": ui_metadata.inline_image(ui_metadata.image_grid(shown), "control masks"),
        }

    # Shipped requests do not depend on the clips: a retrained motion is asked for the very same videos.
    table_folder = settings.path(config.file).parent
    rows = [[r.name, r.prompt, hash_mask_source(r, table_folder), r.seed, r.negative_prompt] for r in shipped]
    inputs: dict[str, Handle] = {} if shipped else {"training_set": training_set}
    if library is not None:
        inputs["mask_library"] = library
    models = pack.recipe() if "words" in source_kinds else pack.recipe("text_encoder")
    return store.step(context, inputs, {**config.model_dump(), "rows": rows}, build, describe, models)


@mvmodel_asset(
    "generation",
    "pytorch",
    gpu=True,
    partitions_def=motions,
    code_version=code_version("mvmodel.backends.load", "mvmodel.generation.requests", files=(__file__,)),
)
def first_frames(
    context: dg.AssetExecutionContext,
    generation_requests: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """Each video's first frame, by the pack's text-to-image model under ControlNet and the first mask."""
    from mvmodel.generation import requests as batches

    config = pack.generation(settings)

    def build(folder: Path) -> None:
        requests = batches.read_requests(generation_requests.folder / "requests.csv")
        batches.first_frames(pack.backend(), requests, config, folder)

    def describe(folder: Path) -> dict[str, Any]:
        import numpy as np
        from PIL import Image

        frames = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))]
        return {
            "frames": len(frames),
            "sheet": ui_metadata.inline_image(ui_metadata.image_grid(frames), "first frames"),
        }

    inputs = {"generation_requests": generation_requests}
    return store.step(context, inputs, config, build, describe, pack.recipe(), volatile=("*.json",))


@mvmodel_asset(
    "generation",
    "pytorch",
    "video",
    gpu=True,
    partitions_def=motions,
    code_version=code_version("mvmodel.backends.load", "mvmodel.generation.requests", files=(__file__,)),
)
def generated_videos(
    context: dg.AssetExecutionContext,
    generation_requests: Handle,
    first_frames: Handle,
    promoted_adapter: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The videos by the promoted adapter; to compare, also without its mask term, from scratch, and resampled."""
    from mvmodel.generation.requests import generate, read_requests

    config = pack.generation(settings)
    adapter = promotion.open_promoted(promoted_adapter, store.store)
    compare = settings.read("comparison", ComparisonConfig)
    wanted = {
        "full": None,
        "no_mask": None if compare.no_mask else 0,
        "scratch": None if compare.scratch and (adapter.folder / SCRATCH_ADAPTER).is_dir() else 0,
        "ddim_50": compare.scheduler_requests,
        "multistep_20": compare.scheduler_requests,
    }
    chosen = {name: most for name, most in wanted.items() if most != 0}

    def build(folder: Path) -> None:
        requests = read_requests(generation_requests.folder / "requests.csv")
        for name, most in chosen.items():  # resumes request by request from what a killed step left in the folder
            condition = CONDITIONS[name]
            own = config.model_copy(update=dict(condition.generation))
            asked = requests[:most]
            context.log.info(f"{context.partition_key}: {len(asked)} videos, condition {name}")
            weights = adapter.folder / ADAPTERS[condition.adapter]
            generate(
                pack.backend(), weights, asked, first_frames.folder, own, folder / name, mask_term=condition.mask_term
            )

    def describe(folder: Path) -> dict[str, Any]:
        from mvmodel.video.frames import read_frames
        from mvmodel.video.sampling import evenly_spaced_indices

        shown = []
        for path in sorted((folder / "full").glob("*.npz")):
            frames = read_frames(path)
            shown += list(frames[evenly_spaced_indices(8, len(frames), repeat=True)])
        return {
            "videos": len(list(folder.glob("full/*.mp4"))),
            "conditions": ", ".join(chosen),
            "adapter": adapter.sha,
            "sheet": ui_metadata.inline_image(
                ui_metadata.image_grid(shown), f"{context.partition_key}: one video a row"
            ),
        }

    inputs = {
        "generation_requests": generation_requests,
        "first_frames": first_frames,
        "promoted_adapter": promoted_adapter,
    }
    recorded = {"generation": config.model_dump(mode="json"), "conditions": chosen}
    return store.step(context, inputs, recorded, build, describe, pack.recipe(), volatile=("*/*.json",))
