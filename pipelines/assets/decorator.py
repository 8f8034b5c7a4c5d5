"""What every asset declares alike."""

from __future__ import annotations

import functools
import inspect
import sys
import time
from collections.abc import Callable
from typing import Any

import dagster as dg

from mvmodel.errors import MvmodelError
from pipelines.driver.progress import step_timings

OWNERS = ["team:mvmodel"]
GPU_POOL = "gpu"
"""The pool of every step that may use the accelerator; dagster.yaml lets one in at a time."""

MAX_RETRIES, RETRY_SECONDS = 1, 5.0
"""Tries after the first one, and seconds before each, for what another try may mend."""
RETRYABLE_ERRORS = ("OutOfMemoryError", "AcceleratorError")


def mvmodel_asset(
    group: str, *kinds: str, gpu: bool = False, **more: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` with group, kinds, owners and the accelerator's pool; what fails it is said in plain words."""
    given = {
        "group_name": group,
        "kinds": set(kinds),
        "owners": OWNERS,
        "io_manager_key": "handles",
        **({"pool": GPU_POOL} if gpu else {}),
        **more,
    }
    return lambda function: dg.asset(**given)(user_errors_as_failures(function))


def user_errors_as_failures(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with a user's error as a failure of one sentence, and another try for what that may mend.

    Not by a `RetryPolicy`: Dagster would start an interrupted step again under one.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        except MvmodelError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        except Exception as error:
            loop = sys.modules.get("mvmodel.training.loop")
            if loop is not None and isinstance(
                error, loop.TrainingInterrupted
            ):  # asked to stop: neither a failure nor to be retried
                raise dg.DagsterExecutionInterruptedError(str(error)) from error
            if isinstance(error, (OSError, MemoryError)) or type(error).__name__ in RETRYABLE_ERRORS:
                raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=RETRY_SECONDS) from error
            raise
        finally:
            context: Any = kwargs.get("context", args[0] if args else None)
            partition = context.partition_key if getattr(context, "has_partition_key", False) else None
            step_timings.add(function.__name__, partition, time.perf_counter() - began)

    # Dagster reads annotations as objects, and does not follow a wrapper's text to the module that it came from. What
    # is returned is left out: it would take an iterator of results for one output.
    signature = inspect.signature(function, eval_str=True).replace(return_annotation=inspect.Signature.empty)
    wrapped.__signature__ = signature  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return wrapped
