"""`mvmodel-pipeline ui`: Dagster's UI and daemon on a home, and a server of its reports beside them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

from mvmodel.errors import InputError
from pipelines.driver.home import dagster_instance
from pipelines.report_server import HOST, start_server
from pipelines.settings import WORKSPACE_FILE


def serve_ui(home: Path, port: int, report_port: int) -> int:
    """Serve until `dagster dev` ends, on 127.0.0.1 only; returns its exit status.

    Raises:
        InputError: The port of the reports is taken.
    """
    with dagster_instance(home):
        pass  # makes it if there is none, and names it in the environment of `dagster dev`
    try:
        server = start_server(home, report_port)
    except OSError as error:
        raise InputError(f"port {report_port} is taken; choose another one for reports with --report-port") from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    workspace = ["-w", str(WORKSPACE_FILE)]
    command = [sys.executable, "-m", "dagster", "dev", *workspace, "-h", HOST, "-p", str(port)]
    # In a session of its own, so that Ctrl-C in a terminal reaches it once: it ends its own processes upon the first.
    with server, subprocess.Popen(command, start_new_session=True) as dagster:
        try:
            return dagster.wait()
        except BaseException:
            dagster.send_signal(signal.SIGINT)
            dagster.wait()
            raise
