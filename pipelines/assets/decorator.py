"""`mvmodel_asset`, the decorator that gives all assets the same group, owner, pool, IO manager and error handling."""

from __future__ import annotations

import errno
import functools
import inspect
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from mvmodel.errors import MvmodelError
from mvmodel.files import DISK_FULL, is_disk_full
from pipelines.driver.progress import step_timings
from pipelines.resource_requests import resource_tags
from pipelines.resources import Gpu, PackResource, Settings
from pipelines.stage_config import plain_values, stage_config, without_empty_tables
from pipelines.step_processes import (
    LOST_STEP_RETRIES,
    RETRY_SECONDS,
    LostStepPolicy,
    is_separate_step,
    was_killed_for_memory,
)

OWNERS = ["team:mvmodel"]
GPU_POOL = "gpu"
"""The pool of every step that may use the accelerator. dagster.yaml runs one of them at a time."""
MODEL_RESOURCES = (PackResource, Gpu)
"""The resources that load models. A function that takes one is a step in the pool."""

MAX_RETRIES = 1
"""Retries of a step after an error that may be temporary."""
RETRYABLE_ERRORS = ("AcceleratorError",)
"""Names of PyTorch's errors that may be temporary; `OSError` may be, too."""
PERMANENT_OS_ERRORS = (errno.ENOMEM, errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of the system that come again when a step is repeated unchanged."""
OUT_OF_MEMORY = ("OutOfMemoryError", "MemoryError", "out of memory", "can't allocate memory", "ALLOC_FAILED")
"""In the name or the message of an error for lack of memory, on a GPU or a CPU."""


RUN_SETTINGS = "settings_of_this_run"
"""Metadata entry: the settings that the launchpad changed for one run."""
Sections = Sequence[str] | Mapping[str, Sequence[str]]


def mvmodel_asset(
    group: str,
    *kinds: str,
    trains: bool = False,
    sections: Sections = (),
    output_required: bool = True,
    **options: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` with the settings that all assets share. The function's user errors become failures of the step.

    The step is in the pool of the GPU if it may load a model: if the function takes a resource that loads models, or
    if it trains models without one.

    group, kinds: as in `dg.asset`. trains: whether the step trains models of its own. sections: of the settings, which
    the launchpad's form can change for one run; or section -> those of its settings that the form has.
    output_required: False lets the function return None; then nothing is materialized, and what is downstream is
    skipped. options: of `dg.asset`.
    """
    settings = {
        "group_name": group,
        "kinds": set(kinds),
        "owners": OWNERS,
        "io_manager_key": "handles",
        "retry_policy": LostStepPolicy(max_retries=LOST_STEP_RETRIES, delay=RETRY_SECONDS),
        **options,
    }

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        form: dict[str, Any] = {}
        if sections:
            function = _with_form(function)
            names = sections if isinstance(sections, Mapping) else dict.fromkeys(sections, ())
            config = stage_config(options.get("name", function.__name__), names)
            form["config_schema"] = config.to_config_schema()
        wrapped = user_errors_as_failures(function)
        loads_models = trains or any(kind in MODEL_RESOURCES for kind in wrapped.__annotations__.values())
        pool = {"pool": GPU_POOL} if loads_models else {}
        form["output_required"] = output_required
        compute = wrapped if output_required else _skip_none(wrapped)
        return dg.asset(**{"op_tags": resource_tags(loads_models), **pool, **form, **settings})(compute)

    return decorate


def _skip_none(function: Callable[..., Any]) -> Callable[..., Any]:
    """A generator of the function's result, or of nothing if that is None: so Dagster wants to be told."""

    @functools.wraps(function)
    def skip_none(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if result is not None:
            yield result

    return skip_none


def _with_form(function: Callable[..., Any]) -> Callable[..., Any]:
    """An asset's function with the form's settings over those of its argument `settings`. The result says what they
    are."""

    @functools.wraps(function)
    def with_form(context: dg.AssetExecutionContext, *args: Any, settings: Settings, **kwargs: Any) -> Any:
        form = plain_values(context.op_execution_context.op_config or {})
        changed = {name: table for name, values in form.items() if (table := without_empty_tables(values))}
        result = function(context, *args, settings=settings.with_override(changed), **kwargs)
        if isinstance(result, dg.MaterializeResult):
            metadata = {name: value for name, value in (result.metadata or {}).items() if name != RUN_SETTINGS}
            result = _with_metadata(
                result, {**metadata, **({RUN_SETTINGS: dg.MetadataValue.json(changed)} if changed else {})}
            )
        return result

    return with_form


def _add_step_seconds(result: Any, start: float) -> Any:
    """The result of an asset's function, with the seconds that the function took in its metadata."""
    if not isinstance(result, dg.MaterializeResult):
        return result
    return _with_metadata(result, {**(result.metadata or {}), "step_seconds": round(time.perf_counter() - start, 3)})


def _with_metadata(result: dg.MaterializeResult[Any], metadata: Mapping[str, Any]) -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(
        value=result.value,
        data_version=result.data_version,
        metadata=metadata,
        check_results=result.check_results,
        tags=result.tags,
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out. The same step would fail in the same way again."""
    text = f"{type(error).__name__}: {error}"
    return any(words in text for words in OUT_OF_MEMORY) or getattr(error, "errno", None) == errno.ENOMEM


def is_temporary(error: BaseException) -> bool:
    """Whether the same step may succeed when it is repeated."""
    if isinstance(error, OSError):
        return error.errno not in PERMANENT_OS_ERRORS
    return type(error).__name__ in RETRYABLE_ERRORS


def describe_out_of_memory(error: BaseException) -> str:
    """One sentence with what can be done."""
    reason = str(error).strip().splitlines()
    return (
        f"memory ran out ({reason[0] if reason else type(error).__name__}); the step is not repeated unchanged: set "
        f"`memory` to a smaller plan (16gb, 12gb or 8gb), choose a smaller `size`, or end other programs on the device"
    )


def user_errors_as_failures(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an asset's or a check's function: a `MvmodelError` fails the step with its one sentence and without retries.

    Errors that may be temporary are retried, as are steps whose process was killed, unless that was for lack of memory.
    Dagster would apply the policy for lost steps to all other errors, too.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        context: Any = kwargs.get("context", args[0] if args else None)
        try:
            if is_separate_step() and was_killed_for_memory(context.retry_number):
                raise MemoryError("the process of the step was killed while the machine's memory was full")
            return _add_step_seconds(function(*args, **kwargs), start)
        except MvmodelError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        except Exception as error:
            loop = sys.modules.get("mvmodel.training.loop")
            if loop is not None and isinstance(error, loop.TrainingInterrupted):  # neither a failure nor to be retried
                raise dg.DagsterExecutionInterruptedError(str(error)) from error
            if is_disk_full(error):
                reason = f"{DISK_FULL}; `mvmodel-pipeline gc` lists what the store does not need"
                raise dg.Failure(description=reason, allow_retries=False) from error
            if is_out_of_memory(error):
                raise dg.Failure(description=describe_out_of_memory(error), allow_retries=False) from error
            if is_temporary(error):
                raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=RETRY_SECONDS) from error
            if is_separate_step() and not isinstance(error, dg.Failure | dg.RetryRequested | dg.DagsterError):
                raise dg.Failure(f"{type(error).__name__}: {error}", allow_retries=False) from error
            raise
        finally:
            partition = context.partition_key if getattr(context, "has_partition_key", False) else None
            step_timings.add(function.__name__, partition, time.perf_counter() - start)

    # Dagster needs annotations as objects and does not evaluate the text of a wrapped function's annotations. The
    # return annotation is left out, because Dagster would take an iterator of check results for a single output.
    signature = inspect.signature(function, eval_str=True).replace(return_annotation=inspect.Signature.empty)
    wrapped.__signature__ = signature  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return wrapped
