"""A rehearsal that went well, as facts: what the tests of proof, report and picture bend in one place each."""

from __future__ import annotations

from spotkeeper_lab.timeline import BACKUP, SPOT, Departure, Holding, Life, Notice, Shape, Timeline

START = 1_800_000_000.0


def recovered() -> Timeline:
    """Two spot nodes; the one with the job is interrupted at 10 s, one on-demand node is bought, and given back at
    24 s."""
    at = START.__add__
    return Timeline(
        shape=Shape(spot_target=2, base=0, maximum=2, steps_per_epoch=23),
        started_at=START,
        ended_at=at(34),
        lives=[
            Life("i-spot-a", SPOT, at(0), serving_at=at(3), ended_at=at(18), reclaimed=True),
            Life("i-spot-b", SPOT, at(0), serving_at=at(3.2), ended_at=at(33), left=Departure(at(32), "named")),
            Life("i-backup", BACKUP, at(10.6), serving_at=at(13), ended_at=at(24), left=Departure(at(23.5), "named")),
            Life("i-spot-c", SPOT, at(19), serving_at=at(21), ended_at=at(33), left=Departure(at(32), "named")),
        ],
        holdings=[
            Holding(1, "i-spot-a", SPOT, at(3), at(11), resume_step=0, last_step=130),
            Holding(2, "i-spot-b", SPOT, at(11), at(30), resume_step=130, last_step=460),
        ],
        notices=[
            Notice(
                "i-spot-a", "interruption", SPOT, at(10), deadline=at(18), injected=True, held_job=True, step=125,
                heard_at=at(10.2), signalled_at=at(10.7), commands=1, confirmed_at=at(10.4), confirmed_step=130,
                gone_at=at(18),
                backup_requested_at=at(10.5), backup_serving_at=at(13), returned_at=at(24),
            ),
            Notice(
                "i-backup", "drain", BACKUP, at(23), heard_at=at(23.2), signalled_at=at(23), commands=1,
                confirmed_at=at(23.3), hook_completed_at=at(23.9), gone_at=at(24),
            ),
        ],
        desired={SPOT: [(at(0), 2), (at(32), 0)], BACKUP: [(at(0), 0), (at(10.5), 1), (at(24), 0)]},
        steps=[(at(3.5 + n), min(460, 17 * (n + 1) + (0 if n < 7 else 2))) for n in range(27)],
        saved=[(at(8), 90), (at(10.4), 130), (at(16), 220), (at(21), 300), (at(30), 460)],
        announced=[(at(30.5), "Spotkeeper: The job has finished (shop-prod-digits)")],
        total=460,
        calls=[(at(0), 0), (at(9), 20), (at(17), 60), (at(20), 70)],
        finished_at=at(30),
    )  # fmt: skip
