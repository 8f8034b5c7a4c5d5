"""On Kubernetes and Ray, a step that was lost with its machine is repeated, and one that ran out of memory is not."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from dagster._core.executor.step_delegating import CheckStepHealthResult
from dagster_shared.error import SerializableErrorInfo

from pipelines.kubernetes_executor import LOST_POD, PodReportingHandler, describe_end
from pipelines.repeating_executor import LOST_STEP_RETRIES, RepeatingExecutor


def pod(
    reason: str = "",
    message: str = "",
    ended: str = "",
    code: int = 137,
    disrupted: str = "",
    minute: int = 0,
    is_deleted: bool = False,
) -> Any:
    """A pod that has ended, as kubernetes' client shows it. ended: reason of its container."""
    end = SimpleNamespace(reason=ended or None, exit_code=code)
    condition = SimpleNamespace(type="DisruptionTarget", status="True", reason=disrupted)
    ready = SimpleNamespace(type="Ready", status="False", reason="PodFailed")
    return SimpleNamespace(
        metadata=SimpleNamespace(
            creation_timestamp=datetime(2026, 1, 1, 0, minute, tzinfo=UTC),
            deletion_timestamp=datetime(2026, 1, 1, 1, tzinfo=UTC) if is_deleted else None,
        ),
        status=SimpleNamespace(
            reason=reason or None,
            message=message or None,
            container_statuses=[SimpleNamespace(state=SimpleNamespace(terminated=end))] if ended else None,
            conditions=[ready, condition] if disrupted else [ready],
        ),
    )


@pytest.mark.parametrize(
    ("pods", "is_lost"),
    [
        ([], True),
        ([pod("NodeLost")], True),
        ([pod("Terminated", "Pod was terminated in response to imminent node shutdown.")], True),
        ([pod("Evicted", "The pod was evicted.")], True),
        ([pod(ended="ContainerStatusUnknown")], True),
        ([pod(disrupted="PreemptionByScheduler", ended="Error")], True),
        ([pod(disrupted="DeletionByTaintManager")], True),
        ([pod(ended="Error", code=143, is_deleted=True)], True),
        ([pod(ended="OOMKilled")], False),
        ([pod(ended="OOMKilled", is_deleted=True)], False),
        ([pod(ended="OOMKilled", disrupted="DeletionByTaintManager")], False),
        ([pod("Evicted", "The node was low on resource: memory. Container mvmodel was using 9Gi.")], False),
        ([pod("Evicted", "The node was low on resource: ephemeral-storage.", disrupted="TerminationByKubelet")], False),
        ([pod(ended="Error", code=139)], False),
        ([pod(ended="Error", code=137)], False),
        ([pod(ended="OOMKilled", minute=2), pod("NodeLost", minute=1)], False),
    ],
)
def test_only_a_pod_that_was_ended_from_outside_was_lost(pods: list[Any], is_lost: bool) -> None:
    sentence = describe_end(pods)
    assert (LOST_POD in sentence.lower()) == is_lost, sentence
    assert sentence[0].isupper() and len(sentence) > 20


class StandInHandler:
    """dagster-k8s's handler, of which only what its successor uses."""

    name = "stand-in"

    def __init__(self, pods: list[Any] | Exception, has_job: bool = True) -> None:
        self.pods, self.has_job = pods, has_job

    def check_step_health(self, context: Any) -> CheckStepHealthResult:
        return CheckStepHealthResult.unhealthy("Discovered failed Kubernetes job a.")

    def _get_k8s_step_job_name(self, context: Any) -> str:
        return "a"

    def _get_container_context(self, context: Any) -> Any:
        return SimpleNamespace(namespace="default")

    @property
    def _api_client(self) -> Any:
        return self

    def get_job_status(self, job_name: str, namespace: str) -> Any:
        return object() if self.has_job else None

    def get_pods_in_job(self, job_name: str, namespace: str) -> list[Any]:
        if isinstance(self.pods, Exception):
            raise self.pods
        return self.pods


@pytest.mark.parametrize(
    ("handler", "is_lost"),
    [
        (StandInHandler([pod("NodeLost")]), True),
        (StandInHandler([]), True),
        (StandInHandler([pod(ended="OOMKilled")]), False),
        (StandInHandler([], has_job=False), False),  # somebody deleted the job
        (StandInHandler(OSError("no answer")), False),
    ],
)
def test_a_failed_step_says_how_its_pod_ended(handler: StandInHandler, is_lost: bool) -> None:
    result = PodReportingHandler(handler).check_step_health(SimpleNamespace())
    assert not result.is_healthy and result.unhealthy_reason.startswith("Discovered failed Kubernetes job a.")
    assert (LOST_POD in result.unhealthy_reason.lower()) == is_lost


class LostExecutor(RepeatingExecutor):
    def is_lost(self, message: str) -> bool:
        return message == "lost"


@pytest.mark.parametrize(
    ("message", "attempts", "event"),
    [("lost", 0, "retry"), ("lost", LOST_STEP_RETRIES, "failure"), ("memory", 0, "failure")],
)
def test_a_lost_step_is_repeated_a_few_times(
    monkeypatch: pytest.MonkeyPatch, message: str, attempts: int, event: str
) -> None:
    monkeypatch.setattr("dagster.DagsterEvent.step_retry_event", lambda *_: "retry")
    monkeypatch.setattr("dagster.DagsterEvent.step_failure_event", lambda **_: "failure")
    executor = LostExecutor(SimpleNamespace())  # type: ignore[arg-type]
    step = SimpleNamespace(
        step=SimpleNamespace(key="a"), retry_mode=SimpleNamespace(disabled=False), op_retry_policy=None
    )
    state = SimpleNamespace(get_retry_state=lambda: SimpleNamespace(get_attempt_count=lambda _: attempts))
    error = SerializableErrorInfo(message, [], None)
    assert executor.log_failure_or_retry_event_after_error(step, error, state) == event
