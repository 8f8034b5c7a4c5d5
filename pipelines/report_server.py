"""`python -m pipelines.report_server`: serves a home's reports on 127.0.0.1, so that links in Dagster's UI open them.

`make ui` starts it beside the UI. It only reads, and only from the folder of reports.
"""

from __future__ import annotations

import argparse
import functools
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pipelines.settings import REPORT_PORT

HOST = "127.0.0.1"
LOCAL_NAMES = (HOST, "localhost")


class ReportHandler(SimpleHTTPRequestHandler):
    """Answers GET and HEAD for files below one folder, to browsers that asked for this machine by name.

    A page elsewhere whose name resolves to 127.0.0.1 could otherwise read the reports.
    """

    server_version, sys_version = "mvmodel", ""

    def send_head(self) -> Any:
        """The file that is asked for; refuses other hosts' names, listings of folders, and links out of the folder."""
        name = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        path = Path(self.translate_path(self.path))
        if path.is_dir():
            self.path = self.path.partition("?")[0].rstrip("/") + "/index.html"
            path = Path(self.translate_path(self.path))
        is_inside = path.resolve().is_relative_to(Path(self.directory).resolve())
        if name not in LOCAL_NAMES or not is_inside or not path.is_file():
            self.send_error(HTTPStatus.NOT_FOUND, "There is no such report here; the pipeline has not written it yet")
            return None
        return super().send_head()

    def end_headers(self) -> None:
        """Reports change under the same name, and need nothing from other sites."""
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Keeps the terminal for Dagster."""


def start_server(home: Path, port: int = REPORT_PORT) -> ThreadingHTTPServer:
    """A server of the reports of a home; call its `serve_forever`. Raises OSError if the port is taken."""
    handler = functools.partial(ReportHandler, directory=str(home / "reports"))
    return ThreadingHTTPServer((HOST, port), handler)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.report_server", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the home whose reports are served")
    parser.add_argument("--port", type=int, default=REPORT_PORT)
    options = parser.parse_args(arguments)
    with start_server(options.home, options.port) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
