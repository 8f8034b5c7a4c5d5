"""The worker that decodes files: a crash, a hang or too much memory costs one file, and no process stays behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import numpy as np
import psutil
import pytest

import mvmodel
from mvmodel.errors import InputError
from mvmodel.video import guard, ingestion
from mvmodel.video.config import DecodeLimits, IngestConfig
from mvmodel.video.containers import UnusableClip, check_unchanged, stamp_files
from mvmodel.video.decode import decode_video, iterate_frames, iterate_thumbnails, read_in_order
from mvmodel.video.encode import write_mp4, write_png_folder
from mvmodel.video.guard import iterate_guarded, run_guarded
from mvmodel.video.ingestion import check_clips, ingest
from mvmodel.video.probe import probe_video
from mvmodel.world.render import TRAIN, random_clip

LIMITS = DecodeLimits()
FILE = Path("clip.mp4")


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return random_clip((TRAIN, 1), frames=10, side=64, motion="zigzag").frames


def test_a_crash_names_the_file_and_the_next_file_is_read(tmp_path: Path, frames: np.ndarray) -> None:
    with pytest.raises(UnusableClip, match=r"^clip\.mp4: its decoder crashed \(SIGSEGV\)"):
        run_guarded(FILE, LIMITS, ctypes.string_at, 0)
    with pytest.raises(UnusableClip, match=r"crashed \(SIGABRT\)"):
        run_guarded(FILE, LIMITS, os.abort)
    assert probe_video(write_mp4(tmp_path / "a.mp4", frames, 8)).frames == 10


def test_relative_paths_are_those_of_the_current_folder(
    tmp_path: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, count in (("one", 4), ("two", 6)):
        folder = tmp_path / name
        write_mp4(folder / "a.mp4", frames[:count], 8)
        monkeypatch.chdir(folder)
        assert probe_video(Path("a.mp4")).frames == count


def test_a_hang_ends_at_the_limit() -> None:
    start = time.monotonic()
    with pytest.raises(UnusableClip, match="hangs: nothing came for 0 s"):
        run_guarded(FILE, DecodeLimits(timeout_s=0.3), time.sleep, 600)
    assert time.monotonic() - start < 300


def test_memory_has_a_limit() -> None:
    with pytest.raises(UnusableClip, match="more than 64 MB of memory"):
        run_guarded(FILE, DecodeLimits(memory_mb=64), bytearray, 80 << 20)
    assert len(run_guarded(FILE, LIMITS, bytearray, 80 << 20)) == 80 << 20, "the limit is the task's own"


def test_being_killed_is_told_as_a_lack_of_memory() -> None:
    with pytest.raises(UnusableClip, match="ended by the system, most likely because decoding it needs more than"):
        run_guarded(FILE, LIMITS, signal.raise_signal, int(signal.SIGKILL))


def test_errors_of_a_decoder_become_reasons_and_input_errors_stay() -> None:
    with pytest.raises(UnusableClip, match="clip.mp4: it cannot be read"):
        run_guarded(FILE, LIMITS, int, "x")
    with pytest.raises(InputError, match="there is no such file"):
        probe_video(Path("missing.mp4"))


def test_a_function_without_a_module_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match=r"<lambda> is no function or class of a module"):
        run_guarded(FILE, LIMITS, lambda: 1)
    assert run_guarded(FILE, LIMITS, abs, -1) == 1


def test_frames_are_those_of_this_process_however_they_are_read(tmp_path: Path, frames: np.ndarray) -> None:
    path = write_mp4(tmp_path / "a.mp4", frames, 8)
    info = probe_video(path)
    here = dict(read_in_order(path, info, list(range(10))))
    assert np.array_equal(decode_video(path).frames, np.stack([here[index] for index in range(10)]))
    list(iterate_thumbnails(path, info, [0, 5], (96, 96), LIMITS, keep_to=10))
    kept = dict(iterate_frames(path, info, [2, 9]))
    assert np.array_equal(kept[2], here[2]) and np.array_equal(kept[9], here[9])
    first = next(iter(iterate_frames(path, info, range(10))))
    assert np.array_equal(first[1], here[0]), "and an iteration may be given up"
    assert np.array_equal(dict(iterate_frames(path, info, [7]))[7], here[7])


def test_frames_that_are_kept_are_of_one_file(tmp_path: Path, frames: np.ndarray) -> None:
    """The masks of a clip may be read between the two passes over its frames."""
    path, other = write_mp4(tmp_path / "a.mp4", frames, 8), write_mp4(tmp_path / "b.mp4", 255 - frames, 8)
    info = probe_video(path)
    here = dict(read_in_order(path, info, list(range(10))))
    list(iterate_thumbnails(path, info, [0, 5], (32, 32), DecodeLimits(), keep_to=10))
    decode_video(other)
    kept = dict(iterate_frames(path, info, [0, 2]))
    assert np.array_equal(kept[0], here[0]) and np.array_equal(kept[2], here[2])


def test_batches_of_shared_memory_do_not_overwrite_each_other(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (12, 640, 640, 3), np.uint8)
    path = write_png_folder(tmp_path / "noise", noise)
    got = [frame for _, frame in iterate_frames(path, probe_video(path), range(12))]
    assert np.array_equal(np.stack(got), noise)


def test_two_iterations_and_threads_at_once(tmp_path: Path, frames: np.ndarray) -> None:
    path = write_mp4(tmp_path / "a.mp4", frames, 8)
    info = probe_video(path)
    pairs = zip(iterate_frames(path, info, range(10)), iterate_frames(path, info, range(10)), strict=True)
    assert all(np.array_equal(one[1], other[1]) for one, other in pairs)
    results: list[np.ndarray] = []
    threads = [Thread(target=lambda: results.append(decode_video(path).frames)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert all(np.array_equal(result, results[0]) for result in results)


def test_a_worker_survives_the_thread_that_started_it() -> None:
    while guard._pool.idle:
        guard._pool.idle.pop().kill()
    thread = Thread(target=guard.start_worker)
    thread.start()
    thread.join()
    process = guard._pool.idle[0].process
    assert run_guarded(FILE, LIMITS, os.getpid) == process.pid
    time.sleep(0.1)
    assert process.poll() is None


def test_an_interrupt_leaves_a_usable_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> tuple[str, object]:
        raise KeyboardInterrupt

    monkeypatch.setattr(guard, "_receive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_guarded(FILE, LIMITS, time.sleep, 60)
    monkeypatch.undo()
    assert run_guarded(FILE, LIMITS, abs, -1) == 1


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_is_left_when_its_parent_is_ended(ending: signal.Signals) -> None:
    """From a program on stdin, with the worker hanging."""
    program = (
        "import os, time\nfrom pathlib import Path\nfrom mvmodel.video.config import DecodeLimits\n"
        "from mvmodel.video.guard import run_guarded\n"
        "print(run_guarded(Path('a'), DecodeLimits(), os.getpid), flush=True)\n"
        "run_guarded(Path('a'), DecodeLimits(), time.sleep, 600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(mvmodel.__file__).parents[1])}
    parent = subprocess.Popen([sys.executable, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert parent.stdin and parent.stdout
    parent.stdin.write(program.encode())
    parent.stdin.close()
    worker = psutil.Process(int(parent.stdout.readline()))
    parent.send_signal(ending)
    parent.wait()
    psutil.wait_procs([worker], timeout=120)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_a_file_of_ours_in_the_working_folder_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "av.py").write_text("raise SystemExit('wrong module')")
    monkeypatch.chdir(tmp_path)
    while guard._pool.idle:
        guard._pool.idle.pop().kill()
    assert run_guarded(FILE, LIMITS, abs, -1) == 1


def test_a_header_with_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path, frames: np.ndarray) -> None:
    path = write_mp4(tmp_path / "a.mp4", frames, 8)
    with pytest.raises(UnusableClip, match="64x64 is more than the limit of 1,000 pixels"):
        probe_video(path, DecodeLimits(pixels=1000))


def test_a_crash_in_the_middle_of_a_folder_is_one_row(
    tmp_path: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same reason in the listing and in the catalogue; the clips before and after it are read."""
    for number, name in enumerate("abc"):
        write_mp4(tmp_path / "clips" / f"{name}.mp4", np.roll(frames, 9 * number, axis=2), 8)
    monkeypatch.setattr("mvmodel.video.decode.iterate_guarded", _crash_on_b)
    rows = list(check_clips(tmp_path / "clips"))
    catalogue = ingest(tmp_path / "clips", tmp_path / "out", IngestConfig(frames=4))
    assert [row["status"] for row in rows] == ["clip", "quarantined", "clip"]
    assert rows[1]["reason"] == "its decoder crashed (SIGABRT); export it again with another program"
    assert catalogue.clips == ["a", "c"]
    assert catalogue.quarantine.values.tolist() == [["b.mp4", rows[1]["reason"]]]


def _crash_on_b(path: Path, limits: DecodeLimits, *task: object) -> object:
    if path.name == "b.mp4":
        return iterate_guarded(path, limits, os.abort)  # type: ignore[arg-type]
    return iterate_guarded(path, limits, *task)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", ["replaced", "cut", "removed", "grown"])
def test_a_file_that_changes_while_it_is_read_is_no_clip(
    tmp_path: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = write_mp4(tmp_path / "clips" / "a.mp4", frames, 8)
    write_mp4(tmp_path / "clips" / "b.mp4", frames[:, ::-1], 8)

    def change_file(source: object, clip: object, *arguments: object) -> tuple[object, np.ndarray]:
        if change == "replaced":
            write_mp4(path, frames[::-1], 8)
        elif change == "removed":
            path.unlink(missing_ok=True)
        else:
            content = path.read_bytes()
            path.write_bytes(content[:-100] if change == "cut" else content + b"more")
        return clip, frames

    whole = ingestion.read_clip_frames
    monkeypatch.setattr(
        ingestion, "read_clip_frames", lambda s, *rest: (change_file if s.path == path else whole)(s, *rest)
    )
    first, second = check_clips(tmp_path / "clips")
    assert (first["status"], second["status"]) == ("quarantined", "clip")
    assert "changed, replaced or removed while it was read" in first["reason"]


def test_a_stamp_of_a_folder_counts_its_pictures(tmp_path: Path, frames: np.ndarray) -> None:
    folder = write_png_folder(tmp_path / "clip", frames)
    stamp = stamp_files(folder)
    check_unchanged(folder, stamp)
    (folder / "notes.txt").write_text("no picture")
    check_unchanged(folder, stamp)
    (folder / "00009.png").unlink()
    with pytest.raises(UnusableClip, match="while it was read"):
        check_unchanged(folder, stamp)
