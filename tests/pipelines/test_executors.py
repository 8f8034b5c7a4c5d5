"""Where steps run, and what they ask a cluster for."""

from __future__ import annotations

import dagster as dg
import pytest

from mvmodel.errors import InputError
from pipelines import executors
from pipelines.assets.decorator import GPU_POOL
from pipelines.definitions import build_defs
from pipelines.executors import KUBERNETES_TAG, RAY_TAG, choose_executor, resource_tags


def all_steps() -> list[dg.OpDefinition]:
    return [
        node
        for asset in build_defs(sections={}).assets
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
