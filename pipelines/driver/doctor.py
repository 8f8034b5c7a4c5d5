"""Checks a home: Dagster's records, the store, the pack's files, the GPU's memory, and what killed runs left behind."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from mvmodel.doctor import GIB, Finding
from mvmodel.errors import MvmodelError
from mvmodel.packs.info import find_pack_folder, get_default_pack_name, hash_pack_files, read_pack_info
from pipelines.definitions import build_resources
from pipelines.driver.home import dagster_instance
from pipelines.driver.repair import find_dead_runs
from pipelines.step_processes import find_orphans
from pipelines.store.version_store import BrokenVersion, VersionStore

MIN_FREE_GIB, MIN_FREE_GPU_GIB = 2.0, 1.0
MAX_NAMES = 5
"""Names that a sentence lists."""


def run_home_checks(home: Path) -> list[Finding]:
    """Every check of a home, in the order of the report. Never raises."""
    try:
        resources = build_resources(home)
    except MvmodelError as error:
        return [Finding("settings", False, str(error), f"Correct {home / 'settings.json'}.")]
    # Every file is hashed, also those that were hashed a moment ago: that is what the doctor is asked for.
    store = resources["store"].model_copy(update={"verify_hours": 0.0}).store
    pack = resources["pack"].name
    checks: dict[str, Callable[[], Finding]] = {
        "Dagster's records": lambda: check_instance(home),
        "store": lambda: check_store_writable(store),
        "stored versions": lambda: check_store_whole(store),
        "space for the store": lambda: check_space(store),
        "pack's files": lambda: check_pack_files(pack),
        "GPU memory": check_gpu_memory,
        "runs": lambda: check_runs(home),
        "steps": check_steps,
    }
    return [_run(name, check) for name, check in checks.items()]


def _run(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # a broken machine breaks checks in any way, and the others still count
        reason = (str(error).splitlines() or [""])[0]
        return Finding(name, False, f"{type(error).__name__}: {reason}", "Correct what the message names.")


def check_instance(home: Path) -> Finding:
    """Dagster's instance can be opened and read."""
    if not (home / "dagster").is_dir():
        return Finding("Dagster's records", True, f"none yet in {home}", required=False)
    with dagster_instance(home) as instance:
        runs = instance.get_runs_count()
    return Finding("Dagster's records", True, f"{runs} runs in {home / 'dagster'}")


def check_store_writable(store: VersionStore) -> Finding:
    """A file can be written to the store and removed."""
    probe = store.root / f".doctor-{uuid.uuid4().hex}"
    try:
        store.root.mkdir(parents=True, exist_ok=True)
        probe.write_text("ok")
        probe.unlink()
    except Exception as error:  # file systems and object stores raise their own kinds
        fix = "Make it writable, free space on it, or name another `store` in the settings."
        return Finding("store", False, f"{store.root} cannot be written ({type(error).__name__})", fix)
    return Finding("store", True, f"{store.root} is writable")


def check_store_whole(store: VersionStore) -> Finding:
    """The files of every stored version have the hashes of their manifest."""
    versions = list(store.versions())
    broken = []
    for version in versions:
        try:
            store.open(version.asset, version.partition, version.sha)
        except BrokenVersion:
            broken.append(version.key)
    if broken:
        names = ", ".join(broken[:MAX_NAMES]) + (", ..." if len(broken) > MAX_NAMES else "")
        fix = "Run the pipeline again: it sets broken versions apart and computes them anew."
        return Finding("stored versions", False, f"{len(broken)} of {len(versions)} are broken: {names}", fix)
    return Finding("stored versions", True, f"{len(versions)}, all whole")


def check_space(store: VersionStore) -> Finding:
    """Disk space where the store and its work folder are."""
    folders = [store.work, *([Path(str(store.root))] if store.local else [])]
    free = min(shutil.disk_usage(_existing_parent(folder)).free for folder in folders) / GIB
    fix = "" if free >= MIN_FREE_GIB else "Run `mvmodel-pipeline gc --delete`, or free space otherwise."
    return Finding("space for the store", not fix, f"{free:.1f} GiB free", fix)


def _existing_parent(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def check_pack_files(name: str) -> Finding:
    """The pack's files have the hashes that `pack.json` lists."""
    folder = find_pack_folder(name or get_default_pack_name())
    info = read_pack_info(folder)
    if not info.hashes:
        return Finding("pack's files", True, f"{info.name} lists no hashes", required=False)
    hashes = hash_pack_files(folder)
    changed_files = sorted(file for file, sha in info.hashes.items() if hashes.get(file) != sha)
    if changed_files:
        names = ", ".join(changed_files[:MAX_NAMES])
        fix = f"Fetch the pack again: delete {folder} and pull it, or check out the repository's copy."
        return Finding(
            "pack's files", False, f"{len(changed_files)} of {len(info.hashes)} are missing or changed: {names}", fix
        )
    return Finding("pack's files", True, f"{len(info.hashes)} files of {info.name} as published")


def check_gpu_memory() -> Finding:
    """Free memory of the GPU, which other programs may occupy."""
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU memory", False, "no CUDA GPU", "Only for large packs: use a machine with one.", False)
    free, total = (size / GIB for size in torch.cuda.mem_get_info())
    fix = "" if free >= MIN_FREE_GPU_GIB else "End the programs that `nvidia-smi` lists."
    return Finding("GPU memory", not fix, f"{free:.1f} of {total:.1f} GiB free", fix, required=False)


def check_runs(home: Path) -> Finding:
    """Runs that Dagster counts as running although their processes are gone."""
    if not (home / "dagster").is_dir():
        return Finding("runs", True, "none yet")
    with dagster_instance(home) as instance:
        dead = find_dead_runs(instance)
    if dead:
        names = ", ".join(run.run_id[:8] for run, _ in dead[:MAX_NAMES])
        return Finding(
            "runs", False, f"{len(dead)} are dead but count as running: {names}", "Run `mvmodel-pipeline repair`."
        )
    return Finding("runs", True, "none that died unnoticed")


def check_steps() -> Finding:
    """Processes of steps whose run is gone. They should have ended by themselves."""
    orphans = find_orphans()
    if orphans:
        names = " ".join(map(str, orphans[:MAX_NAMES]))
        return Finding("steps", False, f"{len(orphans)} outlived their run: process {names}", f"Run `kill -9 {names}`.")
    return Finding("steps", True, "none that outlived its run")
