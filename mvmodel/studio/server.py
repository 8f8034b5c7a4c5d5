"""Runs the studio's application on this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import webbrowser

import uvicorn
from starlette.applications import Starlette

from mvmodel.errors import InputError

HOST = "127.0.0.1"
_ATTEMPTS = 20
_SECONDS_TO_STOP = 3


def find_address(port: int) -> tuple[str, int]:
    """The first free port from `port` on; 0 takes any. Raises InputError if there is none."""
    for candidate in [port] if port == 0 else range(port, min(port + _ATTEMPTS, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, candidate))
            except OSError:
                continue
            return HOST, int(probe.getsockname()[1])
    raise InputError(f"the ports from {port} on are taken; give another --port")


def serve(app: Starlette, address: tuple[str, int], open_browser: bool) -> None:
    """Serve until Ctrl-C, which is the usual end and no error."""
    host, port = address
    url = f"http://{host}:{port}/"
    print(f"The studio is at {url} (Ctrl-C stops it; the work stays)", flush=True)
    if open_browser:
        timer = threading.Timer(1.0, webbrowser.open, [url])
        timer.daemon = True
        timer.start()
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=_SECONDS_TO_STOP, server_header=False
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run()
    print("The studio has stopped; mvmodel studio goes on where it was", flush=True)
    if app.state.studio.queue.is_working():  # torch aborts the process if Python ends below it in the middle of a step
        sys.stderr.flush()
        os._exit(0)
