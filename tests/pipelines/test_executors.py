"""Where steps run, and what they ask a cluster for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from dagster._core.execution.api import create_execution_plan

from mvmodel.cache import Cache
from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.segmentation import catalogue_masks
from mvmodel.segmentation.catalogue_masks import ClipMasks, write_clip_masks, write_mask_share
from mvmodel.segmentation.config import ExtractConfig
from mvmodel.segmentation.quality import measure_quality
from mvmodel.segmentation.selection import SegmenterChoice
from mvmodel.video.catalogue import Catalogue
from pipelines import executors
from pipelines.assets.decorator import GPU_POOL
from pipelines.definitions import build_defs
from pipelines.executors import choose_executor
from pipelines.resource_requests import KUBERNETES_TAG, RAY_TAG, asks_for_gpu, resource_tags
from pipelines.step_processes import LostStepPolicy


def all_steps(sections: Mapping[str, object] | None = None) -> list[dg.OpDefinition]:
    return [
        node
        for asset in build_defs(sections=sections or {}).assets
        for node in [asset.op]
        if isinstance(asset.op, dg.OpDefinition) and asset.is_materializable
    ]


def test_an_unknown_executor_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="'slurm' is not one of in_process"):
        choose_executor("slurm")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(executors.importlib, "import_module", fail)
    with pytest.raises(InputError, match=r"dagster-k8s: pip install 'mvmodel\[kubernetes\]'"):
        choose_executor("kubernetes")


def test_the_settings_choose_the_executor() -> None:
    assert build_defs(sections={"executor": "multiprocess"}).executor.name == dg.multiprocess_executor.name
    assert build_defs(sections={}).executor.name == dg.in_process_executor.name


def test_steps_ask_for_a_gpu_exactly_if_they_are_in_its_pool() -> None:
    steps = all_steps()
    assert any(step.pool == GPU_POOL for step in steps)
    for step in steps:
        gpus = 1 if step.pool == GPU_POOL else 0
        assert step.tags[RAY_TAG] and f'"num_gpus": {gpus}' in step.tags[RAY_TAG], step.name
        assert ("nvidia.com/gpu" in step.tags[KUBERNETES_TAG]) == bool(gpus), step.name


def test_kubernetes_jobs_are_rendered_with_the_limits_of_their_step() -> None:
    job = pytest.importorskip("dagster_k8s.job", reason="the extra `kubernetes` (dagster-k8s) is not installed")
    for gpu in (True, False):
        config = job.UserDefinedDagsterK8sConfig.from_dict(resource_tags(gpu)[KUBERNETES_TAG])
        rendered = job.construct_dagster_k8s_job(
            job.DagsterK8sJobConfig(job_image="mvmodel:1", dagster_home="/opt/dagster"), [], "step-1", config
        ).to_dict()
        resources = rendered["spec"]["template"]["spec"]["containers"][0]["resources"]
        assert resources["requests"]["memory"] == "4Gi"
        assert (resources["limits"] or {}).get("nvidia.com/gpu") == ("1" if gpu else None)


def test_every_step_is_tried_again_when_it_is_lost() -> None:
    for step in all_steps({"executor": "multiprocess", "mask_steps": 2}):
        assert isinstance(step.retry_policy, LostStepPolicy) and step.retry_policy.max_retries == 2, step.name


def test_masks_are_shared_by_steps_and_are_put_together() -> None:
    settings = {"executor": "multiprocess", "mask_steps": 2}
    for device, pool in (("auto", GPU_POOL), ("cpu", None)):
        graph = build_defs(sections={**settings, "device": device}).resolve_asset_graph()
        shares = [dg.AssetKey(f"mask_share_{number}") for number in (1, 2)]
        assert graph.get(dg.AssetKey("foreground_masks")).parent_keys == {dg.AssetKey("clips"), *shares}
        assert all(graph.get(share).pools == ({pool} if pool else set()) for share in shares)
        steps = {step.name: step for step in all_steps({**settings, "device": device})}
        assert f'"num_gpus": {1 if pool else 0}' in steps["mask_share_1"].tags[RAY_TAG]
    alone = build_defs(sections={"mask_steps": 2}).resolve_asset_graph()
    assert dg.AssetKey("mask_share_1") not in alone.get_all_asset_keys(), "in one process nothing runs side by side"


def test_on_kubernetes_lost_pods_are_told_from_steps_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limits that the executor was configured with."""
    pytest.importorskip("dagster_k8s", reason="the extra `kubernetes` (dagster-k8s) is not installed")
    from pipelines.kubernetes_executor import KubernetesExecutor, PodReportingHandler

    monkeypatch.setattr("kubernetes.config.load_incluster_config", lambda: None)
    config = {"retries": {"enabled": {}}, "max_concurrent": 3}
    context: Any = SimpleNamespace(instance=SimpleNamespace(run_launcher=None), executor_config=config)
    executor = choose_executor("kubernetes").executor_creation_fn(context)
    assert isinstance(executor, KubernetesExecutor) and isinstance(executor._step_handler, PodReportingHandler)
    assert executor._max_concurrent == 3 and executor._step_handler.name == "K8sStepHandler"


class RecordingExecutor(dg.Executor):
    """Keeps the tags of the steps that it is given, and runs none."""

    retries = step_dependency_config = None
    tags: dict[str, Any] = {}

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        self.tags = {step.key: step.tags for step in execution_plan.step_dict.values()}
        assert self.tags == {step.key: step.tags for step in execution_plan.step_dict_by_key.values()}
        yield from ()


def test_on_cpus_no_step_asks_a_cluster_for_a_gpu() -> None:
    job = build_defs(sections={"device": "cpu"}).resolve_implicit_global_asset_job_def()
    plan = create_execution_plan(job.get_subset(asset_selection={dg.AssetKey("foreground_masks")}))
    assert [asks_for_gpu(step) for step in plan.step_dict.values()] == [True]
    recorder = RecordingExecutor()
    list(executors.CpuExecutor(recorder).execute(None, plan))
    tags = recorder.tags["foreground_masks"]
    assert '"num_gpus": 0' in tags[RAY_TAG] and "nvidia.com/gpu" not in tags[KUBERNETES_TAG]


def test_shares_of_the_masks_leave_nothing_to_compute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two shares, then all masks from the cache, equal to those that are computed at once."""
    rows = [{"clip": f"c{number}", "content": str(number), "fps": 8.0, "height": 8, "width": 8} for number in range(3)]
    catalogue = Catalogue(tmp_path, pd.DataFrame(rows), pd.DataFrame())
    computed: list[str] = []

    def compute(catalogue: Catalogue, clip: str, *_: object) -> ClipMasks:
        computed.append(clip)
        masks = np.zeros((4, 8, 8), bool)
        masks[:, 2:6, 2 : 4 + int(clip[1])] = True
        return ClipMasks(MaskSequence(masks), measure_quality(masks), "segmenter", "test")

    monkeypatch.setattr(catalogue_masks, "get_clip_masks", compute)
    choice, config = SegmenterChoice([]), ExtractConfig()
    folders = [tmp_path / name for name in ("one", "two", "merged", "alone")]
    for folder in folders:
        folder.mkdir()
    shared = Cache(tmp_path / "cache")
    for folder, names in zip(folders, (["c0", "c2"], ["c1"]), strict=False):
        write_mask_share(folder, catalogue, names, choice, config, shared, {})
    assert computed == ["c0", "c2", "c1"]
    write_clip_masks(folders[2], catalogue, choice, config, shared, {})
    assert len(computed) == 3
    write_clip_masks(folders[3], catalogue, choice, config, Cache(tmp_path / "other"), {})
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders[2:]]
    assert files[0] == files[1] and set(files[0]) == {"c0.npz", "c1.npz", "c2.npz", "quality.parquet"}
