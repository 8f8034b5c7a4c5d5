"""From words to motion: forty sentences with what they should show, held-out ones, and what is said about doubt."""

import pytest

from benchmarks.sentences import FILE, HELD_OUT, judge_sentences
from mvmodel.authoring.choreography import choreograph
from mvmodel.authoring.config import StageConfig
from mvmodel.authoring.grammar import parse_sentence
from mvmodel.errors import InputError


@pytest.mark.parametrize(("path", "count", "least"), [(FILE, 40, 36), (HELD_OUT, 20, 16)])
def test_sentences_move_as_they_say(path, count, least) -> None:
    rows = judge_sentences(path)
    wrong = [f"{row['sentence']}: {row['seen']}" for row in rows if not row["right"]]
    print(f"{path.name}: {count - len(wrong)} of {len(rows)} right", *wrong, sep="\n")
    assert len(rows) == count
    assert count - len(wrong) >= least, wrong


def test_the_measurement_is_not_always_content() -> None:
    """Against expectations of other sentences hardly anything agrees."""
    rows = judge_sentences(FILE)
    turned = rows[7:] + rows[:7]
    agree = sum(
        row["seen"].agrees(other["direction"], other["count"] or "9", other["end"])
        for row, other in zip(rows, turned, strict=True)
    )
    assert agree <= 6


def test_actors_moves_and_order() -> None:
    dog, cat = parse_sentence("two dogs run to the right while a cat jumps twice").actors
    assert (dog.noun, dog.number, cat.noun, cat.number) == ("dog", 2, "cat", 1)
    assert [m.kind for m in cat.moves] == ["jump"] and cat.moves[0].count == 2
    first, then = parse_sentence("a horse jumps twice after running to the left").actors[0].moves
    assert (first.kind, then.kind) == ("travel", "jump")
    assert not parse_sentence("a dog runs to the right while jumping").actors[0].moves[1].then
    assert parse_sentence("a dog runs to the right, then jumps").actors[0].moves[1].then


@pytest.mark.parametrize(
    ("sentence", "doubt"),
    [
        ("a dog runs from left to right, jumps twice", "together was taken"),
        ("a car drives across the picture", "left to right was taken"),
        ("a cat jumps several times", "3 was taken"),
        ("a ball bounces", "three times was taken"),
        ("a dog runs", "to the right was taken"),
        ("a truck drives into the middle", "the left was taken"),
    ],
)
def test_what_is_left_open_is_said(sentence, doubt) -> None:
    story = parse_sentence(sentence)
    _, more = choreograph(story, 12, 8.0, (96, 96))
    said = [*story.assumptions, *more]
    assert any(doubt in sentence for sentence in said), said


def test_a_full_sentence_leaves_no_doubt() -> None:
    story = parse_sentence("a dog runs from left to right while jumping twice")
    assert not story.assumptions and not choreograph(story, 12, 8.0, (96, 96))[1]


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("a dog", "no verb of motion"),
        ("", "no verb"),
        ("runs to the left", "who moves"),
        ("the weather is nice", "no verb"),
    ],
)
def test_what_cannot_be_read_is_refused(sentence, reason) -> None:
    with pytest.raises(InputError, match=reason):
        parse_sentence(sentence)


def test_the_same_sentence_in_another_size_and_length_is_the_same_motion() -> None:
    story = parse_sentence("a dog runs from left to right")
    (_, small), (_, large) = (
        choreograph(story, frames, 8.0, size)[0][0] for frames, size in ((12, (64, 64)), (23, (128, 256)))
    )
    assert small.x[0] / 64 == pytest.approx(large.x[0] / 256) and small.x[-1] / 64 == pytest.approx(large.x[-1] / 256)
    with pytest.raises(InputError, match="at least 2 frames"):
        choreograph(story, 1, 8.0, (64, 64))
    assert StageConfig(jump_height=0.1).jump_height == 0.1
