"""The queue of the device: one job at a time, in the order of arrival. Waiting jobs survive a restart of the server."""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from mvmodel.errors import InputError, MvmodelError
from mvmodel.files import write_json
from mvmodel.studio.sessions import Session, SessionStore

logger = logging.getLogger(__name__)
State = Literal["waiting", "running", "done", "failed", "cancelled"]
ACTIVE: tuple[State, ...] = ("waiting", "running")
BACKGROUND_KINDS = frozenset({"measure"})
"""Jobs that nobody asked for: they give way to all others."""
_MAX_FINISHED = 30
"""Finished jobs that a session remembers."""


class JobCancelled(Exception):
    """Raised inside of a job that was cancelled or postponed; it ends the job at its next step."""


@dataclass
class Job:
    """Work for the device. parameters: what to do. result: what the page gets. note: what happens right now.

    cancel, postponed: it ends at its next step, for good or to be done later.
    share: of the work that is done, 0..1. preview: JPEG with frames below each other, of a video that is not finished.
    """

    id: str
    session: str
    kind: str
    parameters: dict[str, Any]
    state: State = "waiting"
    share: float = 0.0
    note: str = ""
    error: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    created: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    preview: bytes = field(default=b"", repr=False)
    preview_number: int = 0
    cancel: bool = False
    postponed: bool = False

    def to_record(self) -> dict[str, Any]:
        """What is kept on disk."""
        record = asdict(self)
        for name in ("preview", "preview_number", "cancel", "postponed"):
            del record[name]
        return record

    def describe(self, place: int) -> dict[str, Any]:
        """What the page shows. place: 0 for the running job, 1 for the next one."""
        record = {name: value for name, value in self.to_record().items() if name not in ("session", "parameters")}
        record |= {"seed": self.parameters.get("seed") if self.kind == "generate" else None}
        record |= {"cancelling": self.state == "running" and self.cancel}
        record |= {"place": place, "preview": self.preview_number, "seconds_left": self.seconds_left()}
        return record | {"seconds": round((self.finished or time.time()) - self.started, 1) if self.started else 0.0}

    def seconds_left(self) -> float | None:
        """An estimate from what is done so far, None before there is one."""
        if self.state != "running" or self.share < 0.03:
            return None
        return round((time.time() - self.started) * (1 - self.share) / self.share, 1)


class Worker(Protocol):
    """Does the work. `mvmodel.studio.worker.StudioWorker` is one; it loads the models.

    `run` returns what the page gets; "follow" in it is the kind and the parameters of a job that comes afterwards.
    """

    def run(self, job: Job, session: Session, report: JobReport) -> dict[str, Any]: ...

    def warm_up(self) -> Iterable[object]:
        """Do what would only make the first jobs slower, part by part: it ends after a part when a job waits."""


@dataclass
class JobReport:
    """How a worker reports. Both methods raise JobCancelled if the job was cancelled."""

    job: Job
    changed: Callable[[], None]

    def progress(self, note: str, share: float) -> None:
        """note: what happens right now. share: of the job, 0..1; it never falls."""
        self.job.note, self.job.share = note, max(self.job.share, min(1.0, share))
        self.changed()
        self.check()

    def preview(self, jpeg: bytes) -> None:
        """A picture of the unfinished video."""
        self.job.preview, self.job.preview_number = jpeg, self.job.preview_number + 1
        self.changed()
        self.check()

    def check(self) -> None:
        if self.job.cancel or self.job.postponed:
            raise JobCancelled


class JobQueue:
    """Runs jobs one by one in a thread of its own.

    Args:
        store: The sessions, for the jobs that were waiting when the server stopped.
        open_worker: Makes the worker, in the queue's thread, before the first job.
        max_waiting: Most unfinished jobs of a session.
    """

    def __init__(self, store: SessionStore, open_worker: Callable[[], Worker], max_waiting: int) -> None:
        self.store, self.max_waiting = store, max_waiting
        self.version = 0
        self.worker_state = "starting"
        self._open_worker = open_worker
        self._jobs: dict[str, Job] = {}
        self._condition = threading.Condition()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="studio-device", daemon=True)

    def start(self) -> None:
        """Take up the jobs that were not finished, and begin to work."""
        for key in self.store.list_keys():
            for job in _read_jobs(self.store.open(key)):
                if job.state in ACTIVE:
                    job.state, job.share, job.note = "waiting", 0.0, ""
                self._jobs[job.id] = job
        self._thread.start()

    def stop(self) -> None:
        """End after the running job's next step; it waits in the queue again at the next start."""
        with self._condition:
            self._stop = True
            for job in self._jobs.values():
                job.cancel = job.cancel or job.state == "running"
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def is_working(self) -> bool:
        """Whether the thread still runs, after `stop` too: a step or the loading of models ends in its own time."""
        return self._thread.is_alive()

    def add(self, session: Session, kind: str, parameters: Mapping[str, Any]) -> Job:
        """Queue a job. Raises InputError if the session has too many unfinished ones."""
        with self._condition:
            active = [job for job in self._jobs.values() if job.session == session.key and job.state in ACTIVE]
            if len(active) >= self.max_waiting:
                raise InputError(f"{len(active)} jobs wait already; cancel some, or wait until they are finished")
            job = Job(secrets.token_hex(6), session.key, kind, dict(parameters), created=time.time())
            self._jobs[job.id] = job
            self._changed(job)
            for entry in self._jobs.values():
                entry.postponed |= entry.state == "running" and entry.kind in BACKGROUND_KINDS
            self._condition.notify_all()
        return job

    def remove_session(self, session: Session, seconds: float = 30) -> None:
        """Cancel and forget a session's jobs. Raises InputError if one does not end in time."""
        with self._condition:
            jobs = [job for job in self._jobs.values() if job.session == session.key]
            for job in jobs:
                job.cancel = True
                if job.state == "waiting":
                    job.state = "cancelled"
            if not self._condition.wait_for(lambda: all(job.state != "running" for job in jobs), seconds):
                raise InputError("a job of this session is still ending; try again in a moment")
            self._jobs = {key: job for key, job in self._jobs.items() if job.session != session.key}

    def cancel(self, session: Session, identifier: str) -> None:
        """Cancel a job of a session; a finished one is forgotten. Raises InputError if there is none."""
        with self._condition:
            job = self.find(session, identifier)
            if job.state not in ACTIVE:
                del self._jobs[job.id]
            job.cancel = True
            if job.state == "waiting":
                job.state, job.finished = "cancelled", time.time()
            self._changed(job)

    def find(self, session: Session, identifier: str) -> Job:
        """A job of a session. Raises InputError if there is none."""
        job = self._jobs.get(identifier)
        if job is None or job.session != session.key:
            raise InputError("there is no such job in this session")
        return job

    def list(self, session: Session) -> list[dict[str, Any]]:
        """The session's jobs as the page shows them, the oldest first, with their places among everybody's."""
        with self._condition:
            all_jobs = sorted(self._jobs.values(), key=lambda job: job.created)
            queue = sorted((job for job in all_jobs if job.state == "waiting"), key=_turn)
            places = {job.id: number for number, job in enumerate(queue, 1)}
            jobs = [job for job in all_jobs if job.session == session.key]
            return [job.describe(places.get(job.id, 0)) for job in jobs]

    def _changed(self, job: Job) -> None:
        self.version += 1
        session = self.store.open(job.session)
        jobs = [entry for entry in self._jobs.values() if entry.session == job.session]
        finished = sorted((j for j in jobs if j.state not in ACTIVE), key=lambda j: j.finished)
        for old in finished[:-_MAX_FINISHED]:
            del self._jobs[old.id]
        records = [entry.to_record() for entry in jobs if entry.id in self._jobs]
        write_json(session.folder / "jobs.json", records)

    def _bump(self) -> None:
        self.version += 1

    def _next(self) -> Job | None:
        queue = [job for job in self._jobs.values() if job.state == "waiting"]
        return min(queue, key=_turn, default=None)

    def _run(self) -> None:
        try:
            worker = self._open_worker()
            self.worker_state = "ready"
        except MvmodelError as error:
            self.worker_state = str(error)
            worker = None
        except Exception as error:  # without a sentence in the page, people would wait for ever
            logger.exception("the models cannot be loaded")
            self.worker_state = f"the models cannot be loaded ({type(error).__name__}: {error}); see the terminal"
            worker = None
        self._bump()
        if worker is not None:
            self._warm_up(worker)
        while True:
            with self._condition:
                while not self._stop and (self._next() is None or worker is None):
                    self._condition.wait()
                job = self._next()
                if self._stop or job is None or worker is None:
                    return
                job.state, job.started = "running", time.time()
                self._changed(job)
            self._work(worker, job)

    def _warm_up(self, worker: Worker) -> None:
        try:
            for _ in worker.warm_up():
                with self._condition:
                    if self._stop or self._next() is not None:
                        return
        except MvmodelError as error:  # jobs that need that part will say so
            logger.warning("a model cannot be loaded: %s", error)

    def _work(self, worker: Worker, job: Job) -> None:
        state: State = "done"
        try:
            job.result = worker.run(job, self.store.open(job.session), JobReport(job, self._bump))
            job.share = 1.0
        except JobCancelled:
            state = "waiting" if self._stop or (job.postponed and not job.cancel) else "cancelled"
        except MvmodelError as error:
            state, job.error = "failed", str(error)
        except Exception as error:  # one job that fails must not end the server
            logger.exception("the job %s failed", job.kind)
            state, job.error = "failed", f"something went wrong ({type(error).__name__}: {error}); see the terminal"
        with self._condition:
            for other in self._jobs.values():  # the last preview may still be asked for; earlier ones only take memory
                other.preview = other.preview if other is job else b""
            job.state, job.finished, job.note = state, time.time(), ""
            job.postponed = False
            follow = job.result.pop("follow", None)
            if follow and state == "done":
                later = Job(secrets.token_hex(6), job.session, created=time.time(), **follow)
                self._jobs[later.id] = later
            if (self.store.folder / job.session).is_dir():
                self._changed(job)
            self._condition.notify_all()


def _turn(job: Job) -> tuple[bool, float]:
    """Sorts waiting jobs: those that somebody asked for by their age, then the others."""
    return job.kind in BACKGROUND_KINDS, job.created


def _read_jobs(session: Session) -> list[Job]:
    file = session.folder / "jobs.json"
    try:
        return [Job(**record) for record in json.loads(file.read_text())] if file.exists() else []
    except (ValueError, TypeError):
        logger.warning("%s cannot be read; its jobs are forgotten", file)
        return []
