"""The `mvmodel` command line: `app` has every command, and each command group has its own file."""

from mvmodel.cli.root import app, main

__all__ = ["app", "main"]
