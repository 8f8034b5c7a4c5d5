"""Steps as Kubernetes jobs: a step whose pod was lost is repeated, and a step that failed says why its pod ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.executor.step_delegating import CheckStepHealthResult, StepDelegatingExecutor, StepHandler

from pipelines.repeating_executor import RepeatingExecutor

LOST_POD = "its pod was lost"
"""In the sentence about a pod that did not end by itself: its node failed, was drained, or was given to another pod."""
LOST_POD_REASONS = ("NodeLost", "NodeShutdown", "Shutdown", "Terminated", "Preempting", "Evicted")
"""Reasons in the status of pods that were ended from outside."""
LOST_CONTAINER_REASONS = ("ContainerStatusUnknown",)
"""Reasons in the status of containers whose node did not say how they ended."""
NODE_PRESSURE = "low on resource"
"""In the kubelet's message about a pod that it evicted because the node's memory or disk ran out."""


class KubernetesExecutor(RepeatingExecutor):
    """Runs each step as a Kubernetes job, as dagster-k8s does."""

    def __init__(self, executor: StepDelegatingExecutor) -> None:
        super().__init__(executor)
        self._step_handler = PodReportingHandler(executor._step_handler)

    def is_lost(self, message: str) -> bool:
        """Whether the sentence of `describe_end` says so."""
        return LOST_POD in message.lower()


class PodReportingHandler(StepHandler):
    """Starts, watches and ends steps as another handler does, and says how the pod of a failed step ended.

    handler: of dagster-k8s.
    """

    def __init__(self, handler: Any) -> None:
        super().__init__()
        self._handler = handler

    @property
    def name(self) -> str:
        return str(self._handler.name)

    def launch_step(self, step_handler_context: Any) -> Iterator[dg.DagsterEvent]:
        """Start a step."""
        yield from self._handler.launch_step(step_handler_context) or ()

    def check_step_health(self, step_handler_context: Any) -> CheckStepHealthResult:
        """Whether a step is running, or how its pod ended."""
        result: CheckStepHealthResult = self._handler.check_step_health(step_handler_context)
        if result.is_healthy:
            return result
        pods = self._find_pods(step_handler_context)
        # Without an answer, nothing is known about the pods, and the step is not repeated.
        sentence = "" if pods is None else f" {describe_end(pods)}"
        return CheckStepHealthResult.unhealthy(f"{result.unhealthy_reason}{sentence}")

    def terminate_step(self, step_handler_context: Any) -> Iterator[dg.DagsterEvent]:
        """End a step."""
        yield from self._handler.terminate_step(step_handler_context) or ()

    def _find_pods(self, context: Any) -> list[Any] | None:
        """The pods of a step's job; None if there is no such job any more, or the cluster does not answer."""
        job = self._handler._get_k8s_step_job_name(context)
        namespace = self._handler._get_container_context(context).namespace
        client = self._handler._api_client
        try:
            if client.get_job_status(job_name=job, namespace=namespace) is None:
                return None
            return list(client.get_pods_in_job(job_name=job, namespace=namespace))
        except Exception:  # only a sentence depends on the answer
            return None


def describe_end(pods: list[Any]) -> str:
    """A sentence on how the pods of a failed job ended. It contains `LOST_POD` if the step may be repeated as it is.

    pods: as kubernetes' client returns them. Of a pod that was evicted by the API, as when its node is drained, nothing
    is left.
    """
    if not pods:
        return f"{LOST_POD.capitalize()}: it was deleted, for example because its node was drained."
    pod = max(pods, key=lambda pod: str(pod.metadata.creation_timestamp))
    status = pod.status
    ends = [container.state.terminated for container in status.container_statuses or () if container.state]
    reasons = [end.reason or "" for end in ends if end is not None]
    if "OOMKilled" in reasons:
        return (
            "Its container was killed because it needed more memory than its limit or its node has; the step is not "
            "repeated unchanged: set `memory` to a smaller plan (16gb, 12gb or 8gb), or raise the limit."
        )
    if NODE_PRESSURE in (status.message or ""):
        return f"Its pod was evicted and is not repeated unchanged: {status.message.strip()}"
    conditions = [c for c in status.conditions or () if (c.type, c.status) == ("DisruptionTarget", "True")]
    causes = [status.reason] if status.reason in LOST_POD_REASONS else []
    causes += [condition.reason or condition.type for condition in conditions]
    causes += [reason for reason in reasons if reason in LOST_CONTAINER_REASONS]
    causes += ["it is being deleted"] if pod.metadata.deletion_timestamp is not None else []
    if causes:
        return f"{LOST_POD.capitalize()}: {causes[0]}."
    codes = ", ".join(str(end.exit_code) for end in ends if end is not None) or "unknown"
    return f"Its process ended by itself (exit status {codes}); the pod's log says why."
