from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from lab_support import START, recovered
from spotkeeper_lab import picture
from spotkeeper_lab.timeline import BACKUP, SPOT


def share(path, color: str) -> float:
    """How much of the picture has a color."""
    pixels = imread(path)[:, :, :3]
    return float(np.mean(np.all(np.abs(pixels - np.array(to_rgb(color))) < 0.01, axis=2)))


def test_it_shows_who_ran_the_job_who_was_spare_and_what_was_saved(tmp_path):
    path = tmp_path / "timeline.png"
    picture.draw(recovered(), path, title="one-interruption", subtitle="notice 8 s")
    height, width, _ = imread(path).shape
    assert width > 1200
    assert height > 500
    for color in (
        picture.STRONG[SPOT],
        picture.LIGHT[SPOT],
        picture.LIGHT[BACKUP],
        picture.IDLE,
        picture.SAVED,
        picture.WARNED,
    ):
        assert share(path, color) > 0.0002


def test_the_job_on_an_on_demand_node_is_shown_in_its_color(tmp_path):
    calm = tmp_path / "calm.png"
    bridge = tmp_path / "bridge.png"
    timeline = recovered()
    picture.draw(timeline, calm, title="x")
    holding = replace(timeline.holdings[1], node="i-backup", group=BACKUP, start=START + 13, end=START + 23)
    picture.draw(replace(timeline, holdings=[timeline.holdings[0], holding]), bridge, title="x")
    assert share(bridge, picture.STRONG[BACKUP]) > share(calm, picture.STRONG[BACKUP]) + 0.01


def test_all_nodes_that_run_the_job_together_are_shown_to_run_it_as_long_as_they_live(tmp_path):
    alone, together, longer = (tmp_path / f"{name}.png" for name in ("alone", "together", "longer"))
    timeline = recovered()
    first, second = timeline.holdings
    picture.draw(timeline, alone, title="x")
    picture.draw(replace(timeline, holdings=[first, replace(second, others=("i-spot-c",))]), together, title="x")
    assert share(together, picture.STRONG[SPOT]) > share(alone, picture.STRONG[SPOT]) + 0.01
    past_its_end = [replace(first, others=("i-spot-b",), end=START + 34)]
    up_to_its_end = [replace(first, others=("i-spot-b",), end=START + 33)]
    picture.draw(replace(timeline, holdings=past_its_end, steps=[]), longer, title="x")
    picture.draw(replace(timeline, holdings=up_to_its_end, steps=[]), together, title="x")
    difference = share(longer, picture.STRONG[SPOT]) - share(together, picture.STRONG[SPOT])
    assert abs(difference) < 0.0005, "nobody runs it any longer"


def test_more_nodes_make_it_higher(tmp_path):
    few, many = tmp_path / "few.png", tmp_path / "many.png"
    timeline = recovered()
    picture.draw(timeline, few, title="x")
    picture.draw(replace(timeline, lives=[*timeline.lives, *timeline.lives]), many, title="x")
    assert imread(many).shape[0] > imread(few).shape[0] + 150


def test_a_rehearsal_in_which_nothing_came_about_can_be_drawn(tmp_path):
    path = tmp_path / "empty.png"
    empty = replace(
        recovered(),
        lives=[],
        holdings=[],
        notices=[],
        steps=[],
        saved=[],
        desired={SPOT: [], BACKUP: []},
        finished_at=None,
    )
    picture.draw(empty, path, title="x")
    assert path.stat().st_size > 1000


def test_the_longest_name_of_a_node_is_shown_whole(tmp_path):
    told = recovered()
    lives = [replace(life, node=f"backup-{number:04d}.046", group=BACKUP) for number, life in enumerate(told.lives)]
    path = tmp_path / "timeline.png"
    picture.draw(replace(told, lives=lives), path, title="gcp", subtitle="notice 8 s")
    edge = imread(path)[:, :12, :3]
    assert np.all(edge == np.array(to_rgb(picture.PAPER))), "something reaches the left edge"
