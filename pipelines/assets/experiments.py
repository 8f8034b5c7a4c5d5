"""Experiments on the promoted adapters: on demand only, cell by cell, each cell made once whatever asks for it.

A study's sizes are in the section `experiments` of the settings: `{"quick": true}` for the smallest, or sizes under a
study's name, such as `{"mask_robustness": {"requests": 4}}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mvmodel.code_version import code_version
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.partitions import motions
from pipelines.promotion import promotion
from pipelines.promotion.promotion import TUNED_ADAPTER
from pipelines.resources import PackResource, Settings
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.version_store import Handle

if TYPE_CHECKING:
    import pandas as pd

    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.training_config import TrainConfig
    from mvmodel.experiments.bench import Motion
    from mvmodel.experiments.config import ExperimentConfig

CODE = code_version("mvmodel.experiments.run", files=(__file__,))
MOTION_EXPERIMENTS = {
    "ablation_study": "What each part of the method brings; learned motion against the mask's constraint.",
    "noise_sharing_sweep": "The share of frame 1 in the later frames' noise, in three ways of mixing it in.",
    "mask_generalization": "Shapes, sizes, motions and object classes that the training clips do not have.",
    "mask_robustness": "Masks that are eroded, dilated, shifted, or missing in some frames.",
    "first_frame_sensitivity": "A bad first frame, and how its error travels along the later frames.",
    "long_video_drift": "Videos of 24 to 200 frames, extended window by window: what adds up.",
}
"""Experiment -> its asset's description."""
VOLATILE_FILES = ("timing.json",)
"""Seconds differ from run to run, and make no other version."""
MAX_PLOTTED_GROUPS = 12
"""Settings whose means become metrics that plot over time; the tables have all."""


def load_motion(name: str, training: Path, requests: Path, pack: Any) -> Motion:
    """A motion's requests and training clips, as experiments take them."""
    from mvmodel.experiments.bench import Motion
    from mvmodel.experiments.tasks import load_tasks
    from mvmodel.training.training_set import read_training_set

    clips, _ = read_training_set(training)
    return Motion(name, load_tasks(requests / "requests.csv", None, pack), clips)


def base_configs(settings: Settings, pack: PackResource) -> tuple[GenerationConfig, TrainConfig]:
    """The settings that every cell changes one thing of: the home's own for generation and training."""
    from mvmodel.backends.training_config import TrainConfig

    start = "start" if pack.load().start_adapter() is not None else None
    return pack.generation(settings), settings.read("training", TrainConfig, init_from=start)


def experiment_metadata(folder: Path) -> dict[str, Any]:
    """An experiment's conclusion, tables and pictures as metadata."""
    import pandas as pd
    from PIL import Image

    from mvmodel.experiments.catalogue import EXPERIMENTS

    rows = pd.read_parquet(folder / "videos.parquet")
    timing = json.loads((folder / "timing.json").read_text())
    experiment = EXPERIMENTS[json.loads((folder / "config.json").read_text())["experiment"]]
    claims = json.loads((folder / "conclusion.json").read_text())["claims"]
    groups = list(rows.groupby(experiment.factors[-1], sort=False))[:MAX_PLOTTED_GROUPS]
    metrics: dict[str, float] = {}
    for group, own in groups:
        metrics |= ui_metadata.finite_numbers(
            dict(own[[m for m in experiment.headline if m in own]].mean()), f"{group}/"
        )
    plot = next(iter(sorted((folder / "plots").glob("*.png"))))
    return {
        "conclusion": dg.MetadataValue.md((folder / "conclusion.md").read_text()),
        "report": dg.MetadataValue.path(str(folder / "report.html")),
        "plot": ui_metadata.inline_image(Image.open(plot), plot.stem),
        "sheet": ui_metadata.inline_image(Image.open(folder / "sheet.jpg"), "one setting a row"),
        "videos": len(rows),
        "cells_made": timing["videos_generated"],
        "minutes": round(timing["seconds"] / 60, 2),
        "claims": len(claims),
        "claims_that_hold": sum(claim["holds"] is True for claim in claims),
        "means": group_means_table(experiment, rows),
        "summary": ui_metadata.table(pd.read_csv(folder / "summary.csv")),
        **metrics,
    }


def group_means_table(experiment: Any, rows: pd.DataFrame) -> dg.TableMetadataValue:
    """One row a setting: its factors, the means of the metrics that matter most, and the number of videos."""
    import pandas as pd

    lines = []
    for key, group in rows.groupby(list(experiment.factors), sort=False, dropna=False):
        said = dict(zip(experiment.factors, map(experiment.format_factor, key), strict=True))
        metrics = ui_metadata.finite_numbers(
            {name: group[name].mean() for name in experiment.headline if name in group}
        )
        lines.append({**said, **metrics, "videos": len(group)})
    return ui_metadata.table(pd.DataFrame(lines))


def _motion_experiment(name: str, description: str) -> dg.AssetsDefinition:
    def run(
        context: dg.AssetExecutionContext,
        training_set: Handle,
        generation_requests: Handle,
        promoted_adapter: Handle,
        settings: Settings,
        pack: PackResource,
        store: ArtifactStore,
    ) -> dg.MaterializeResult[Handle]:
        from mvmodel.experiments.config import ExperimentsConfig

        adapter = promotion.open_promoted(promoted_adapter, store.store)
        config = settings.read("experiments", ExperimentsConfig).sizes(name)
        generation, training = base_configs(settings, pack)

        def build_folder(folder: Path) -> None:
            from mvmodel.experiments.bench import MOTION_ADAPTER, Bench
            from mvmodel.experiments.run import run_experiment

            model = pack.load()
            motion = load_motion(context.partition_key, training_set.folder, generation_requests.folder, model)
            cache = store.store.cache
            adapters = {MOTION_ADAPTER: adapter.folder / TUNED_ADAPTER}
            bench = Bench(model, [motion], cache, adapters, generation, training, log=context.log.info)
            run_experiment(name, bench, folder, config)

        inputs = {
            "training_set": training_set,
            "generation_requests": generation_requests,
            "promoted_adapter": promoted_adapter,
        }
        recorded = _configs_as_json(config, generation, training)
        source = {"adapter": adapter.sha}
        return store.step(
            context, inputs, recorded, build_folder, experiment_metadata, pack.recipe(), VOLATILE_FILES, source=source
        )

    run.__name__, run.__doc__ = name, description
    made: dg.AssetsDefinition = mvmodel_asset(
        "experiments", "pytorch", "parquet", gpu=True, partitions_def=motions, code_version=CODE, name=name
    )(run)
    return made


def _configs_as_json(config: ExperimentConfig, generation: GenerationConfig, training: TrainConfig) -> dict[str, Any]:
    return {
        "experiment": config.model_dump(mode="json"),
        "generation": generation.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
    }


motion_experiments = [_motion_experiment(name, description) for name, description in MOTION_EXPERIMENTS.items()]
"""The experiments that every motion has for itself."""


@mvmodel_asset(
    "experiments",
    "pytorch",
    "parquet",
    gpu=True,
    ins={
        "training_set": dg.AssetIn(partition_mapping=dg.AllPartitionMapping()),
        "generation_requests": dg.AssetIn(partition_mapping=dg.AllPartitionMapping()),
    },
    code_version=CODE,
)
def zero_shot_motion(
    context: dg.AssetExecutionContext,
    training_set: dict[str, Handle],
    generation_requests: dict[str, Handle],
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle]:
    """One adapter over many motions against one per motion, on motions that the first has never seen."""
    from mvmodel.experiments.config import ExperimentsConfig

    config = settings.read("experiments", ExperimentsConfig).sizes("zero_shot_motion")
    generation, training = base_configs(settings, pack)
    names = sorted(set(training_set) & set(generation_requests))

    def build_folder(folder: Path) -> None:
        from mvmodel.experiments.bench import Bench
        from mvmodel.experiments.run import run_experiment

        model = pack.load()
        every = [load_motion(n, training_set[n].folder, generation_requests[n].folder, model) for n in names]
        bench = Bench(model, every, store.store.cache, {}, generation, training, log=context.log.info)
        run_experiment("zero_shot_motion", bench, folder, config)

    inputs: dict[str, Handle | Mapping[str, Handle]] = {
        "training_set": {name: training_set[name] for name in names},
        "generation_requests": {name: generation_requests[name] for name in names},
    }
    return store.step(
        context,
        inputs,
        _configs_as_json(config, generation, training),
        build_folder,
        experiment_metadata,
        pack.recipe(),
        VOLATILE_FILES,
    )
