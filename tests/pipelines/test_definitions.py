"""What Dagster loads: the graph, its conventions, and that loading it is light."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from pipelines.assets.reports import leaderboard
from pipelines.definitions import (
    EXPERIMENT_ASSETS,
    FOUNDATION_ASSETS,
    INGESTION_ASSETS,
    MOTION_ASSETS,
    build_defs,
    build_resources,
)
from pipelines.store.io_manager import HandleIOManager

GRAPH = Path(__file__).with_name("graph.json")
UPDATE = "python tests/pipelines/test_definitions.py"


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_defs(home=tmp_path_factory.mktemp("home"), sections={})


def graph(defs: dg.Definitions) -> dict[str, dict[str, object]]:
    """What a user of the UI sees of the graph: groups, edges, partitions, kinds, checks, pools."""
    nodes = defs.resolve_asset_graph()
    assets = {}
    for key in sorted(nodes.get_all_asset_keys()):
        node = nodes.get(key)
        assets[key.to_user_string()] = {
            "group": node.group_name,
            "from": sorted(parent.to_user_string() for parent in node.parent_keys),
            "partitioned": node.is_partitioned,
            "kinds": sorted(node.kinds),
            "pools": sorted(node.pools),
            "checks": sorted(check.name for check in node.check_keys),
            "automated": node.automation_condition is not None,
        }
    return assets


def test_definitions_are_loadable(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)


def test_the_graph_is_the_recorded_one(defs: dg.Definitions) -> None:
    assert graph(defs) == json.loads(GRAPH.read_text()), f"if that is meant: {UPDATE}"


def test_every_asset_keeps_the_conventions(defs: dg.Definitions) -> None:
    nodes = defs.resolve_asset_graph()
    for key in nodes.get_all_asset_keys():
        node = nodes.get(key)
        name = key.to_user_string()
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert node.owners == ["team:mvmodel"], name
        assert node.kinds and len(node.kinds) <= 3, name
        assert node.description and len(node.description) > 20, name
        assert node.code_version, name
        assert node.group_name in {
            "ingestion", "masks", "motion", "training", "generation", "reports", "experiments",
            "foundation",
        }, name  # fmt: skip


def test_no_step_uses_an_io_manager_that_pickles(defs: dg.Definitions) -> None:
    """Dagster's default IO manager does. What has no IO manager of its own gets the one named io_manager."""
    resources = defs.resources or {}
    assert type(resources["io_manager"]) is type(resources["handles"]) is HandleIOManager
    for job in defs.resolve_all_job_defs():
        for node in job.nodes:
            for output in node.definition.output_defs:
                assert output.io_manager_key in ("handles", "io_manager"), f"{job.name}: {node.name}"


def test_assets_are_short() -> None:
    """An asset declares what it needs and which function computes it; how it is computed belongs in mvmodel."""
    assets = [*INGESTION_ASSETS, *MOTION_ASSETS, leaderboard, *EXPERIMENT_ASSETS, *FOUNDATION_ASSETS]
    functions = {asset.key.to_user_string(): inspect.unwrap(asset.op.compute_fn.decorated_fn) for asset in assets}
    lengths = {name: len(inspect.getsourcelines(function)[0]) for name, function in functions.items()}
    decorators = {name: _decorator_lines(function) for name, function in functions.items()}
    assert {name: lines - decorators[name] for name, lines in lengths.items() if lines - decorators[name] > 35} == {}


def _decorator_lines(function: Callable[..., Any]) -> int:
    lines = inspect.getsourcelines(function)[0]
    return next(number for number, line in enumerate(lines) if line.lstrip().startswith("def "))


MODEL_OPENERS = {"load_pack", "Pack", "load_backend", "run_stage", "load_segmenter"}
"""Functions of the library that load or train models. Only resources that put a step into the pool may call them."""


def calls_of(tree: ast.AST) -> set[str]:
    """Names of the functions and methods that a piece of code calls."""
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "") for function in functions
    }


def test_whatever_may_load_a_model_waits_for_the_gpu(defs: dg.Definitions) -> None:
    """Models are behind two resources, `pack` and `gpu`, and `run_stage`: whoever uses one of them is in the pool."""
    steps = all_steps(defs)
    assert {"motion_adapter", "generate_video", "delete_old_runs"} <= {step.name for step in steps}
    for step in steps:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(step.compute_fn.decorated_fn)))
        may_load = {"pack", "gpu"} & step.required_resource_keys or calls_of(ast.parse(source)) & MODEL_OPENERS
        assert bool(may_load) == (step.pool == "gpu"), (step.name, may_load, step.pool)


def all_steps(defs: dg.Definitions) -> list[dg.OpDefinition]:
    """Every asset, and every step of a job that is not made of assets."""
    repository = defs.get_repository_def()
    assets = [node.op for node in repository.assets_defs_by_key.values() if node.is_executable]
    jobs = [job for job in defs.jobs or () if isinstance(job, dg.JobDefinition)]  # those of assets are not resolved yet
    return [*assets, *(node.definition for job in jobs for node in job.nodes)]


def test_models_are_loaded_behind_resources_only(repository: Path) -> None:
    callers = {
        path.relative_to(repository).as_posix(): calls_of(ast.parse(path.read_text())) & MODEL_OPENERS
        for path in sorted((repository / "pipelines").rglob("*.py"))
    }
    assert {name: calls for name, calls in callers.items() if calls} == {
        "pipelines/assets/foundation.py": {"run_stage"},
        "pipelines/promotion/evaluation.py": {"load_backend"},  # of a pack that the caller has loaded
        "pipelines/resources.py": {"load_pack", "load_backend"},
    }


@pytest.mark.parametrize(
    ("settings", "dtype"), [({}, "auto"), ({"precision": "fp32"}, "float32"), ({"precision": "bf16"}, "auto")]
)
def test_whole_numbers_asked_for_are_the_packs_too(tmp_path: Path, settings: dict[str, str], dtype: str) -> None:
    resources = build_resources(tmp_path, settings)
    assert resources["pack"].dtype == dtype and resources["gpu"].precision == settings.get("precision", "auto")


def test_gates_stand_between_training_and_generation(defs: dg.Definitions) -> None:
    nodes = defs.resolve_asset_graph()
    assert dg.AssetKey("promoted_adapter") in nodes.get(dg.AssetKey("generated_videos")).parent_keys
    for gate in ("iou_gate", "alignment_gate", "no_regression_gate"):
        check = nodes.get(dg.AssetCheckKey(dg.AssetKey("adapter_evaluation"), gate))
        assert check.blocking and check.partitions_def is not None


def test_loading_imports_nothing_heavy() -> None:
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, pipelines.definitions as d; d.build_defs(sections={});"
            "print([m for m in ('torch', 'diffusers', 'cv2', 'decord', 'open_clip', 'pandas', 'sklearn', 'matplotlib')"
            " if m in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout.strip() == "[]"


def test_the_local_instance_is_as_promised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    from pipelines.driver.home import dagster_instance

    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "")
    with dagster_instance(tmp_path) as instance:
        assert instance.telemetry_enabled is False
        pools = instance.get_concurrency_config().pool_config
        assert pools.default_pool_limit == 1
        assert instance.run_monitoring_enabled
        assert instance.event_log_storage.supports_global_concurrency_limits
    workspace = yaml.safe_load((repository / "workspace.yaml").read_text())
    assert workspace["load_from"][0]["python_module"]["module_name"] == "pipelines.definitions"


@pytest.mark.slow
def test_dagsters_own_validation_passes(tmp_path: Path, repository: Path) -> None:
    process = subprocess.run(
        [Path(sys.executable).with_name("dagster"), "definitions", "validate", "-w", "workspace.yaml"],
        cwd=repository,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DAGSTER_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr


if __name__ == "__main__":
    GRAPH.write_text(json.dumps(graph(build_defs(sections={})), indent=1) + "\n")
