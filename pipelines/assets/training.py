"""A motion's clips to an adapter that is measured, and promoted only if it passes its gates."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mvmodel.code_version import SAMPLING_MODULES, code_version
from mvmodel.errors import InputError
from mvmodel.files import empty_folder
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.assets.motion import read_motion_groups
from pipelines.partitions import motions
from pipelines.promotion import promotion
from pipelines.promotion.evaluation import evaluate
from pipelines.promotion.promotion import TUNED_ADAPTER
from pipelines.resources import Gpu, PackResource, Settings
from pipelines.settings import ComparisonConfig, EvaluationConfig, TrainingSetConfig
from pipelines.store.artifact_store import ArtifactStore, with_metadata
from pipelines.store.version_store import Handle

if TYPE_CHECKING:
    pass

SCRATCH_ADAPTER = "scratch/adapter"
"""In a `motion_adapter` version: the adapter trained without a start, to compare."""


@mvmodel_asset(
    "training",
    "parquet",
    partitions_def=motions,
    code_version=code_version("mvmodel.training.captions", "mvmodel.training.training_set", files=(__file__,)),
)
def training_set(
    context: dg.AssetExecutionContext,
    clips: Handle,
    foreground_masks: Handle,
    motion_groups: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The clips, masks and captions that one motion's adapter is trained on, and those held out from it."""
    motion = context.partition_key
    config = settings.read("training_set", TrainingSetConfig)

    def build(folder: Path) -> None:
        import pandas as pd

        from mvmodel.training.captions import propose_caption
        from mvmodel.training.training_set import split_clips, write_training_set
        from mvmodel.video.catalogue import Catalogue

        empty_folder(folder)
        table = Catalogue.load(clips.folder).table
        captions = dict(zip(table["clip"], table["caption"].astype(str), strict=True))
        quality = pd.read_parquet(foreground_masks.folder / "quality.parquet")
        members = read_motion_groups(motion_groups.folder)["motions"].get(motion)
        if not members:
            raise InputError(
                f"no clips make up the motion {motion!r} any more; see motion_groups for those that there are"
            )
        groups = pd.read_parquet(motion_groups.folder / "groups.parquet")
        distances = dict(zip(groups["clip"], groups["distance"].astype(float), strict=True))
        weak = set(quality["clip"][quality["weak"]])
        roles = split_clips(motion, members, weak, distances, **config.model_dump())
        frames, masks = clips.folder / "frames", foreground_masks.folder
        write_training_set(folder, motion, roles, captions, frames, masks, lambda f: propose_caption(pack.load(), f))

    def describe(folder: Path) -> dict[str, Any]:
        import pandas as pd

        from mvmodel.training.training_set import read_training_set

        train, held = read_training_set(folder)
        rows = json.loads((folder / "clips.json").read_text())["clips"]
        shown = [
            ui_metadata.dim_background(c.frames[i], c.masks[i])
            for c in (*train, *held)
            for i in (0, len(c.frames) // 2)
        ]
        return {
            "clips": len(train),
            "held_out": len(held),
            "captions": ui_metadata.table(pd.DataFrame(rows)),
            "sheet": ui_metadata.inline_image(ui_metadata.image_grid(shown), motion),
        }

    inputs = {"clips": clips, "foreground_masks": foreground_masks, "motion_groups": motion_groups}
    return store.step(context, inputs, config, build, describe, pack=pack.recipe("scorer"))


@mvmodel_asset(
    "training",
    "pytorch",
    "safetensors",
    gpu=True,
    partitions_def=motions,
    code_version=code_version("mvmodel.training.finetune", files=(__file__,), without=SAMPLING_MODULES),
)
def motion_adapter(
    context: dg.AssetExecutionContext,
    training_set: Handle,
    settings: Settings,
    pack: PackResource,
    gpu: Gpu,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The motion's adapter, tuned from the pack's start adapter where it has one; and one from scratch to compare."""
    from mvmodel.backends.training_config import TrainConfig
    from mvmodel.training.finetune import finetune
    from mvmodel.training.training_set import read_training_set
    from pipelines.driver.progress import throttled

    backend, hardware = pack.backend(), gpu.chosen()
    start = "start" if backend.start_adapter() is not None else None
    precision = {"fp32": "no"}.get(gpu.precision, gpu.precision)
    config = settings.read("training", TrainConfig, init_from=start, precision=precision)
    runs = {TUNED_ADAPTER: config}
    if config.init_from is not None and settings.read("comparison", ComparisonConfig).scratch:
        runs[SCRATCH_ADAPTER] = config.model_copy(update={"init_from": None})

    def build(folder: Path) -> None:
        train, held = read_training_set(training_set.folder)
        for name, how in runs.items():  # a finished one is returned at once, a stopped one resumes from its checkpoint
            report = throttled(context, f"{context.partition_key} {Path(name).parent}")
            finetune(backend, train, how, (folder / name).parent, held, report, device=hardware["device"])

    def describe(folder: Path) -> dict[str, Any]:
        import pandas as pd

        metadata: dict[str, Any] = {}
        for name, how in runs.items():
            short = Path(name).parent.name
            size = sum(path.stat().st_size for path in (folder / name).glob("*.safetensors"))
            metadata[f"{short}/megabytes"] = round(size / 1e6, 3)
            metadata[f"{short}/init_from"] = how.init_from or "scratch"
            recorded = read_json(folder / name / "train.json")
            losses = {key: value for key, value in recorded.items() if key.startswith("validation_loss")}
            if counts := recorded.get("parameters"):
                metadata[f"{short}/trained"] = ui_metadata.table(
                    pd.DataFrame(counts.items(), columns=["part", "weights"])
                )
            metadata |= ui_metadata.finite_numbers(losses, f"{short}/")
            if curve := read_training_curve(folder / name):
                metadata |= ui_metadata.finite_numbers(curve[-1], f"{short}/")
        card = folder / TUNED_ADAPTER / "README.md"
        if card.exists():
            metadata["card"] = dg.MetadataValue.md(card.read_text()[:20_000])
        return {**metadata, **hardware}

    recorded = {name: how.model_dump(mode="json") for name, how in runs.items()}
    inputs = {"training_set": training_set}
    result = store.step(context, inputs, recorded, build, describe, pack.recipe(), volatile=("*/curve.jsonl",))
    if (result.metadata or {}).get("computed"):
        return with_metadata(result, peak_memory_gb=gpu.peak_gb())
    return result


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's table; empty when there is none."""
    value = json.loads(path.read_text()) if path.exists() else {}
    return value if isinstance(value, dict) else {}


def read_training_curve(adapter: Path) -> list[dict[str, Any]]:
    """The training curve of an adapter's folder; empty when it has none."""
    path = adapter / "curve.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()] if path.exists() else []


def write_evaluation_requests(training: Path, folder: Path, motion: str, config: EvaluationConfig, pack: Any) -> Path:
    """The fixed set an adapter of this motion is measured on, written to `folder`: held-out masks, other objects."""
    from mvmodel.generation.default_requests import default_requests, write_requests
    from mvmodel.training.training_set import read_training_set

    train, held = read_training_set(training)
    clips = [(clip.name, clip.caption, clip.masks) for clip in (*held, *train)]
    wanted = default_requests(clips[: max(len(held), 1)], list(pack.info.objects), config.count, config.seed)
    return write_requests(empty_folder(folder), motion, wanted, float(pack.info.fps))


@mvmodel_asset(
    "training",
    "pytorch",
    gpu=True,
    partitions_def=motions,
    code_version=code_version(
        "mvmodel.backends.load", "mvmodel.generation.requests", "mvmodel.metrics.judge", files=(__file__,)
    ),
)
def adapter_evaluation(
    context: dg.AssetExecutionContext,
    training_set: Handle,
    motion_adapter: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The adapter measured on held-out masks with prompts of other objects; what its promotion is decided by."""
    config = settings.read("evaluation", EvaluationConfig)
    generation = pack.generation(settings)

    def build(folder: Path) -> None:
        empty_folder(folder)
        write_evaluation_requests(training_set.folder, folder / "set", context.partition_key, config, pack.load())
        adapter = motion_adapter.folder / TUNED_ADAPTER
        made = evaluate(store.store, adapter, motion_adapter.sha, folder / "set", generation, pack.load())
        for name in ("metrics.json", "rows.json"):
            shutil.copyfile(made / name, folder / name)
        shutil.copytree(made / "videos", folder / "videos")

    def describe(folder: Path) -> dict[str, Any]:
        import pandas as pd

        from mvmodel.video.frames import read_frames
        from mvmodel.video.sampling import evenly_spaced_indices

        rows = json.loads((folder / "rows.json").read_text())
        metrics = json.loads((folder / "metrics.json").read_text())
        shown = []
        for row in rows:
            frames = read_frames(folder / "videos" / f"{row['name']}.npz")
            shown += list(frames[evenly_spaced_indices(8, len(frames), repeat=True)])
        return {
            **ui_metadata.finite_numbers(metrics),
            "missing": dg.MetadataValue.json(metrics["missing"]),
            "videos_table": ui_metadata.table(pd.DataFrame(rows)),
            "sheet": ui_metadata.inline_image(ui_metadata.image_grid(shown), context.partition_key),
        }

    inputs = {"training_set": training_set, "motion_adapter": motion_adapter}
    recorded = {"evaluation": config.model_dump(), "generation": generation.model_dump(mode="json")}
    return store.step(context, inputs, recorded, build, describe, pack.recipe(), volatile=("videos/*.json",))


@mvmodel_asset(
    "training", "safetensors", partitions_def=motions, code_version=code_version(files=(__file__, promotion.__file__))
)
def promoted_adapter(
    context: dg.AssetExecutionContext,
    motion_adapter: Handle,
    adapter_evaluation: Handle,
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """The adapter in use for this motion. A new one takes over only if it passes its gates; `rollback` undoes it."""
    verdicts = promotion.judge_adapter(
        context.instance, store.store, settings, pack, motion_adapter, adapter_evaluation
    )
    failed = [f"{v.gate}: {v.reason}" for v in verdicts if not v.passed]
    if failed:  # the checks stop a run before it comes here; this stops `--select promoted_adapter` too
        raise InputError(f"{motion_adapter.key} is not promoted; {'; '.join(failed)}")
    if kept := promotion.find_rolled_back(context.instance, store.store, context.partition_key, motion_adapter.sha):
        return kept

    def build(folder: Path) -> None:
        promotion.write_pointer(empty_folder(folder), motion_adapter, adapter_evaluation)

    def describe(folder: Path) -> dict[str, Any]:
        metrics = json.loads((adapter_evaluation.folder / "metrics.json").read_text())
        gates = "\n".join(f"- {v.gate}: {v.reason}" for v in verdicts)
        return {
            "adapter": motion_adapter.sha,
            "promoted_by": "gates",
            "gates": dg.MetadataValue.md(gates),
            **ui_metadata.finite_numbers(metrics),
        }

    inputs = {"motion_adapter": motion_adapter, "adapter_evaluation": adapter_evaluation}
    return store.step(context, inputs, {}, build, describe, volatile=("metrics.json",))
