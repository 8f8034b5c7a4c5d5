"""`mvmodel doctor`: check this machine."""

from __future__ import annotations

import typer

from mvmodel.cli.options import AsJson
from mvmodel.cli.output import print_json, print_table


def doctor(json: AsJson = False) -> None:
    """Check this machine and print how to fix what is missing. Exits with code 1 if something required is missing."""
    from mvmodel.doctor import run_checks

    findings = run_checks()
    if json:
        print_json([vars(finding) for finding in findings])
    else:
        rows = [[finding.status, finding.name, finding.detail, finding.fix] for finding in findings]
        print_table(["status", "check", "detail", "fix"], rows)
    if any(finding.required and not finding.ok for finding in findings):
        raise typer.Exit(1)
