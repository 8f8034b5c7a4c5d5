"""Running the command line in this process, and a small rendered video to run it on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mvmodel.cli import main
from mvmodel.world.render import HELD_OUT, RenderedClip, random_clip


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def run(capsys) -> Callable[..., Result]:
    """`run("clips", "check", path)` -> exit code, standard output and standard error."""

    def run_one(*arguments: object) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(int(exit_info.value.code or 0), captured.out, captured.err)

    return run_one


@pytest.fixture(scope="session")
def clip() -> RenderedClip:
    return random_clip((HELD_OUT, 31, 5), frames=4, side=64, motion="glide", objects=("car",), background="snow", pan=0)


@pytest.fixture(scope="session")
def video(tmp_path_factory, clip) -> Path:
    from mvmodel.video.encode import write_mp4

    return write_mp4(tmp_path_factory.mktemp("videos") / "car.mp4", clip.frames, 8.0)


@pytest.fixture(scope="session")
def masks(tmp_path_factory, clip) -> Path:
    from mvmodel.video.encode import write_png_folder

    return write_png_folder(tmp_path_factory.mktemp("masks") / "car", clip.masks)
