"""Tells the user's command or webhook about failed runs. Neither can hold up or fail the sensor."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from typing import Any

import dagster as dg

from pipelines.automation_config import AutomationConfig
from pipelines.driver.phase import describe_failure

MAX_SENTENCE = 2000
"""Characters of an error that are passed on."""


def report_failures(status: dg.DefaultSensorStatus, config: AutomationConfig) -> dg.SensorDefinition:
    """The sensor."""

    @dg.run_failure_sensor(
        name="report_failures",
        minimum_interval_seconds=config.interval_s,
        default_status=status,
        description="Runs automation.failure_command and posts to automation.failure_webhook when a run failed.",
    )
    def evaluate(context: dg.RunFailureSensorContext) -> None:
        for sentence in tell_user(config, summarise_failure(context)):
            context.log.warning(sentence)

    return evaluate


def summarise_failure(context: dg.RunFailureSensorContext) -> dict[str, Any]:
    """What the hook is told: run, job, partition, a sentence for each failed step, and `text` for chat programs."""
    run = context.dagster_run
    steps = {str(event.step_key): describe_failure(event)[:MAX_SENTENCE] for event in context.get_step_failure_events()}
    reason = next(iter(steps.values()), "") or str(context.failure_event.message or "no reason was recorded")
    partition = run.tags.get("dagster/partition", "")
    name = f"{run.job_name} of {partition}" if partition else run.job_name
    return {
        "text": f"{name} failed: {reason[:MAX_SENTENCE]}",
        "run": run.run_id,
        "job": run.job_name,
        "partition": partition,
        "steps": steps,
    }


def tell_user(config: AutomationConfig, failure: dict[str, Any]) -> list[str]:
    """Run the command and post to the webhook, whichever is set; returns a sentence for each that did not work.

    The address of a webhook may be a secret, so that sentences do not contain it.
    """
    hooks: list[tuple[str, str, Callable[[str, bytes, float], None]]] = [
        ("failure_command", config.failure_command, _run_command),
        ("failure_webhook", config.failure_webhook, _post),
    ]
    sentences = []
    for name, target, call in hooks:
        if target:
            try:
                call(os.path.expandvars(target), json.dumps(failure).encode(), config.hook_timeout_s)
            except Exception as error:  # a hook is the user's own, and may fail in any way
                reason = f"status {error.code}" if isinstance(error, urllib.request.HTTPError) else type(error).__name__
                sentences.append(f"automation.{name} did not work ({reason}); the failure was not passed on by it")
    return sentences


def _run_command(command: str, message: bytes, timeout: float) -> None:
    """Run a program with the message on standard input. Raises if it fails or takes too long; then it is ended."""
    process = subprocess.Popen(
        shlex.split(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.communicate(message, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def _post(address: str, message: bytes, timeout: float) -> None:
    if not address.startswith(("http://", "https://")):
        raise ValueError("not an http or https address")
    request = urllib.request.Request(address, message, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=timeout).close()
