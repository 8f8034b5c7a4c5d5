"""Processes that work side by side: results in order, errors as if nothing ran elsewhere, no process left behind."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch

from mvmodel.backends.load import load_backend
from mvmodel.errors import InputError, TrainingInterrupted
from mvmodel.packs import load_pack
from mvmodel.picture_size import parse_size_option
from mvmodel.workers import Workers


@pytest.fixture(scope="module")
def workers():
    pool = Workers(2)
    yield pool
    pool.stop()


def test_results_come_in_order_from_processes_with_their_share_of_the_cores(workers):
    assert workers.map(abs, [(-3,), (2,), (-1,)]) == [3, 2, 1]
    threads = workers.map(os.getenv, [("OMP_NUM_THREADS",), ("OMP_NUM_THREADS",)])
    assert threads == [str(max(1, (os.cpu_count() or 1) // 2))] * 2
    assert 0 < workers.peak_memory_gb() < 1


def test_one_worker_and_one_call_stay_in_this_process(workers):
    assert Workers().map(os.getpid, [(), ()]) == [os.getpid()] * 2
    assert workers.map(os.getpid, [()]) == [os.getpid()]


def test_an_error_is_raised_here_and_the_processes_go_on(workers):
    with pytest.raises(InputError, match="size: 'wide'"):
        workers.map(parse_size_option, [("wide", "size"), ("64x32", "size")])
    assert workers.map(abs, [(-3,), (2,)]) == [3, 2]


def test_a_process_that_the_system_ends_is_named_and_replaced(workers):
    with pytest.raises(MemoryError, match="set workers to 1"):
        workers.map(os._exit, [(1,), (1,)])
    assert workers.map(abs, [(-3,), (2,)]) == [3, 2]


@pytest.fixture
def keyboard_interrupt():
    """SIGINT raises KeyboardInterrupt, also where the tests run in the background of a shell, which ignores it."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


def test_a_signal_ends_the_processes(workers, keyboard_interrupt):
    numbers = workers.map(abs, [(1,), (2,)])
    assert numbers == [1, 2]
    processes = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
    timer = threading.Timer(1.0, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        workers.map(time.sleep, [(600,), (600,)])
    assert time.monotonic() - start < 300
    assert len(processes) == 2
    assert not psutil.wait_procs(processes, timeout=120)[1]


def test_what_is_sent_opens_the_same_pack_once(small_pack_folder: Path):
    pack = load_pack(small_pack_folder)
    backend = load_backend(pack)
    backend_there, segmenter_there, pack_there = pickle.loads(pickle.dumps((backend, pack.segmenter, pack)))
    assert backend_there.pack is pack_there is not pack
    assert pack_there.hash == pack.hash and pack_there.info == pack.info
    assert segmenter_there().image_size == pack.segmenter().image_size
    assert pickle.loads(pickle.dumps(backend)) is backend_there
    error = pickle.loads(pickle.dumps(TrainingInterrupted("stopped at step 3", 15)))
    assert str(error) == "stopped at step 3" and error.signal_number == 15


def test_a_single_call_has_the_threads_of_one_process():
    before = torch.get_num_threads()
    (threads,) = Workers(2).map(torch.get_num_threads, [()])
    assert threads == max(1, (os.cpu_count() or 1) // 2)
    assert torch.get_num_threads() == before
