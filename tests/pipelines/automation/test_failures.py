"""The hook on failures reaches the user's program or address, and can neither hang nor fail the sensor."""

from __future__ import annotations

import json
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import pytest

from pipelines.automation.failures import report_failures, summarise_failure, tell_user
from pipelines.automation_config import AutomationConfig

FAILURE = {"text": "ingest failed: the folder is empty"}


def python(code: str, *arguments: str) -> str:
    return shlex.join([sys.executable, "-S", "-c", code, *arguments])


def test_a_command_gets_the_failure_on_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGET", str(tmp_path / "failure.json"))
    command = python("import sys; open(sys.argv[1], 'w').write(sys.stdin.read())") + " $TARGET"
    assert tell_user(AutomationConfig(failure_command=command), FAILURE) == []
    assert json.loads((tmp_path / "failure.json").read_text()) == FAILURE


@pytest.mark.parametrize(
    "command",
    [python("import sys; sys.exit(3)"), "no-such-program", "an 'unclosed quote", python("import time; time.sleep(99)")],
)
def test_a_command_that_fails_or_hangs_is_said_and_given_up(command: str) -> None:
    started = time.monotonic()
    (sentence,) = tell_user(AutomationConfig(failure_command=command, hook_timeout_s=0.5), FAILURE)
    assert "automation.failure_command did not work" in sentence and time.monotonic() - started < 60


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.requests.append((self.path, self.headers["Content-Type"], json.loads(body)))
            path = self.path.partition("?")[0]
            if path == "/slow":
                time.sleep(1)
            self.send_response(500 if path == "/broken" else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_webhook_gets_the_failure_as_json(server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}/hook")
    assert tell_user(AutomationConfig(failure_webhook="$WEBHOOK_URL"), FAILURE) == []
    assert server.requests == [("/hook", "application/json", FAILURE)]


@pytest.mark.parametrize(
    ("path", "words"), [("/broken", "status 500"), ("/slow", "imeout"), (None, "ValueError"), ("", "Error")]
)
def test_a_webhook_that_does_not_work_is_said_without_its_address(
    server: HTTPServer, path: str | None, words: str
) -> None:
    port = server.server_port if path else 9
    address = "file:///etc/secret-token" if path is None else f"http://127.0.0.1:{port}{path}?key=secret-token"
    timeout = 0.3 if path == "/slow" else 60
    (sentence,) = tell_user(AutomationConfig(failure_webhook=address, hook_timeout_s=timeout), FAILURE)
    assert words in sentence and "secret-token" not in sentence


def test_the_sensor_says_what_failed_and_why(tmp_path: Path) -> None:
    @dg.op
    def broken() -> None:
        raise dg.Failure("the folder is empty", allow_retries=False)

    @dg.job
    def ingest() -> None:
        broken()

    command = python("import sys; open(sys.argv[1], 'w').write(sys.stdin.read())", str(tmp_path / "failure.json"))
    with dg.DagsterInstance.ephemeral() as instance:
        result = ingest.execute_in_process(instance=instance, raise_on_error=False, tags={"dagster/partition": "hop"})
        sensor = report_failures(dg.DefaultSensorStatus.STOPPED, AutomationConfig(failure_command=command))
        context = dg.build_run_status_sensor_context(
            sensor_name=sensor.name,
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        ).for_run_failure()
        sensor(context)
        assert summarise_failure(context)["steps"] == {"broken": "the folder is empty"}
    failure = json.loads((tmp_path / "failure.json").read_text())
    assert failure["text"] == "ingest of hop failed: the folder is empty"
    assert failure["run"] == result.run_id and failure["partition"] == "hop"
