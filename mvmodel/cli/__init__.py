"""The `mvmodel` command line: one `app`, a file per group of commands."""

from mvmodel.cli.app import app, main

__all__ = ["app", "main"]
