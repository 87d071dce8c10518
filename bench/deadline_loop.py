"""The rehearsal of a deadline, and what the simulator says of the same run: on-demand node-seconds side by side.

The simulator is told for how long the job worked on spot in that run, how fast it was, and how long it took to start on
on-demand; the policy that decides in it is the one that decided in the rehearsal. Given are the medians of all runs.
"""

from __future__ import annotations

import io
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import support
from rich.console import Console

from spotkeeper_lab import scenario
from spotkeeper_lab.live import Lines
from spotkeeper_lab.rehearsal import Rehearsal
from spotkeeper_lab.scenario import Scenario
from spotkeeper_lab.simulator import Job, Market, play
from spotkeeper_lab.simulator.responder import Responder
from spotkeeper_lab.timeline import BACKUP, Timeline
from spotkeeper_responder import Deadline

HOUR = 3600.0


def main() -> None:
    options = support.parser(__doc__)
    options.add_argument("--runs", type=int, default=5, help="how often it is rehearsed (default: %(default)s)")
    asked = options.parse_args()
    rows = [run() for _ in range(asked.runs)]
    off = statistics.median(each["off_%"] for each in rows)
    rows.append({name: statistics.median(each[name] for each in rows) for name in rows[0]})
    title = f"On-demand node-seconds, measured and simulated, medians last; off by {off:.1f} %"
    support.deliver(title, rows, None)
    if asked.json:
        asked.json.write_text(
            json.dumps({"benchmark": "deadline loop", "machine": support.machine(), "rows": rows}, indent=1) + "\n"
        )


def run() -> dict[str, Any]:
    """Rehearse once, and simulate the same."""
    story = scenario.load("deadline")
    with tempfile.TemporaryDirectory() as folder:
        outcome = Rehearsal(story, Path(folder), Lines(Console(file=io.StringIO()))).run()
    if not outcome.report["ok"]:
        raise SystemExit("\n".join(outcome.report["broken_promises"]))
    measured, simulated = on_demand_seconds(outcome.timeline), predicted(story, outcome.timeline)
    finished = outcome.timeline.finished_at
    assert finished is not None
    return {
        "measured_s": measured,
        "simulated_s": simulated,
        "off_%": 100 * (simulated / measured - 1),
        "start_on_demand_s": start_delay(outcome.timeline),
        "to_spare_s": HOUR * story.fleet["deadline"]["hours"] - (finished - outcome.timeline.started_at),
    }


def on_demand_seconds(timeline: Timeline) -> float:
    """Return the node-seconds of on-demand up to the job's end: what is left after that lingers."""
    end = timeline.finished_at or timeline.ended_at
    lives = [life for life in timeline.lives if life.group == BACKUP]
    return sum(min(life.ended_at or end, end) - life.launched_at for life in lives)


def start_delay(timeline: Timeline) -> float:
    """Return the seconds from the launch of on-demand to the job's first step there."""
    launched = min(life.launched_at for life in timeline.lives if life.group == BACKUP)
    return next(each.start for each in timeline.runs if each.group == BACKUP) - launched


def predicted(story: Scenario, timeline: Timeline) -> float:
    """Return the node-seconds of on-demand that the simulator says the run has needed."""
    terms, tick = story.fleet["deadline"], story.durations.cloud["tick_seconds"]
    spot, backup = (next(e for e in timeline.runs if (e.group == BACKUP) is on_demand) for on_demand in (False, True))
    assert backup.last_step is not None
    assert backup.resume_step is not None
    assert timeline.total is not None
    work, delay = HOUR * terms["work_hours"], start_delay(timeline)
    steps_per_second = (backup.last_step - backup.resume_step) / (backup.end - backup.start)
    job = Job(
        work_seconds=work,
        deadline_seconds=HOUR * terms["hours"],
        nodes=story.nodes,
        minimum=1,
        speeds=(steps_per_second * work / timeline.total,) * story.nodes,
        restart_seconds=delay,
    )
    ticks = np.arange(int(2 * job.deadline_seconds / tick)) * tick + timeline.started_at
    assert spot.last_step is not None
    there = (ticks >= spot.start - delay) & (ticks < spot.start + spot.last_step / steps_per_second)
    market = Market(
        name="rehearsal",
        tick_seconds=tick,
        pools=("local",),
        counts=np.where(there, story.nodes, 0)[None, :],
        prices=np.full((1, ticks.size), terms["spot_price"]),
        on_demand_price=terms["on_demand_price"],
    )
    fleet = story.durations.fleet
    restart = 60 * terms["restart_minutes"]
    release = min(restart, fleet["signal_poll_seconds"] + fleet["save_seconds"] + tick)
    policy = Deadline(restart=restart, period=tick, release=release)
    responder = Responder(name="deadline", policy=policy, period=tick, elastic=False)  # one node trains, others wait
    runs = play(job, market.windows([0], ticks.size), responder)
    return float(runs.on_demand_seconds[0])


if __name__ == "__main__":
    main()
