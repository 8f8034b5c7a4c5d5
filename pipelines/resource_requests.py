"""What steps ask a Ray or Kubernetes cluster for."""

from __future__ import annotations

import json
from typing import Any

RAY_TAG, KUBERNETES_TAG = "dagster-ray/config", "dagster-k8s/config"
"""Tags of steps that dagster-ray and dagster-k8s read resource requests from."""


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


def asks_for_gpu(step: Any) -> bool:
    """Whether a step of a plan asks a Ray cluster for a GPU."""
    return bool(json.loads((step.tags or {}).get(RAY_TAG, "{}")).get("num_gpus"))
