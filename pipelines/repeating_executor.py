"""Executors whose steps run on other machines: a step that was lost with its machine is repeated."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import dagster as dg
from dagster._core.events import StepRetryData
from dagster._core.executor.step_delegating import StepDelegatingExecutor

LOST_STEP_RETRIES = 2
"""Times that a step is repeated because its machine was lost."""


class RepeatingExecutor(StepDelegatingExecutor):
    """Runs steps as another executor does, and repeats those that were lost, whatever their own retry policies are."""

    def __init__(self, executor: StepDelegatingExecutor) -> None:
        # Everything that the other executor was configured with, in place of what its class would make of arguments.
        self.__dict__.update(executor.__dict__)

    @abstractmethod
    def is_lost(self, message: str) -> bool:
        """Whether a step was lost with its machine. Steps that ended by themselves would end in the same way again.

        message: of the error with which the cluster says that the step has ended.
        """

    def log_failure_or_retry_event_after_error(
        self, step_context: Any, err_info: Any, known_state: Any
    ) -> dg.DagsterEvent:
        """Repeat a step that was lost; else do what the step's retry policy says."""
        attempts = known_state.get_retry_state().get_attempt_count(step_context.step.key)
        may_repeat = attempts < LOST_STEP_RETRIES and not step_context.retry_mode.disabled
        if may_repeat and self.is_lost(err_info.message):
            return dg.DagsterEvent.step_retry_event(step_context, StepRetryData(error=err_info, seconds_to_wait=None))
        return super().log_failure_or_retry_event_after_error(step_context, err_info, known_state)
