"""`mvmodel_asset`, the decorator that gives all assets the same group, owner, pool, IO manager and error handling."""

from __future__ import annotations

import functools
import inspect
import sys
import time
from collections.abc import Callable
from typing import Any

import dagster as dg

from mvmodel.errors import MvmodelError
from mvmodel.files import DISK_FULL, is_disk_full
from pipelines.driver.progress import step_timings
from pipelines.executors import resource_tags

OWNERS = ["team:mvmodel"]
GPU_POOL = "gpu"
"""The pool of every step that may use the accelerator. dagster.yaml runs one of them at a time."""

MAX_RETRIES, RETRY_SECONDS = 1, 5.0
"""Retries of a step after an error that may be temporary, and seconds before each."""
RETRYABLE_ERRORS = ("OutOfMemoryError", "AcceleratorError")
"""Names of PyTorch's errors that may be temporary; `OSError` and `MemoryError` may be, too."""


def mvmodel_asset(
    group: str, *kinds: str, gpu: bool = False, **options: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` with the settings that all assets share. The function's user errors become failures of the step.

    group, kinds: as in `dg.asset`. gpu: whether the step may use the accelerator. options: of `dg.asset`.
    """
    settings = {
        "group_name": group,
        "kinds": set(kinds),
        "owners": OWNERS,
        "io_manager_key": "handles",
        **({"pool": GPU_POOL} if gpu else {}),
        "op_tags": resource_tags(gpu),
        **options,
    }
    return lambda function: dg.asset(**settings)(user_errors_as_failures(function))


def user_errors_as_failures(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an asset's or a check's function: a `MvmodelError` fails the step with its one sentence and without retries.

    Errors that may be temporary are retried. There is no `RetryPolicy`, because with one Dagster would also restart an
    interrupted step.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        except MvmodelError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        except Exception as error:
            loop = sys.modules.get("mvmodel.training.loop")
            if loop is not None and isinstance(error, loop.TrainingInterrupted):  # neither a failure nor to be retried
                raise dg.DagsterExecutionInterruptedError(str(error)) from error
            if is_disk_full(error):
                reason = f"{DISK_FULL}; `mvmodel-pipeline gc` lists what the store does not need"
                raise dg.Failure(description=reason, allow_retries=False) from error
            if isinstance(error, (OSError, MemoryError)) or type(error).__name__ in RETRYABLE_ERRORS:
                raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=RETRY_SECONDS) from error
            raise
        finally:
            context: Any = kwargs.get("context", args[0] if args else None)
            partition = context.partition_key if getattr(context, "has_partition_key", False) else None
            step_timings.add(function.__name__, partition, time.perf_counter() - start)

    # Dagster needs annotations as objects and does not evaluate the text of a wrapped function's annotations. The
    # return annotation is left out, because Dagster would take an iterator of check results for a single output.
    signature = inspect.signature(function, eval_str=True).replace(return_annotation=inspect.Signature.empty)
    wrapped.__signature__ = signature  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return wrapped
