"""The benchmark of the studio: what it sends is a project that the server takes."""

import pytest

from benchmarks.studio import build_project
from mvmodel.studio.project import Project


@pytest.mark.parametrize("size", [None, "192x128"])
def test_its_projects_are_valid(size):
    project = Project.model_validate(build_project(16, "0" * 20 + ".npz", 3, "a dog", size))
    assert len(project.objects) == 3 and project.frames == 16 and str(project.size) == str(size)
