"""The one type every stage speaks: what it accepts, what it keeps, what old files still give."""

from pathlib import Path

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.world.render import TRAIN, random_clip

TWO = random_clip((TRAIN, 5), frames=4, side=48, motion="glide", objects=("car", "dog"), pan=0.0)


def test_masks_alone_are_as_before(tmp_path: Path) -> None:
    plain = MaskSequence(TWO.masks, 12.0)
    assert plain.instances is None and plain.names == ()
    assert plain.per_instance.shape == (1, *TWO.masks.shape)
    plain.save(tmp_path / "plain.npz")
    with np.load(tmp_path / "plain.npz") as data:
        assert sorted(data.files) == ["bits", "fps", "shape"], "files of one object keep their form"
    loaded = MaskSequence.load(tmp_path / "plain.npz")
    assert np.array_equal(loaded.masks, TWO.masks) and loaded.fps == 12.0 and loaded.instances is None


def test_instances_survive_a_file(tmp_path: Path) -> None:
    both = MaskSequence.from_instances(TWO.instances, 10.0, TWO.objects)
    assert np.array_equal(both.masks, TWO.masks)
    both.save(tmp_path / "two.npz")
    loaded = MaskSequence.load(tmp_path / "two.npz")
    assert loaded.instances is not None and np.array_equal(loaded.instances, TWO.instances)
    assert loaded.names == ("car", "dog") and loaded.fps == 10.0
    assert loaded.content_hash() == both.content_hash() != MaskSequence(TWO.masks).content_hash()
    dog = loaded.instance("dog")
    assert np.array_equal(dog.masks, TWO.instances[1]) and dog.names == ("dog",)
    assert np.array_equal(loaded.instance(0).masks, TWO.instances[0])
    assert MaskSequence.from_instances(TWO.instances).names == ("", "")


def test_the_hash_of_masks_alone_has_not_changed() -> None:
    """Stored versions are found again by it."""
    square = np.zeros((2, 8, 8), bool)
    square[:, 2:5, 3:6] = True
    assert MaskSequence(square).content_hash() == "d70d481825a56faed56495c4f5add4567b56f42c6d97b54fe9f221613183a3f7"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: MaskSequence(np.zeros((4, 8, 8), np.uint8)), "bool array"),
        (lambda: MaskSequence(np.zeros((0, 8, 8), bool)), "at least one frame"),
        (lambda: MaskSequence(TWO.masks, 0.0), "positive number of frames per second"),
        (lambda: MaskSequence(TWO.masks, 8.0, TWO.instances[:1]), "not the union"),
        (lambda: MaskSequence(TWO.masks, 8.0, TWO.instances[:, :2]), "over masks of"),
        (lambda: MaskSequence(TWO.masks, 8.0, names=("car",)), "there are none"),
        (lambda: MaskSequence.from_instances(TWO.instances, names=("car",)), "as many names"),
        (lambda: MaskSequence.from_instances(TWO.masks), "instances, frames, height, width"),
        (lambda: MaskSequence.from_instances(TWO.instances, names=TWO.objects).instance("cow"), "1 \\(dog\\)"),
    ],
)
def test_what_does_not_fit_is_named(wrong, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        wrong()


def test_another_file_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", masks=TWO.masks)
    with pytest.raises(InputError, match=r"other\.npz is not a mask sequence"):
        MaskSequence.load(tmp_path / "other.npz")
