"""PostgreSQL as Dagster's storage: addresses, and a server that the test starts itself."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

pytest.importorskip("dagster_postgres", reason="the extra `scale` (dagster-postgres) is not installed")

from mvmodel.errors import InputError
from pipelines.postgres import add_driver, check_no_password

ASSETS = """
import sys
import dagster as dg

@dg.asset
def first() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"number": 1})

@dg.asset(deps=[first])
def second() -> dg.MaterializeResult:
    return dg.MaterializeResult()

with dg.DagsterInstance.get() as instance:
    assert type(instance.run_storage).__name__ == "PostgresRunStorage", type(instance.run_storage)
    assert dg.materialize([first, second], instance=instance, tags={"number": sys.argv[1]}).success
"""


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgresql://me:p%40ss@host:5432/dagster", "postgresql+psycopg2://me:p%40ss@host:5432/dagster"),
        ("postgres://me@host/dagster", "postgresql+psycopg2://me@host/dagster"),
        ("postgresql+psycopg2://me@host/dagster?sslmode=require",) * 2,
    ],
)
def test_an_address_needs_no_driver(address: str, expected: str) -> None:
    assert add_driver(address) == expected


@pytest.mark.parametrize(
    "config",
    [
        {"postgres_url": "postgresql://me:hunter2@host/dagster"},
        {"postgres_db": {"username": "me", "password": "hunter2", "hostname": "host", "db_name": "dagster"}},
    ],
)
def test_a_password_in_dagster_yaml_is_refused_and_not_repeated(config: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="env: MVMODEL_POSTGRES_URL") as refusal:
        check_no_password(config)
    assert "hunter2" not in str(refusal.value)


def test_addresses_without_a_password_are_accepted() -> None:
    check_no_password({"postgres_url": {"env": "MVMODEL_POSTGRES_URL"}})
    check_no_password({"postgres_url": "postgresql://me@host/dagster"})
    check_no_password({"postgres_db": {"username": "me", "password": {"env": "PASSWORD"}}})


@pytest.fixture
def server() -> Iterator[str]:
    """Address of an empty database on a server of this test."""
    folders = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    initdb = shutil.which("initdb", path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))
    if initdb is None:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    commands, user = Path(initdb).parent, ({"user": "nobody"} if os.geteuid() == 0 else {})  # it refuses to run as root
    data = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's folders are closed to other users
    if user:
        shutil.chown(data, "nobody")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]

    def run(*arguments: str) -> None:
        subprocess.run(
            [str(commands / arguments[0]), *arguments[1:]], check=True, stdout=subprocess.DEVNULL, cwd="/", **user
        )

    options = f"-p {port} -k {data} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("initdb", "-D", str(data), "-A", "trust", "-U", "mvmodel", "-E", "UTF8")
    run("pg_ctl", "-D", str(data), "-o", options, "-l", str(data / "log"), "-w", "start")
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "mvmodel", "dagster")
        yield f"postgresql://mvmodel@127.0.0.1:{port}/dagster"
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(data)


@pytest.mark.slow
def test_runs_side_by_side_are_recorded(server: str, tmp_path: Path, repository: Path) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copyfile(repository / "deploy" / "postgres" / "dagster.yaml", home / "dagster.yaml")
    environment = {**os.environ, "DAGSTER_HOME": str(home), "MVMODEL_POSTGRES_URL": server}
    command = [sys.executable, "-c", ASSETS]
    subprocess.run([*command, "0"], check=True, env=environment, cwd=repository, capture_output=True)
    runs = [
        subprocess.Popen([*command, str(n)], env=environment, cwd=repository, stderr=subprocess.PIPE) for n in (1, 2)
    ]
    for run in runs:
        _, errors = run.communicate(timeout=900)
        assert run.returncode == 0, errors.decode()[-2000:]
    engine = sqlalchemy.create_engine(add_driver(server))
    with engine.connect() as connection:
        statuses = connection.execute(sqlalchemy.text("SELECT status FROM runs")).scalars().all()
    assert statuses == ["SUCCESS"] * 3
