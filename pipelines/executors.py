"""Where steps run: the executor that the setting `executor` names, and the resources that steps ask a cluster for.

`multiprocess` and `in_process` are Dagster's own. `ray` runs every step as a job of a Ray cluster (RAY_ADDRESS),
`kubernetes` as a Kubernetes job. Both need the instance's storage and the store on something that all machines reach;
see docs/scaling.md.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import dagster as dg

from mvmodel.errors import InputError

EXECUTORS = ("in_process", "multiprocess", "ray", "kubernetes")
RAY_TAG, KUBERNETES_TAG = "dagster-ray/config", "dagster-k8s/config"
"""Tags of steps that dagster-ray and dagster-k8s read resource requests from."""
_EXTRAS = {"ray": "dagster_ray", "kubernetes": "dagster_k8s"}
FORWARDED_VARIABLES = ("DAGSTER_HOME", "PYTHONPATH")
FORWARDED_PREFIXES = ("MVMODEL_", "AWS_")
"""Environment variables that Ray steps take over from the run: those that choose the home, the pack and the store."""


def choose_executor(name: str = "in_process") -> dg.ExecutorDefinition:
    """The executor of that name.

    Raises:
        InputError: The name is unknown, or what the executor needs is not installed.
    """
    if name == "multiprocess":
        return dg.multiprocess_executor
    if name == "in_process":
        return dg.in_process_executor
    if name not in _EXTRAS:
        raise InputError(f"executor {name!r} is not one of {', '.join(EXECUTORS)}")
    try:
        module: Any = importlib.import_module(_EXTRAS[name])
    except ImportError as error:
        raise InputError(
            f"executor {name} needs {_EXTRAS[name].replace('_', '-')}: pip install 'mvmodel[{name}]'"
        ) from error
    if name == "ray":
        return _configure_ray(module.ray_executor)
    executor: dg.ExecutorDefinition = module.k8s_job_executor
    return executor


def _configure_ray(executor: dg.ExecutorDefinition) -> dg.ExecutorDefinition:
    names = [name for name in os.environ if name in FORWARDED_VARIABLES or name.startswith(FORWARDED_PREFIXES)]
    ray = {"address": os.environ.get("RAY_ADDRESS", "auto"), "env_vars": sorted(names)}
    configured: dg.ExecutorDefinition = executor.configured({"ray": ray}, name="ray")
    return configured


def resource_tags(gpu: bool, memory_gib: int = 4) -> dict[str, Any]:
    """What a step asks a Ray or Kubernetes cluster for; other executors ignore it.

    gpu: one GPU. memory_gib: memory that Kubernetes sets aside for the step.
    """
    resources: dict[str, Any] = {"requests": {"cpu": "1", "memory": f"{memory_gib}Gi"}}
    if gpu:
        resources["limits"] = {"nvidia.com/gpu": 1}
    return {
        RAY_TAG: {"num_cpus": 1, "num_gpus": 1 if gpu else 0},
        KUBERNETES_TAG: {"container_config": {"resources": resources}},
    }
