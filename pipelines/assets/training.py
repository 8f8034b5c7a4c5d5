"""Clips of a motion -> an adapter that is measured, and promoted only if it passes the gates."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mvmodel.code_version import SAMPLING_MODULES, code_version
from mvmodel.errors import InputError
from mvmodel.files import empty_folder
from mvmodel.metrics.config import JudgeConfig
from pipelines import checks
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.assets.motion import read_motion_groups
from pipelines.partitions import motions
from pipelines.promotion import promotion
from pipelines.promotion.evaluation import evaluate, write_evaluation_requests
from pipelines.promotion.promotion import TUNED_ADAPTER
from pipelines.resources import Gpu, PackResource, Settings
from pipelines.settings import ComparisonConfig, EvaluationConfig, GateConfig, TrainingSetConfig
from pipelines.store.artifact_store import ArtifactStore, with_metadata
from pipelines.store.force import is_forced
from pipelines.store.version_store import Handle

if TYPE_CHECKING:
    from mvmodel.backends.training_config import TrainConfig

SCRATCH_ADAPTER = "scratch/adapter"
"""In a `motion_adapter` version: the adapter trained without the pack's start adapter, for comparison."""
TRAINING_SET_CODE = code_version("mvmodel.training.captions", "mvmodel.training.training_set", files=(__file__,))
TRAINING_CODE = code_version("mvmodel.training.finetune", files=(__file__,), without=SAMPLING_MODULES)
EVALUATION_CODE = code_version(
    "mvmodel.backends.load", "mvmodel.generation.requests", "mvmodel.metrics.judge", files=(__file__,)
)
PROMOTION_CODE = code_version(files=(__file__, promotion.__file__))
VOLATILE_FILES = ("*/curve.jsonl", "*/metrics.jsonl", "*/tensorboard/*")
"""Have times in them, so that they differ between two trainings that give the same adapter."""
MAX_CARD_CHARACTERS = 20_000
"""Length of the model card in the UI."""


@mvmodel_asset(
    "training",
    "parquet",
    partitions_def=motions,
    ins={name: dg.AssetIn() for name in ("clips", "foreground_masks", "motion_groups")},
    sections=("training_set",),
    code_version=TRAINING_SET_CODE,
)
def training_set(
    context: dg.AssetExecutionContext, settings: Settings, pack: PackResource, store: ArtifactStore, **inputs: Handle
) -> dg.MaterializeResult[Handle]:
    """The clips, masks and captions that one motion's adapter is trained on, and those held out from training."""
    motion, config = context.partition_key, settings.read("training_set", TrainingSetConfig)

    def build(folder: Path) -> None:
        from mvmodel.training.captions import propose_caption
        from mvmodel.training.training_set import write_training_set
        from mvmodel.video.catalogue import Catalogue

        table = Catalogue.load(inputs["clips"].folder).table
        captions = dict(zip(table["clip"], table["caption"].astype(str), strict=True))
        roles = _split_motion(motion, inputs["motion_groups"].folder, inputs["foreground_masks"].folder, config)
        frames, masks = inputs["clips"].folder / "frames", inputs["foreground_masks"].folder
        propose = partial(propose_caption, pack.load())
        write_training_set(empty_folder(folder), motion, roles, captions, frames, masks, propose)

    def describe(folder: Path) -> dict[str, Any]:
        return _training_set_metadata(folder, motion)

    return store.step(context, inputs, config, build, describe, pack=pack.recipe("scorer"))


def _split_motion(motion: str, groups_folder: Path, masks_folder: Path, config: TrainingSetConfig) -> dict[str, Any]:
    """Clip -> "train" or "held_out". Raises InputError if too few clips have reliable masks."""
    import pandas as pd

    from mvmodel.segmentation.catalogue_masks import read_mask_quality
    from mvmodel.training.training_set import split_clips

    members = read_motion_groups(groups_folder)["motions"].get(motion)
    if not members:
        raise InputError(f"the motion {motion!r} has no clips any more; motion_groups lists the motions that have some")
    quality = read_mask_quality(masks_folder)
    groups = pd.read_parquet(groups_folder / "groups.parquet")
    distances = dict(zip(groups["clip"], groups["distance"].astype(float), strict=True))
    weak = set(quality["clip"][quality["weak"]])
    return dict(split_clips(motion, members, weak, distances, **config.model_dump()))


def _training_set_metadata(folder: Path, motion: str) -> dict[str, Any]:
    """Counts, captions, and the first and the middle frame of every clip."""
    import pandas as pd

    from mvmodel.training.training_set import read_training_set

    train, held_out = read_training_set(folder)
    rows = json.loads((folder / "clips.json").read_text())["clips"]
    pictures = [
        ui_metadata.dim_background(clip.frames[index], clip.masks[index])
        for clip in (*train, *held_out)
        for index in (0, len(clip.frames) // 2)
    ]
    return {
        "clips": len(train),
        "held_out": len(held_out),
        "captions": ui_metadata.table(pd.DataFrame(rows)),
        "sheet": ui_metadata.contact_sheet(pictures, motion),
    }


@mvmodel_asset(
    "training",
    "pytorch",
    "safetensors",
    partitions_def=motions,
    check_specs=checks.ADAPTER_CHECKS,
    sections={"training": (), "comparison": ("scratch",)},
    code_version=TRAINING_CODE,
)
def motion_adapter(
    context: dg.AssetExecutionContext,
    training_set: Handle,
    settings: Settings,
    pack: PackResource,
    gpu: Gpu,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The motion's adapter, tuned from the pack's start adapter if it has one; and one from scratch to compare."""
    runs, hardware, workers = _training_runs(settings, pack, gpu), gpu.get_hardware(), pack.get_workers()

    def build(folder: Path) -> None:
        _train_adapters(context, training_set.folder, runs, folder, pack, hardware["device"])

    def describe(folder: Path) -> dict[str, Any]:
        return {**_adapters_metadata(folder, runs), **hardware}

    recorded = {name: config.model_dump(mode="json") for name, config in runs.items()}
    inputs = {"training_set": training_set}
    result = store.step(
        context, inputs, recorded, build, describe, pack.recipe(), VOLATILE_FILES, rebuild=is_forced(context)
    )
    if (result.metadata or {}).get("computed"):
        result = with_metadata(result, peak_memory_gb=max(gpu.peak_memory_gb(), workers.peak_memory_gb()))
    return checks.with_checks(result, checks.check_losses(read_training_curve(result.value.folder / TUNED_ADAPTER)))


def _train_adapters(
    context: dg.AssetExecutionContext,
    training_set: Path,
    runs: Mapping[str, TrainConfig],
    folder: Path,
    pack: PackResource,
    device: str,
) -> None:
    """Train every adapter of `runs` below `folder`: a finished one is kept, an interrupted one resumed."""
    from mvmodel.training.finetune import finetune, report_nothing
    from mvmodel.training.training_set import read_training_set
    from pipelines.driver.progress import throttled

    train, held_out = read_training_set(training_set)
    workers, calls = pack.get_workers(), list[tuple[Any, ...]]()
    for name, config in runs.items():
        report: Callable[[dict[str, Any]], None] = report_nothing
        if workers.count == 1 or len(runs) == 1:  # in this process, which has the run's log
            report = throttled(context, f"{context.partition_key} {Path(name).parent}")
        calls.append((pack.backend(), train, config, (folder / name).parent, held_out, report, device))
    workers.map(finetune, calls)


def _training_runs(settings: Settings, pack: PackResource, gpu: Gpu) -> dict[str, TrainConfig]:
    """Folder of an adapter -> how it is trained."""
    from mvmodel.backends.training_config import TrainConfig

    start = "start" if pack.backend().start_adapter() is not None else None
    precision = {"fp32": "no"}.get(gpu.precision, gpu.precision)
    config = settings.read("training", TrainConfig, init_from=start, precision=precision)
    config = pack.backend().fill_training_config(config)
    runs = {TUNED_ADAPTER: config}
    if config.init_from is not None and settings.read("comparison", ComparisonConfig).scratch:
        runs[SCRATCH_ADAPTER] = config.model_copy(update={"init_from": None})
    return runs


def _adapters_metadata(folder: Path, runs: Mapping[str, TrainConfig]) -> dict[str, Any]:
    """Size, losses and trained parameters of every adapter, and the model card of the tuned one."""
    import pandas as pd

    metadata: dict[str, Any] = {}
    for name, config in runs.items():
        prefix, record = Path(name).parent.name, read_json(folder / name / "train.json")
        size = sum(path.stat().st_size for path in (folder / name).glob("*.safetensors"))
        metadata[f"{prefix}/megabytes"] = round(size / 1e6, 3)
        metadata[f"{prefix}/init_from"] = config.init_from or "scratch"
        if counts := record.get("parameters"):
            parameters = pd.DataFrame(counts.items(), columns=["part", "weights"])
            metadata[f"{prefix}/trained"] = ui_metadata.table(parameters)
        losses = {key: value for key, value in record.items() if key.startswith("validation_loss")}
        metadata |= ui_metadata.finite_numbers(losses, f"{prefix}/")
        if curve := read_training_curve(folder / name):
            metadata |= ui_metadata.finite_numbers(curve[-1], f"{prefix}/")
    card = folder / TUNED_ADAPTER / "README.md"
    if card.exists():
        metadata["card"] = dg.MetadataValue.md(card.read_text()[:MAX_CARD_CHARACTERS])
    return metadata


def read_json(path: Path) -> dict[str, Any]:
    """The table in a JSON file; empty if there is no file."""
    value = json.loads(path.read_text()) if path.exists() else {}
    return value if isinstance(value, dict) else {}


def read_training_curve(adapter: Path) -> list[dict[str, Any]]:
    """The training curve in an adapter's folder; empty if it has none."""
    path = adapter / "curve.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()] if path.exists() else []


@mvmodel_asset(
    "training",
    "pytorch",
    partitions_def=motions,
    check_specs=checks.GATE_CHECKS,
    sections=("evaluation", "judge", "generation", "gates"),
    code_version=EVALUATION_CODE,
)
def adapter_evaluation(
    context: dg.AssetExecutionContext,
    training_set: Handle,
    motion_adapter: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The adapter's metrics on held-out masks, with prompts of other objects. The promotion gates read them."""
    config, generation = settings.read("evaluation", EvaluationConfig), pack.generation(settings)
    judge = settings.read("judge", JudgeConfig)

    def build(folder: Path) -> None:
        requests = empty_folder(folder) / "set"
        write_evaluation_requests(training_set.folder, requests, context.partition_key, config, pack.load())
        adapter = motion_adapter.folder / TUNED_ADAPTER
        evaluation = evaluate(
            store.store, adapter, motion_adapter.sha, requests, generation, pack.load(), pack.get_workers(), judge
        )
        for name in ("metrics.json", "rows.json"):
            shutil.copyfile(evaluation / name, folder / name)
        shutil.copytree(evaluation / "videos", folder / "videos")

    def describe(folder: Path) -> dict[str, Any]:
        return _evaluation_metadata(folder, context.partition_key)

    inputs = {"training_set": training_set, "motion_adapter": motion_adapter}
    parts = {"evaluation": config, "judge": judge, "generation": generation}
    recorded = {name: part.model_dump(mode="json") for name, part in parts.items()}
    result = store.step(context, inputs, recorded, build, describe, pack.recipe(), volatile=("videos/*.json",))
    gates = promotion.judge_adapter(context.instance, store.store, settings, pack, motion_adapter, result.value)
    metrics = read_json(result.value.folder / "metrics.json")
    return checks.with_checks(result, checks.check_gates(gates, metrics, settings.read("gates", GateConfig)))


def _evaluation_metadata(folder: Path, motion: str) -> dict[str, Any]:
    import pandas as pd

    from mvmodel.video.frames import read_frames

    rows = json.loads((folder / "rows.json").read_text())
    metrics = json.loads((folder / "metrics.json").read_text())
    videos = (read_frames(folder / "videos" / f"{row['name']}.npz") for row in rows)
    return {
        **ui_metadata.finite_numbers(metrics),
        "missing": ui_metadata.listing(metrics["missing"]),
        "videos_table": ui_metadata.table(pd.DataFrame(rows)),
        "sheet": ui_metadata.video_rows(videos, motion),
    }


@mvmodel_asset(
    "training", "safetensors", partitions_def=motions, sections=("gates", "generation"), code_version=PROMOTION_CODE
)
def promoted_adapter(
    context: dg.AssetExecutionContext,
    motion_adapter: Handle,
    adapter_evaluation: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The adapter in use for this motion. A new one replaces it only if it passes its gates; `rollback` undoes that."""
    instance, versions = context.instance, store.store
    gates = promotion.judge_adapter(instance, versions, settings, pack, motion_adapter, adapter_evaluation)
    failed = [f"{gate.gate}: {gate.reason}" for gate in gates if not gate.passed]
    if failed:  # the blocking checks stop a run earlier; this also stops `--select promoted_adapter`
        raise InputError(f"{motion_adapter.key} is not promoted: {'; '.join(failed)}")
    if rolled_back := promotion.find_rolled_back(instance, versions, context.partition_key, motion_adapter.sha):
        return rolled_back

    def build(folder: Path) -> None:
        promotion.write_pointer(empty_folder(folder), motion_adapter, adapter_evaluation)

    def describe(folder: Path) -> dict[str, Any]:
        return {
            "adapter": motion_adapter.sha,
            "promoted_by": "gates",
            "gates": dg.MetadataValue.md("\n".join(f"- {gate.gate}: {gate.reason}" for gate in gates)),
            **ui_metadata.finite_numbers(read_json(adapter_evaluation.folder / "metrics.json")),
        }

    inputs = {"motion_adapter": motion_adapter, "adapter_evaluation": adapter_evaluation}
    return store.step(context, inputs, {}, build, describe, volatile=("metrics.json",))
