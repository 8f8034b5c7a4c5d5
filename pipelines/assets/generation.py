"""Requests -> videos: the first frame by ControlNet, the other frames by the promoted adapter."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mvmodel.code_version import code_version
from mvmodel.files import empty_folder, hash_folder
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.assets.training import SCRATCH_ADAPTER, read_json
from pipelines.partitions import motions
from pipelines.promotion import promotion
from pipelines.promotion.promotion import TUNED_ADAPTER
from pipelines.request_rows import describe_unused_rows, read_all_requests
from pipelines.resources import PackResource, Settings
from pipelines.settings import ComparisonConfig, RequestsConfig
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.materializations import load_current
from pipelines.store.version_store import Handle, VersionStore, recipe_hash

if TYPE_CHECKING:
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.generation.requests import Request
    from mvmodel.masks.fit import Fit
    from mvmodel.packs import Pack

REQUESTS_CODE = code_version("mvmodel.generation.request_masks", "mvmodel.backends.shape_models", files=(__file__,))
GENERATION_CODE = code_version("mvmodel.backends.load", "mvmodel.generation.requests", files=(__file__,))
ASSUMPTIONS_FILE = "assumptions.json"
ADAPTERS = {"tuned": TUNED_ADAPTER, "scratch": SCRATCH_ADAPTER}
"""Adapter of a condition -> its folder in a `motion_adapter` version; the start adapter is in the pack."""


@mvmodel_asset(
    "generation",
    "parquet",
    partitions_def=motions,
    deps=["mask_library"],
    sections=("requests",),
    code_version=REQUESTS_CODE,
)
def generation_requests(
    context: dg.AssetExecutionContext,
    training_set: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The videos to generate: this motion's rows of the request file, or default requests from its clips' masks.

    A row takes its masks from a file, from words or from the mask library, with optional edits.
    """
    from mvmodel.generation.request_masks import get_source_kind, hash_mask_source

    motion, config = context.partition_key, settings.read("requests", RequestsConfig)
    table_folder = settings.path(config.file).parent
    table_requests = _read_listed_requests(context, settings)
    source_kinds = {get_source_kind(request) for request in table_requests}
    library = load_current(context.instance, store.store, "mask_library") if "library" in source_kinds else None

    def build(folder: Path) -> None:
        if table_requests:
            write_listed_requests(
                empty_folder(folder), motion, table_requests, table_folder, pack.load(), library, config.fit
            )
        else:
            _write_default_requests(empty_folder(folder), motion, training_set, pack.load(), config)

    # Listed requests do not depend on the clips: a retrained motion generates the very same videos.
    inputs = {} if table_requests else {"training_set": training_set}
    if library is not None:
        inputs["mask_library"] = library
    rows = [[r.name, r.prompt, hash_mask_source(r, table_folder), r.seed, r.negative_prompt] for r in table_requests]
    models = pack.recipe() if "words" in source_kinds else pack.recipe("text_encoder")
    recorded = {**config.model_dump(), "rows": rows, "size": str(pack.info.size)}
    return store.step(context, inputs, recorded, build, _requests_metadata, models)


def _read_listed_requests(context: dg.AssetExecutionContext, settings: Settings) -> list[Request]:
    """The partition's rows of the request table. Rows for motions that do not exist are named in the log."""
    requests = read_all_requests(settings)
    known = context.instance.get_dynamic_partitions(str(motions.name))
    if sentence := describe_unused_rows(settings, requests, known):
        context.log.warning(sentence)
    return [request for request in requests if request.motion == context.partition_key]


def write_listed_requests(
    folder: Path, motion: str, requests: list[Request], table_folder: Path, pack: Pack, library: Handle | None, fit: Fit
) -> None:
    """requests.csv, a mask file per request, and the assumptions that were made to turn words into masks."""
    from mvmodel.authoring.library import Library
    from mvmodel.authoring.mask_sources import MaskSourceLoader
    from mvmodel.backends.shape_models import load_shape_models
    from mvmodel.generation.default_requests import write_requests
    from mvmodel.generation.request_masks import prepare_requests

    info = pack.info
    loader = MaskSourceLoader(
        folder=table_folder,
        size=info.size.shape,
        frames=info.frames,
        fps=info.fps,
        models=load_shape_models(pack),
        library=Library.load(library.folder) if library else None,
        fit=fit,
    )
    specs, assumptions = prepare_requests(requests, loader)
    (folder / ASSUMPTIONS_FILE).write_text(json.dumps(assumptions, indent=1))
    write_requests(folder, motion, specs, float(info.fps))


def _write_default_requests(
    folder: Path, motion: str, training_set: Handle, pack: Pack, config: RequestsConfig
) -> None:
    """Requests from the masks of the motion's clips, held-out clips first."""
    from mvmodel.generation.default_requests import write_default_requests
    from mvmodel.training.training_set import read_training_set

    train, held_out = read_training_set(training_set.folder)
    clips, info = [*held_out, *train], pack.info
    write_default_requests(folder, motion, clips, list(info.objects), float(info.fps), config.count, config.seed)


def _requests_metadata(folder: Path) -> dict[str, Any]:
    import pandas as pd

    from mvmodel.generation.default_requests import describe_requests
    from mvmodel.generation.request_table import read_requests
    from mvmodel.masks import MaskSequence
    from mvmodel.video.contact_sheet import mask_to_picture

    requests = read_requests(folder / "requests.csv")
    assumptions = folder / ASSUMPTIONS_FILE
    masks = (mask_to_picture(MaskSequence.load(request.masks).masks) for request in requests)
    return {
        "requests": len(requests),
        "default_requests": not assumptions.exists(),
        "assumptions": ui_metadata.listing(json.loads(assumptions.read_text()) if assumptions.exists() else {}),
        "prompts": ui_metadata.table(pd.DataFrame(describe_requests(requests))),
        "sheet": ui_metadata.video_rows(masks, "control masks"),
    }


@mvmodel_asset("generation", "pytorch", partitions_def=motions, sections=("generation",), code_version=GENERATION_CODE)
def first_frames(
    context: dg.AssetExecutionContext,
    generation_requests: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The first frame of every video, by the pack's text-to-image model with ControlNet and the first mask."""
    config = pack.generation(settings)

    def build(folder: Path) -> None:
        from mvmodel.generation import requests
        from mvmodel.generation.request_table import read_requests

        table_requests = read_requests(generation_requests.folder / "requests.csv")
        requests.first_frames(pack.backend(), table_requests, config, folder, workers=pack.get_workers())

    def describe(folder: Path) -> dict[str, Any]:
        import numpy as np
        from PIL import Image

        frames = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))]
        return {"frames": len(frames), "sheet": ui_metadata.contact_sheet(frames, "first frames")}

    inputs = {"generation_requests": generation_requests}
    return store.step(context, inputs, config, build, describe, pack.recipe(), volatile=("*.json",))


@mvmodel_asset(
    "generation",
    "pytorch",
    "video",
    partitions_def=motions,
    ins={name: dg.AssetIn() for name in ("generation_requests", "first_frames", "promoted_adapter")},
    sections={
        "generation": (),
        "comparison": ("no_mask", "not_tuned", "scratch", "scratch_requests", "scheduler_requests"),
    },
    code_version=GENERATION_CODE,
)
def generated_videos(
    context: dg.AssetExecutionContext, settings: Settings, pack: PackResource, store: ArtifactStore, **inputs: Handle
) -> dg.MaterializeResult[Handle]:
    """The videos of the promoted adapter, and for comparison those of the other conditions of the report."""
    config = pack.generation(settings)
    adapter = promotion.open_promoted(inputs["promoted_adapter"], store.store)
    conditions = _select_conditions(settings.read("comparison", ComparisonConfig), adapter.folder)

    def build(folder: Path) -> None:
        requests, frames = inputs["generation_requests"].folder / "requests.csv", inputs["first_frames"].folder
        _generate_conditions(context, pack, conditions, adapter.folder, requests, frames, config, folder, store.store)

    def describe(folder: Path) -> dict[str, Any]:
        from mvmodel.video.frames import read_frames

        videos = (read_frames(path) for path in sorted((folder / "full").glob("*.npz")))
        return {
            "videos": len(list(folder.glob("full/*.mp4"))),
            "conditions": ", ".join(conditions),
            "adapter": adapter.sha,
            "sheet": ui_metadata.video_rows(videos, f"{context.partition_key}: one video per row"),
        }

    recorded = {"generation": config.model_dump(mode="json"), "conditions": conditions}
    return store.step(context, inputs, recorded, build, describe, pack.recipe(), volatile=("*/*.json",))


def _select_conditions(config: ComparisonConfig, adapter: Path) -> dict[str, int | None]:
    """Condition -> number of requests to generate, None for all. adapter: a `motion_adapter` version's folder."""
    requests = {
        "full": None,
        "not_tuned": None if config.not_tuned and _is_from_start(adapter / TUNED_ADAPTER) else 0,
        "no_mask": None if config.no_mask else 0,
        "scratch": config.scratch_requests if config.scratch and (adapter / SCRATCH_ADAPTER).is_dir() else 0,
        "ddim_50": config.scheduler_requests,
        "multistep_20": config.scheduler_requests,
    }
    return {name: count for name, count in requests.items() if count != 0}


def _is_from_start(adapter: Path) -> bool:
    """Whether an adapter was tuned from the pack's start adapter."""
    config = read_json(adapter / "train.json").get("config")
    return isinstance(config, dict) and config.get("init_from") == "start"


def _generate_conditions(
    context: dg.AssetExecutionContext,
    pack: PackResource,
    conditions: dict[str, int | None],
    adapter: Path,
    requests: Path,
    first_frames: Path,
    config: GenerationConfig,
    folder: Path,
    store: VersionStore,
) -> None:
    """Generate every condition into `folder`/CONDITION. Requests that an interrupted step finished are kept.

    The start adapter's videos come from the store's cache, where those of an earlier adapter may be.
    """
    from mvmodel.generation.request_table import read_requests
    from mvmodel.generation.requests import generate
    from mvmodel.reports.conditions import CONDITIONS

    all_requests = read_requests(requests)
    for name, count in conditions.items():
        condition = CONDITIONS[name]
        settings = config.model_copy(update=dict(condition.generation))
        context.log.info(f"{context.partition_key}: {len(all_requests[:count])} videos, condition {name}")
        target = folder / name
        if condition.adapter == "start":
            videos = _generate_not_tuned(pack, requests, first_frames, settings, store)
            shutil.copytree(videos, target, dirs_exist_ok=True)
            continue
        generate(
            pack.backend(),
            adapter / ADAPTERS[condition.adapter],
            all_requests[:count],
            first_frames,
            settings,
            target,
            mask_term=condition.mask_term,
            workers=pack.get_workers(),
        )


def _generate_not_tuned(
    pack: PackResource, requests: Path, first_frames: Path, config: GenerationConfig, store: VersionStore
) -> Path:
    """A folder with the start adapter's videos of all requests; made once for the same requests and pack."""
    from mvmodel.generation.request_table import read_requests
    from mvmodel.generation.requests import generate

    start = pack.backend().start_adapter()
    assert start is not None  # an adapter was tuned from it

    def build(folder: Path) -> None:
        workers = pack.get_workers()
        generate(pack.backend(), start, read_requests(requests), first_frames, config, folder, workers=workers)

    recipe = recipe_hash(
        requests=hash_folder(requests.parent),
        first_frames=hash_folder(first_frames),
        config=config.model_dump(mode="json"),
        code=GENERATION_CODE,
        pack=pack.recipe(),
    )
    return store.cache.get_or_build("not_tuned", recipe, build)
