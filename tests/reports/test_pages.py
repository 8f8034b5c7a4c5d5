from __future__ import annotations

import base64
import html
import re

import numpy as np
import pandas as pd
import pytest

from mvmodel.errors import InputError
from mvmodel.motion.motion_map import MotionMap
from mvmodel.reports.conditions import CONDITIONS
from mvmodel.reports.entries import VideoEntry
from mvmodel.reports.pages import write_leaderboard, write_motion_report


@pytest.fixture
def page(tmp_path, videos, rows, provenance, training) -> str:
    quarantined = [{"file": "broken.mp4", "reason": "the file ends in the middle"}]
    path = write_motion_report(
        tmp_path, "gallop", videos, rows, provenance, training, ["A note."], quarantined=quarantined
    )
    assert path == tmp_path / "report.html"
    return path.read_text()


def text_of(page: str) -> str:
    body = re.sub(r"<(style|script|svg).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_it_fetches_nothing(page):
    addresses = re.findall(r'(?:src|href)="([^"]{1,40})', page)
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "default-src 'none'" in page


def test_headlines_come_with_interval_counts_and_what_is_compared(page):
    text = text_of(page)
    assert "IoU 0.750 0.700 to 0.800 (95 %) 2 videos, 2 prompts, 2 seeds" in text
    assert "the same adapter with its mask term switched off reaches 0.150" in text
    assert "an adapter trained on this motion's clips alone" in text
    assert "Consistency is 0.900 while the foreground moves 3.00 pixels per frame" in text


def test_a_mean_of_fewer_videos_says_so(tmp_path, videos, rows, provenance, training):
    fewer_videos = [video for video in videos if (video.condition, video.name) != ("scratch", "r1")]
    fewer = rows[(rows["condition"] != "scratch") | (rows["name"] != "r1")]
    text = text_of(write_motion_report(tmp_path, "gallop", fewer_videos, fewer, provenance, training).read_text())
    assert "From scratch (1 video, where the full method has 0.800) 0.500" in text and "Mask term off 0.150" in text
    assert "Metric Full method Mask term off From scratch (1 video) IoU" in text


def test_every_video_is_inside_and_decodes(page, videos, tmp_path):
    from mvmodel.video.frames import read_frames

    addresses = re.findall(r'<video src="data:video/mp4;base64,([^"]+)"', page)
    assert len(addresses) == len(videos) + 2  # a mask for each of two requests
    path = tmp_path / "first.mp4"
    path.write_bytes(base64.b64decode(addresses[1]))
    frames = read_frames(path)
    small = frames.reshape(6, 128, 2, 128, 2, 3).mean(axis=(2, 4))
    assert np.abs(small - videos[0].frames).mean() < 6


def paper_table(page: str) -> tuple[list[list[str]], list[list[str]]]:
    """Our cells and the paper's, row by row."""
    table = re.search(r'<table class="dense paper">.*?</table>', page, re.DOTALL).group(0)
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", table, re.DOTALL)
    ours = [[text_of(cell) for cell in re.findall(r'<td class="n(?: small)?">(.*?)</td>', row)] for row in rows]
    theirs = [re.findall(r'class="n theirs[^"]*">([\d.–]*)<', row) for row in rows]
    return ours, theirs


def test_the_papers_numbers_are_never_among_ours(page):
    ours, theirs = paper_table(page)
    assert theirs == [["0.330", "0.974", "0.917"], ["–", "–", "0.184"], ["–", "–", "0.908"], ["0.299", "–", "–"]]
    assert ours[0][:3] == ["0.350 0.300 to 0.400, 2 videos", "0.900 0.900 to 0.900, 2 videos", ours[0][2]]
    assert ours[0][2].startswith("0.750") and ours[1][2].startswith("0.150")
    assert ours[2] == ours[3] == ["not measured"] * 5 and ours[0][4] == "not measured"
    assert "were not measured here" in page


def test_an_ablations_metrics_are_in_the_papers_table_with_their_counts(tmp_path, videos, rows):
    metrics = {"full": 0.8, "tuned_without_mask": 0.3, "no_shared_noise": 0.7, "no_control": 0.6, "static_mask": 0.1}
    study = pd.DataFrame(
        [
            {"condition": name, "prompt": f"p{i}", "seed": seed, "iou": iou, "alignment": 0.2, "consistency": 0.9}
            | {"motion": 2.0, "diversity": 0.77 if seed == 0 else np.nan}
            for name, iou in metrics.items()
            for i in range(3)
            for seed in (0, 1000)
        ]
    )
    command = "run the experiment"
    page = write_motion_report(tmp_path, "gallop", videos, rows, {}, study=study, study_command=command).read_text()
    ours, theirs = paper_table(page)
    assert [row[2][:5] for row in ours] == ["0.750", "0.800", "0.300", "0.700", "0.600"]
    assert all(row[2].endswith("6 videos") and row[4] == "0.770 0.770 to 0.770, 3 prompts" for row in ours[1:])
    assert [row[2] for row in theirs] == ["0.917", "", "0.184", "0.908", "–"]
    assert "an adapter tuned without it" in page and command not in page
    without = write_motion_report(tmp_path, "gallop", videos, rows, {}, study_command=command).read_text()
    assert f"To measure the missing values, run <code>{command}</code>" in without


def test_clips_quarantine_notes_and_provenance_are_listed(page):
    text = text_of(page)
    assert "2 clips; 20 steps, 12 seconds, from the pack's start adapter" in text
    assert "broken.mp4 the file ends in the middle" in text
    assert "A note." in text
    assert "Adapter version a1b2c3 seed 7" in text


def test_words_from_outside_cannot_become_markup(page):
    assert "a &lt;b&gt;cow" in page
    assert "<b>cow" not in page


def test_every_picture_and_plot_has_words_for_those_who_cannot_see_it(page):
    assert all('alt="' in tag for tag in re.findall(r"<img[^>]*>", page))
    assert all('aria-label="' in tag for tag in re.findall(r"<video[^>]*>", page))
    plots = re.findall(r"<svg[^>]*role=\"img\"[^>]*>", page)
    assert len(plots) == 3
    assert all("aria-label" in tag for tag in plots)


def test_plots_use_the_pages_colours_and_fonts(page):
    plot = re.search(r'<svg[^>]*role="img".*?</svg>', page, re.DOTALL).group(0)
    assert "var(--full)" in plot
    assert "var(--ink)" in plot
    assert "#0101" not in plot


def test_the_same_inputs_give_the_same_file(tmp_path, videos, rows, provenance, training):
    first, second = (
        write_motion_report(tmp_path / name, "gallop", videos, rows, provenance, training).read_bytes() for name in "ab"
    )
    assert first == second


def test_a_shared_first_frame_is_said_and_another_is_not(tmp_path, videos, rows, page):
    import dataclasses

    assert "start from the same first frame" in page
    changed = [dataclasses.replace(v, frames=v.frames[::-1]) if v.condition == "scratch" else v for v in videos]
    assert "same first frame" not in write_motion_report(tmp_path / "c", "gallop", changed, rows, {}).read_text()


def test_random_weights_are_announced(tmp_path, videos, rows, page):
    random = write_motion_report(tmp_path / "r", "gallop", videos, rows, {"pack": "fake", "random": True}).read_text()
    assert "was never trained" in random
    assert "was never trained" not in page


def test_it_is_written_with_little(tmp_path, videos):
    few = [v for v in videos if v.condition == "full"][:1]
    rows = pd.DataFrame([{"condition": "full", "prompt": few[0].prompt, "iou": 0.5}])
    text = text_of(write_motion_report(tmp_path, "gallop", few, rows, {}).read_text())
    assert "one video, no interval" in text
    nothing = write_motion_report(
        tmp_path / "n", "gallop", [], pd.DataFrame({"condition": [], "prompt": []}), {}
    ).read_text()
    assert "was not measured" in nothing


def test_a_video_and_its_masks_have_to_fit():
    with pytest.raises(InputError, match="do not fit"):
        VideoEntry("x", "p", "full", np.zeros((2, 8, 8, 3), np.uint8), np.zeros((3, 8, 8), bool), 8.0, {})


def test_leaderboard_ranks_links_and_names_regressions(tmp_path, videos, rows):
    worse = rows.assign(iou=rows["iou"] - 0.1)
    history = pd.DataFrame(
        {
            "motion": ["gallop", "gallop", "spin"],
            "version": ["v1", "v2", "v1"],
            "promoted": [True, False, True],
            "iou": [0.7, 0.6, 0.5],
        }
    )
    path = write_leaderboard(
        tmp_path, {"gallop": rows, "spin": worse}, history, videos=videos, reports={"gallop": "gallop/report.html"}
    )
    page = path.read_text()
    text = text_of(page)
    assert path.name == "leaderboard.html"
    assert 'href="gallop/report.html"' in page
    assert "gallop: IoU went from 0.700 to 0.600 with its newest version." in text
    assert text.index("a horse gallops") < text.index("a car gallops")  # the better video first
    assert "0.650" in text  # spin's mean
    assert "gallop v1 yes 0.700" in text


def test_leaderboard_draws_how_the_clips_were_grouped(tmp_path):
    names = [f"clip-{i}" for i in range(7)]
    table = pd.DataFrame(
        {
            "clip": names,
            "motion": ["gallop"] * 3 + ["bouncing-right"] * 3 + [""],
            "selected": [True, False] * 3 + [False],
        }
    )
    trajectories = {name: np.column_stack([np.arange(5.0), np.arange(5.0) * i]) for i, name in enumerate(names)}
    positions = {name: (float(i), float(i % 3)) for i, name in enumerate(names)}
    page = write_leaderboard(tmp_path, {}, motion_map=MotionMap(table, positions, trajectories)).read_text()
    assert "Map of the clips by how they move: bouncing-right 3, gallop 3, without a motion 1" in page
    assert "Trajectories of the clips of each motion, in object sizes: bouncing-right, gallop, without a motion" in page
    assert "How the clips move" not in write_leaderboard(tmp_path, {}).read_text()


def test_motions_are_shown_as_the_manifest_spells_them(videos, rows, tmp_path):
    page = write_motion_report(tmp_path, "motion-d67469", videos, rows, {}, label="跑").read_text()
    assert "跑: motion report" in page
    board = write_leaderboard(tmp_path, {"motion-d67469": rows}, labels={"motion-d67469": "跑"}).read_text()
    assert "跑" in text_of(board)


def test_leaderboard_of_nothing(tmp_path):
    assert "was not measured" in write_leaderboard(tmp_path, {}).read_text()


def test_every_condition_has_a_colour_of_its_own(repository):
    colours = [condition.colour for condition in CONDITIONS.values()]
    assert len(set(colours)) == len(colours)
    style = (repository / "mvmodel/reports/templates/style.css").read_text()
    for colour in colours:
        assert style.count(f"{colour}: #") == 3, f"{colour} in light, dark and print"
