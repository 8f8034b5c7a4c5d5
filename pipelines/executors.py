"""Where steps run: the executor that the setting `executor` names.

`multiprocess` and `in_process` are Dagster's own. `ray` runs every step as a job of a Ray cluster (RAY_ADDRESS),
`kubernetes` as a Kubernetes job. Both need the instance's storage and the store on something that all machines reach;
see docs/scaling.md.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from typing import Any, cast

import dagster as dg

from mvmodel.errors import InputError
from pipelines.resource_requests import asks_for_gpu, resource_tags

EXECUTORS = ("in_process", "multiprocess", "ray", "kubernetes")
_EXTRAS = {"ray": "dagster_ray", "kubernetes": "dagster_k8s"}
FORWARDED_VARIABLES = ("DAGSTER_HOME", "PYTHONPATH")
FORWARDED_PREFIXES = ("MVMODEL_", "AWS_")
"""Environment variables that Ray steps take over from the run: those that choose the home, the pack and the store."""


def choose_executor(name: str = "in_process", with_gpu: bool = True) -> dg.ExecutorDefinition:
    """The executor of that name.

    with_gpu: steps of the GPU's pool ask the cluster for one; else no step does.

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
    definition: Any = _configure_ray(module.ray_executor) if name == "ray" else module.k8s_job_executor

    def create(context: dg.InitExecutorContext) -> dg.Executor:
        executor = definition.executor_creation_fn(context)
        if name == "ray":
            from pipelines.ray_executor import RayExecutor

            executor = RayExecutor(executor, _ray_address())
        else:
            from pipelines.kubernetes_executor import KubernetesExecutor

            executor = KubernetesExecutor(executor)
        return executor if with_gpu else CpuExecutor(executor)

    return replace_executor(definition, create)


def replace_executor(definition: dg.ExecutorDefinition, create: Any) -> dg.ExecutorDefinition:
    """A definition with the same name and settings, whose executors `create` makes from the context."""
    return dg.ExecutorDefinition(
        name=definition.name,
        config_schema=cast(Any, definition.config_schema),
        requirements=definition.get_requirements,
        executor_creation_fn=create,
        description=definition.description,
    )


class WrappedExecutor(dg.Executor):
    """Executes with another executor; subclasses add what happens around its `execute`."""

    def __init__(self, executor: dg.Executor) -> None:
        self.executor = executor

    @property
    def retries(self) -> Any:
        return self.executor.retries

    @property
    def step_dependency_config(self) -> Any:
        return self.executor.step_dependency_config


class CpuExecutor(WrappedExecutor):
    """Executes with another executor; no step asks for a GPU, which a cluster of CPUs would never have."""

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Execute the plan with the resource requests of steps that use no GPU."""
        tags = {name: json.dumps(request) for name, request in resource_tags(gpu=False).items()}
        steps = {
            handle: step._replace(tags={**step.tags, **tags}) if asks_for_gpu(step) else step
            for handle, step in execution_plan.step_dict.items()
        }
        by_key = {step.key: step for step in steps.values()}
        yield from self.executor.execute(
            plan_context, execution_plan._replace(step_dict=steps, step_dict_by_key=by_key)
        )


def _ray_address() -> str:
    return os.environ.get("RAY_ADDRESS", "auto")


def _configure_ray(executor: dg.ExecutorDefinition) -> dg.ExecutorDefinition:
    names = [name for name in os.environ if name in FORWARDED_VARIABLES or name.startswith(FORWARDED_PREFIXES)]
    ray = {"address": _ray_address(), "env_vars": sorted(names)}
    configured: dg.ExecutorDefinition = executor.configured({"ray": ray}, name="ray")
    return configured
