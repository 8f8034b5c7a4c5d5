"""Which errors of a step are tried again, and which are said in a sentence."""

from __future__ import annotations

import errno

import dagster as dg
import pytest
import torch

from mvmodel.errors import InputError
from pipelines.assets.decorator import MAX_RETRIES, user_errors_as_failures

OUT_OF_MEMORY_ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]


def fail_with(error: Exception) -> BaseException:
    """What a step raises whose function raises `error`."""

    @user_errors_as_failures
    def function() -> None:
        raise error

    with pytest.raises(Exception) as raised:
        function()
    return raised.value


@pytest.mark.parametrize("error", OUT_OF_MEMORY_ERRORS, ids=repr)
def test_a_step_that_ran_out_of_memory_is_not_repeated_unchanged(error: Exception) -> None:
    failure = fail_with(error)
    assert isinstance(failure, dg.Failure) and not failure.allow_retries
    assert "`memory`" in str(failure.description) and "`size`" in str(failure.description)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_closed_disk_is_not_tried_again(code: int) -> None:
    assert isinstance(fail_with(OSError(code, "no")), OSError)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "I/O error"), ConnectionResetError(), TimeoutError()], ids=repr)
def test_what_may_be_temporary_is_tried_again_once(error: Exception) -> None:
    retry = fail_with(error)
    assert isinstance(retry, dg.RetryRequested) and retry.max_retries == MAX_RETRIES == 1


def test_a_users_mistake_is_a_failure_in_a_sentence() -> None:
    failure = fail_with(InputError("the folder is empty"))
    assert isinstance(failure, dg.Failure) and failure.description == "the folder is empty"
