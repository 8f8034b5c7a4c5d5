"""Sentences: what forty of them and held-out ones should show, and which assumptions are reported."""

import pytest

from benchmarks.sentences import FILE, HELD_OUT, judge_sentences
from mvmodel.authoring.choreography import choreograph
from mvmodel.authoring.config import StageConfig
from mvmodel.authoring.grammar import parse_sentence
from mvmodel.errors import InputError


@pytest.mark.parametrize(("path", "count", "min_correct"), [(FILE, 40, 36), (HELD_OUT, 20, 16)])
def test_sentences_move_as_they_say(path, count, min_correct) -> None:
    rows = judge_sentences(path)
    failures = [f"{row['sentence']}: {row['seen']}" for row in rows if not row["right"]]
    print(f"{path.name}: {count - len(failures)} of {len(rows)} right", *failures, sep="\n")
    assert len(rows) == count
    assert count - len(failures) >= min_correct, failures


def test_the_measurement_can_fail() -> None:
    """Hardly any sentence agrees with the expectations of another one."""
    rows = judge_sentences(FILE)
    shifted = rows[7:] + rows[:7]
    agree = sum(
        row["seen"].agrees(expected["direction"], expected["count"] or "9", expected["end"])
        for row, expected in zip(rows, shifted, strict=True)
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
    ("sentence", "assumption"),
    [
        ("a dog runs from left to right, jumps twice", "together was taken"),
        ("a car drives across the picture", "left to right was taken"),
        ("a cat jumps several times", "3 was taken"),
        ("a ball bounces", "three times was taken"),
        ("a dog runs", "to the right was taken"),
        ("a truck drives into the middle", "the left was taken"),
    ],
)
def test_assumptions_are_reported(sentence, assumption) -> None:
    story = parse_sentence(sentence)
    _, sentences = choreograph(story, 12, 8.0, (96, 96))
    assumptions = [*story.assumptions, *sentences]
    assert any(assumption in sentence for sentence in assumptions), assumptions


def test_a_complete_sentence_needs_no_assumptions() -> None:
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
def test_sentences_that_cannot_be_parsed_are_refused(sentence, reason) -> None:
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


@pytest.mark.parametrize(
    ("sentence", "word"),
    [
        ("a cat frolics from left to right", "frolics"),
        ("a cat frolics and runs to the left", "frolics"),
        ("two cats frolic and run to the left", "frolic"),
        ("a cat frolicked and ran left", "frolicked"),
        ("a cat runs and frolics", "frolics"),
        ("a cat runs while frolicking", "frolicking"),
        ("a dog runs away from each other", "one actor"),
    ],
)
def test_unknown_verbs_are_named_and_never_part_of_the_object(sentence, word) -> None:
    with pytest.raises(InputError, match=word):
        parse_sentence(sentence)


@pytest.mark.parametrize(
    ("sentence", "named"),
    [
        ("a dog runs northeast", "'northeast' is not understood"),
        ("a dog walks crabwise to the left", "'crabwise' is not understood"),
        ("a dog runs to the house", "'to the house' names no side"),
        ("a horse gallops over a meadow", "'over a meadow' is scenery"),
        ("a cat happily runs to the left", "'happily' is not understood"),
        ("birds fly over the city", "'birds' leaves the number open; 2 was taken"),
        ("a car drives backwards", "backwards was taken"),
        ("a dog sprints diagonally", "which diagonal"),
    ],
)
def test_words_that_are_not_understood_are_named(sentence, named) -> None:
    story = parse_sentence(sentence)
    assert any(named in assumption for assumption in story.assumptions), story.assumptions
    assert {actor.noun for actor in story.actors} <= {"dog", "horse", "cat", "bird", "car"}


@pytest.mark.parametrize(
    ("sentence", "starts", "ends"),
    [
        ("two dogs run towards each other", (0.14, 0.86), (0.35, 0.65)),
        ("a dog and a cat meet", (0.14, 0.86), (0.35, 0.65)),
        ("two cars drive apart", (0.35, 0.65), (0.14, 0.86)),
        ("two horses gallop away from each other", (0.35, 0.65), (0.14, 0.86)),
        ("two birds fly in opposite directions", (0.35, 0.65), (0.14, 0.86)),
        ("two cars drive past each other", (0.14, 0.86), (0.86, 0.14)),
        ("a car turns left", (0.76,), (0.18,)),
        ("a cat sneaks from left to right", (0.18,), (0.82,)),
    ],
)
def test_directions_across_the_picture(sentence, starts, ends) -> None:
    cast, _ = choreograph(parse_sentence(sentence), 12, 8.0, (100, 100))
    assert [poses.x[0] / 100 for _, poses in cast] == pytest.approx(starts, abs=0.01)
    assert [poses.x[-1] / 100 for _, poses in cast] == pytest.approx(ends, abs=0.01)


@pytest.mark.parametrize(
    ("sentence", "way"),
    [("a spider scuttles in from the top", 1), ("a leaf flutters down", 1), ("a plane takes off", -1)],
)
def test_directions_up_and_down(sentence, way) -> None:
    ((_, poses),) = choreograph(parse_sentence(sentence), 12, 8.0, (100, 100))[0]
    assert (poses.y[-1] - poses.y[0]) * way > 15
