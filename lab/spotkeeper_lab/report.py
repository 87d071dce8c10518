"""The report of a rehearsal as JSON: what was measured, and the durations that it was measured under. Pure.

Every ``*_s`` of an interruption counts from its notice and is null where it did not happen; ``of_notice`` gives the
same numbers as fractions of the notice, so that a rehearsal with short durations can be compared with one in real time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from spotkeeper_lab.evidence import Evidence, lost_between, next_holding, steps_lost
from spotkeeper_lab.proof import broken_promises
from spotkeeper_lab.scenario import Scenario
from spotkeeper_lab.timeline import BACKUP, SPOT, Deploy, Fault, Life, Notice, Strike, Timeline, last
from spotkeeper_ledger import Goodput

LOST_TO: Mapping[str, str] = {
    "saving_seconds": "saving",
    "recomputed_seconds": "steps made again",
    "restart_seconds": "restarts",
    "waiting_seconds": "waiting for a node",
}
"""What a job's time is lost to, in words."""
MEASURED: Mapping[str, str] = {
    "agent_heard_s": "heard_at",
    "signalled_s": "signalled_at",
    "checkpoint_confirmed_s": "confirmed_at",
    "backup_requested_s": "backup_requested_at",
    "backup_serving_s": "backup_serving_at",
    "returned_to_spot_s": "returned_at",
}
"""Name in the report to the time of a :class:`~spotkeeper_lab.timeline.Notice` that it is counted to."""


def build(
    scenario: Scenario, evidence: Evidence, calls: Mapping[str, Mapping[str, int]], *, cloud: str = "aws"
) -> dict[str, Any]:
    """Return the report.

    Args:
        scenario: What was played.
        evidence: What came out.
        calls: Caller to operation to how many calls it made of the cloud's interfaces.
        cloud: Name of the cloud.
    """
    timeline, notice_seconds = evidence.timeline, scenario.notice_seconds(cloud)
    broken = broken_promises(evidence)
    return {
        "cloud": cloud,
        "scenario": scenario.name,
        "description": scenario.description,
        "nodes": scenario.nodes,
        "seconds": round(timeline.ended_at - timeline.started_at, 1),
        "durations": {**scenario.durations.plain(cloud), "notice_seconds": notice_seconds},
        "ok": not broken,
        "broken_promises": broken,
        "interruptions": [_interruption(notice, timeline, notice_seconds) for notice in timeline.interruptions],
        "strikes": [_strike(strike, timeline) for strike in timeline.strikes],
        "faults": [_fault(fault, timeline) for fault in timeline.faults],
        "launches_failed": dict(Counter(why for _, why in timeline.blocked)),
        "alarms": [
            {"name": alarm.name, "rang_s": _since(timeline.started_at, alarm.at), "reason": alarm.reason}
            for alarm in timeline.alarms
        ],
        "forgeries": {sort: dict(outcomes) for sort, outcomes in timeline.forgeries.items()},
        "deploys": [_deploy(deploy, timeline) for deploy in timeline.deploys],
        "lives": [_life(life, timeline) for life in timeline.lives],
        "training": _training(evidence) if evidence.trains else None,
        "capacity": {
            "spot_node_s": _node_seconds(timeline, SPOT),
            "on_demand_node_s": _node_seconds(timeline, BACKUP),
        },
        f"{cloud}_calls": _calls(timeline, calls),
    }


def _interruption(notice: Notice, timeline: Timeline, notice_seconds: float) -> dict[str, Any]:
    after = {name: _since(notice.at, getattr(notice, field)) for name, field in MEASURED.items()}
    fractions = {
        name.removesuffix("_s"): round(seconds / notice_seconds, 3) if seconds is not None and notice_seconds else None
        for name, seconds in after.items()
    }
    return {
        "node": notice.node,
        "kind": notice.kind,
        "held_job": notice.held_job,
        "notice_at": round(notice.at, 3),
        "deadline": None if notice.deadline is None else round(notice.deadline, 3),
        "step": notice.step,
        "confirmed_step": notice.confirmed_step,
        **after,
        "reclaimed_s": _since(notice.at, notice.gone_at),
        "steps_lost": _lost(timeline, notice),
        "notice_s": notice_seconds,
        "of_notice": fractions,
        "started_s": _since(timeline.started_at, notice.at),
    }


def _strike(strike: Strike, timeline: Timeline) -> dict[str, Any]:
    after = next_holding(timeline, strike.at) if strike.held_job else None
    return {
        "node": strike.node,
        "how": strike.how,
        "held_job": strike.held_job,
        "started_s": _since(timeline.started_at, strike.at),
        "step": strike.step,
        "published_step": last(timeline.saved, strike.at) if strike.held_job else None,
        "taken_over_s": _since(strike.at, after.start if after else None),
        "steps_lost": _lost(timeline, strike),
        "backup_requested_s": _since(strike.at, strike.backup_requested_at),
        "backup_serving_s": _since(strike.at, strike.backup_serving_at),
        "publish_refused_s": _since(strike.at, strike.refused_at),
        "woken_s": _since(strike.at, strike.until),
        "gone_s": _since(strike.at, strike.gone_at),
        "returned_to_spot_s": _since(strike.at, strike.returned_at),
    }


def _lost(timeline: Timeline, blow: Notice | Strike) -> int | None:
    """Return how many steps the node that held the job had done in vain; ``None`` for other nodes."""
    before = [each for each in timeline.runs if blow.node in each.nodes and each.start < blow.at]
    after = next_holding(timeline, blow.at) if blow.held_job else None
    return lost_between(before[-1], after) if before and after else None


def _fault(fault: Fault, timeline: Timeline) -> dict[str, Any]:
    return {
        **fault.detail,
        "kind": fault.kind,
        "from_s": _since(timeline.started_at, fault.began_at),
        "to_s": _since(timeline.started_at, fault.ended_at),
    }


def _deploy(deploy: Deploy, timeline: Timeline) -> dict[str, Any]:
    return {
        "change": deploy.change,
        "started_s": _since(timeline.started_at, deploy.began_at),
        "took_s": _since(deploy.began_at, deploy.ended_at),
        "changed": list(deploy.changed),
        "deleted": list(deploy.deleted),
        "left": list(deploy.left),
    }


def _life(life: Life, timeline: Timeline) -> dict[str, Any]:
    return {
        "node": life.node,
        "group": life.group,
        "version": life.version,
        "launched_s": _since(timeline.started_at, life.launched_at),
        "serving_s": _since(timeline.started_at, life.serving_at),
        "ended_s": _since(timeline.started_at, life.ended_at),
        "ended_by": "taken" if life.reclaimed else life.left.why if life.left else None,
    }


def _since(start: float, at: float | None) -> float | None:
    return None if at is None else round(at - start, 3)


def _training(evidence: Evidence) -> dict[str, Any]:
    timeline = evidence.timeline
    moves = timeline.runs[1:]
    held = next((blow for blow in timeline.blows if blow.held_job), None)
    went_on = next((each for each in moves if held and each.start >= held.at), None)
    return {
        "steps": timeline.total if timeline.finished_at is not None else last(timeline.steps, timeline.ended_at),
        "finished": timeline.finished_at is not None,
        "goodput": _goodput(timeline.goodput),
        "steps_lost": steps_lost(timeline),
        "resumed": went_on is not None and bool(went_on.resume_step),
        "resumed_on": went_on.node if went_on else None,
        "resumed_ranks": len(went_on.nodes) if went_on else None,
        "resume_step": went_on.resume_step if went_on else None,
        "resume_step_after_destruction": evidence.resumed_step,
        "digest": evidence.digest,
        "uninterrupted_digest": evidence.uninterrupted_digest,
        "ranks": timeline.ranks,
        "samples": evidence.final.get("samples"),
        "uninterrupted_samples": evidence.uninterrupted.get("samples"),
        "accuracy": evidence.final.get("accuracy"),
        "uninterrupted_accuracy": evidence.uninterrupted.get("accuracy"),
        "moves": [
            {
                "generation": each.generation,
                "node": each.node,
                "others": list(each.others),
                "group": each.group,
                "resume_step": each.resume_step,
            }
            for each in moves
        ],
    }


def _goodput(goodput: Goodput | None) -> dict[str, Any] | None:
    """Return where the job's time has gone, as its agents have accounted for it."""
    if goodput is None or goodput.fraction is None:
        return None
    causes = {name: round(getattr(goodput, name), 2) for name in ("useful_seconds", *LOST_TO)}
    return {"fraction": round(goodput.fraction, 4), **causes}


def _node_seconds(timeline: Timeline, group: str) -> float:
    lives = [life for life in timeline.lives if life.group == group]
    return round(sum((life.ended_at or timeline.ended_at) - life.launched_at for life in lives), 1)


def _calls(timeline: Timeline, calls: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    shown = {caller: dict(sorted(calls.get(caller, {}).items())) for caller in ("responder", "agents")}
    return {
        "responder": sum(shown["responder"].values()),
        "agents": sum(shown["agents"].values()),
        "by_operation": shown,
        "per_interruption": _per_interruption(timeline),
    }


def _per_interruption(timeline: Timeline) -> float | None:
    """Return how many calls the responder made for each noticed node.

    Counted from the first notice until the last noticed node was gone; ticks are among them.
    """
    notices = [notice for notice in timeline.interruptions if notice.gone_at is not None]
    if not notices:
        return None
    start, end = min(notice.at for notice in notices), max(notice.gone_at or 0 for notice in notices)
    made = (last(timeline.calls, end) or 0) - (last(timeline.calls, start) or 0)
    return round(made / len(notices), 1)
