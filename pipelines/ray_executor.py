"""Ray's executor with two additions: a step whose node is lost is repeated, and steps that wait for a GPU say so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.events import EngineEventData
from dagster._core.executor.step_delegating import StepDelegatingExecutor
from ray.util.state import list_nodes

from pipelines.repeating_executor import RepeatingExecutor
from pipelines.resource_requests import asks_for_gpu

LOST_NODE_ERRORS = ("JOB_SUPERVISOR_ACTOR_DIED", "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE")
"""What Ray calls the end of a job whose node is gone. A step's process that ends by itself, for example because memory
ran out, is another error, and the same step would end in the same way again."""
OUT_OF_MEMORY = "low on memory"
"""In Ray's message about a job that it ended because its node's memory ran out."""
REQUEST_SECONDS = 30
"""Longest wait for the answer of the cluster's dashboard."""


class RayExecutor(RepeatingExecutor):
    """Runs each step as a job of a Ray cluster, as dagster-ray does.

    address: of the cluster, as in RAY_ADDRESS.
    """

    def __init__(self, executor: StepDelegatingExecutor, address: str) -> None:
        super().__init__(executor)
        self.address = address

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Record a sentence if steps ask for a GPU and the cluster has none, then run the steps."""
        names = ", ".join(step.key for step in execution_plan.step_dict.values() if asks_for_gpu(step))
        if names and self._offers_no_gpu():
            dg.DagsterEvent.engine_event(
                plan_context,
                f"No node of the Ray cluster offers a GPU: {names} will wait until a node with one joins. To run them "
                f"on CPUs, write `device: cpu` in the settings of the home.",
                EngineEventData(),
            )
        yield from super().execute(plan_context, execution_plan)

    def _offers_no_gpu(self) -> bool:
        try:
            return not count_gpus(self.address)
        except Exception:  # only a sentence depends on the answer; if the cluster is gone, submitting a step says so
            return False

    def is_lost(self, message: str) -> bool:
        """Whether Ray says that a step's node is gone, other than by ending the step because memory ran out."""
        return any(error in message for error in LOST_NODE_ERRORS) and OUT_OF_MEMORY not in message


def count_gpus(address: str) -> int:
    """GPUs that the living nodes of a cluster offer. address: as in RAY_ADDRESS."""
    nodes = list_nodes(address=address, timeout=REQUEST_SECONDS)
    return int(sum((node.resources_total or {}).get("GPU", 0) for node in nodes if node.state == "ALIVE"))
