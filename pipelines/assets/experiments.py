"""Experiments on the promoted adapters. They run on demand only, and resume cell by cell.

They take hours, so they run if they are chosen alone, without assets of other groups, or by their jobs. In other runs,
such as that of "Materialize all" in the UI, they do nothing, unless what they make is stored already.

The section `experiments` of the settings holds their sizes: `{"quick": true}` for the smallest ones, or sizes by
experiment, such as `{"mask_robustness": {"requests": 4}}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mvmodel.code_version import code_version
from pipelines.assets import ui_metadata
from pipelines.assets.decorator import mvmodel_asset
from pipelines.assets.on_demand import Build, is_chosen_alone, not_built, step_if_asked
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
    from mvmodel.experiments.experiment import Experiment
    from mvmodel.packs import Pack

EXPERIMENT_CODE = code_version("mvmodel.experiments.run", files=(__file__,))
MOTION_EXPERIMENTS = {
    "ablation_study": "The effect of each part of the method, and how much of the motion is learned, not only "
    "constrained by the mask.",
    "noise_sharing_sweep": "Shares of frame 1 in the noise of the later frames, with three ways of mixing it in.",
    "mask_generalization": "Shapes, sizes, motions and objects that are not in the training clips.",
    "mask_robustness": "Masks that are eroded, dilated, shifted, or missing in some frames.",
    "first_frame_sensitivity": "A damaged first frame, and how its error spreads to the later frames.",
    "long_video_drift": "Videos of 24 to 200 frames, extended window by window, and the errors that add up.",
}
"""Experiment -> description of its asset."""
EXPERIMENT_NAMES = (*MOTION_EXPERIMENTS, "zero_shot_motion")
RUNS = "Only if experiments are chosen without other assets, or by the job {job}."
"""Entry `runs` of a definition's metadata, and end of its description."""
VOLATILE_FILES = ("timing.json",)
"""Run times differ between two runs with the same results."""
MAX_PLOTTED_GROUPS = 12
"""Groups whose means become numbers that the UI plots over time; the tables hold all of them."""


@dataclass(frozen=True)
class ExperimentSettings:
    """The sizes of an experiment, and the home's settings of generation and training, which its cells vary."""

    sizes: ExperimentConfig
    generation: GenerationConfig
    training: TrainConfig

    @classmethod
    def read(cls, name: str, settings: Settings, pack: PackResource) -> ExperimentSettings:
        from mvmodel.backends.training_config import TrainConfig
        from mvmodel.experiments.config import ExperimentsConfig

        start = "start" if pack.backend().start_adapter() is not None else None
        sizes = settings.read("experiments", ExperimentsConfig).sizes(name)
        training = settings.read("training", TrainConfig, init_from=start)
        return cls(sizes, pack.generation(settings), pack.backend().fill_training_config(training))

    def as_json(self) -> dict[str, Any]:
        """For the recipe."""
        return {
            "experiment": self.sizes.model_dump(mode="json"),
            "generation": self.generation.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
        }


def _on_demand(description: str, job: str) -> dict[str, Any]:
    """What the UI says about an experiment. job: the one that runs it."""
    runs = RUNS.format(job=job)
    text = f"{description} It takes long, so it runs on demand: {runs[0].lower()}{runs[1:]}"
    return {"description": text, "metadata": {"runs": runs}}


def _motion_experiment(name: str, description: str) -> dg.AssetsDefinition:
    def run(
        context: dg.AssetExecutionContext,
        settings: Settings,
        pack: PackResource,
        store: ArtifactStore,
        **inputs: Handle,
    ) -> dg.MaterializeResult[Handle] | dg.Output[object]:
        adapter = promotion.open_promoted(inputs["promoted_adapter"], store.store)
        config = ExperimentSettings.read(name, settings, pack)

        def build(folder: Path) -> None:
            from mvmodel.experiments.bench import MOTION_ADAPTER

            training_set, requests = inputs["training_set"], inputs["generation_requests"]
            motion = _load_motion(context.partition_key, training_set, requests, pack.load())
            adapters = {MOTION_ADAPTER: adapter.folder / TUNED_ADAPTER}
            _run_experiment(name, context, pack, store, config, [motion], adapters, folder)

        source = {"adapter": adapter.sha}
        return _step(context, store, inputs, config, build, pack, source)

    run.__name__ = name
    decorate = mvmodel_asset(
        "experiments",
        "pytorch",
        "parquet",
        name=name,
        **_on_demand(description, "run_experiments"),
        partitions_def=motions,
        sections=_form_sections(name),
        ins={upstream: dg.AssetIn() for upstream in ("training_set", "generation_requests", "promoted_adapter")},
        code_version=EXPERIMENT_CODE,
    )
    return decorate(run)


def _step(
    context: dg.AssetExecutionContext,
    store: ArtifactStore,
    inputs: Mapping[str, Any],
    config: ExperimentSettings,
    build: Build,
    pack: PackResource,
    source: Mapping[str, Any] | None = None,
) -> dg.MaterializeResult[Handle] | dg.Output[object]:
    """What `ArtifactStore.step` returns; an empty output if the experiment would have to run and was not asked for."""

    def step(build_if_asked: Build) -> dg.MaterializeResult[Handle]:
        values, recipe = config.as_json(), pack.recipe()
        return store.step(
            context, inputs, values, build_if_asked, experiment_metadata, recipe, VOLATILE_FILES, source=source
        )

    result = step_if_asked(step, build, is_chosen_alone(context, EXPERIMENT_NAMES))
    if result is None:
        name = context.asset_key.to_user_string()
        context.log.warning(
            f"{name} is not run, because it takes long and was chosen together with other assets; choose {name} alone"
        )
        return not_built()
    return result


def _form_sections(name: str) -> dict[str, tuple[str, ...]]:
    """What the launchpad's form of an experiment can change."""
    return {"experiments": ("quick", name), "generation": (), "training": ()}


def _load_motion(name: str, training_set: Handle, requests: Handle, pack: Pack) -> Motion:
    """A motion's requests and training clips, as experiments take them."""
    from mvmodel.experiments.bench import Motion
    from mvmodel.experiments.tasks import load_tasks
    from mvmodel.training.training_set import read_training_set

    clips, _ = read_training_set(training_set.folder)
    return Motion(name, load_tasks(requests.folder / "requests.csv", None, pack), clips)


def _run_experiment(
    name: str,
    context: dg.AssetExecutionContext,
    pack: PackResource,
    store: ArtifactStore,
    config: ExperimentSettings,
    motions: list[Motion],
    adapters: Mapping[str, Path],
    folder: Path,
) -> None:
    from mvmodel.experiments.bench import Bench
    from mvmodel.experiments.run import run_experiment

    generation, training = config.generation, config.training
    bench = Bench(pack.load(), motions, store.store.cache, dict(adapters), generation, training, log=context.log.info)
    run_experiment(name, bench, folder, config.sizes)


motion_experiments = [_motion_experiment(name, description) for name, description in MOTION_EXPERIMENTS.items()]
"""The experiments that every motion has."""


@mvmodel_asset(
    "experiments",
    "pytorch",
    "parquet",
    **_on_demand(
        "One adapter for many motions compared with one adapter per motion, on motions that the former has not seen.",
        "run_zero_shot_motion",
    ),
    ins={
        "training_set": dg.AssetIn(partition_mapping=dg.AllPartitionMapping()),
        "generation_requests": dg.AssetIn(partition_mapping=dg.AllPartitionMapping()),
    },
    sections=_form_sections("zero_shot_motion"),
    code_version=EXPERIMENT_CODE,
)
def zero_shot_motion(
    context: dg.AssetExecutionContext,
    training_set: dict[str, Handle],
    generation_requests: dict[str, Handle],
    settings: Settings,
    pack: PackResource,
    store: ArtifactStore,
) -> dg.MaterializeResult[Handle] | dg.Output[object]:
    """One adapter for many motions compared with one adapter per motion."""
    config = ExperimentSettings.read("zero_shot_motion", settings, pack)
    names = sorted(set(training_set) & set(generation_requests))

    def build(folder: Path) -> None:
        model = pack.load()
        motions = [_load_motion(name, training_set[name], generation_requests[name], model) for name in names]
        _run_experiment("zero_shot_motion", context, pack, store, config, motions, {}, folder)

    inputs = {
        "training_set": {name: training_set[name] for name in names},
        "generation_requests": {name: generation_requests[name] for name in names},
    }
    return _step(context, store, inputs, config, build, pack)


def experiment_metadata(folder: Path) -> dict[str, Any]:
    """An experiment's conclusion, tables and pictures."""
    import pandas as pd
    from PIL import Image

    from mvmodel.experiments.catalogue import EXPERIMENTS

    rows = pd.read_parquet(folder / "videos.parquet")
    timing = json.loads((folder / "timing.json").read_text())
    experiment = EXPERIMENTS[json.loads((folder / "config.json").read_text())["experiment"]]
    claims = json.loads((folder / "conclusion.json").read_text())["claims"]
    plot = next(iter(sorted((folder / "plots").glob("*.png"))))
    return {
        "conclusion": dg.MetadataValue.md((folder / "conclusion.md").read_text()),
        "report": dg.MetadataValue.path(str(folder / "report.html")),
        "plot": ui_metadata.inline_image(Image.open(plot), plot.stem),
        "sheet": ui_metadata.inline_image(Image.open(folder / "sheet.jpg"), "one setting per row"),
        "videos": len(rows),
        "videos_generated": timing["videos_generated"],
        "minutes": round(timing["seconds"] / 60, 2),
        "claims": len(claims),
        "claims_that_hold": sum(claim["holds"] is True for claim in claims),
        "means": _means_table(experiment, rows),
        "summary": ui_metadata.table(pd.read_csv(folder / "summary.csv")),
        **_group_means(experiment, rows),
    }


def _group_means(experiment: Experiment[Any], rows: pd.DataFrame) -> dict[str, float]:
    """group/metric -> mean, for the first groups."""
    groups = list(rows.groupby(experiment.factors[-1], sort=False))[:MAX_PLOTTED_GROUPS]
    means: dict[str, float] = {}
    for name, group in groups:
        means |= ui_metadata.finite_numbers(_headline_means(experiment, group), f"{name}/")
    return means


def _means_table(experiment: Experiment[Any], rows: pd.DataFrame) -> dg.TableMetadataValue:
    """One row per cell: its factors, the means of the most important metrics, and the number of videos."""
    import pandas as pd

    lines = []
    for key, group in rows.groupby(list(experiment.factors), sort=False, dropna=False):
        factors = dict(zip(experiment.factors, map(experiment.format_factor, key), strict=True))
        means = ui_metadata.finite_numbers(_headline_means(experiment, group))
        lines.append({**factors, **means, "videos": len(group)})
    return ui_metadata.table(pd.DataFrame(lines))


def _headline_means(experiment: Experiment[Any], rows: pd.DataFrame) -> dict[str, float]:
    return {metric: rows[metric].mean() for metric in experiment.headline if metric in rows}
