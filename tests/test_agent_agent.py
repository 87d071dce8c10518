"""The agent as a whole: real processes, a real ledger in a folder, a metadata service that the test writes."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_process_support import AgentProcess, Nodes, alive
from agent_support import FLEET, wait_until
from ledger_support import Answer, Asked, answering
from spotkeeper_ledger import ANY, keys
from spotkeeper_ledger.run_dir import LocalNotice, read
from spotkeeper_training import CheckpointStore, StaleGeneration

DIGITS = f"exec {sys.executable} -m spotkeeper_lab.trainers.digits --epochs 500 --pace 0.02 --save-every 0.3"
SLEEP = "exec sleep 600"
STUBBORN = "trap '' TERM; while :; do sleep 0.1; done"


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with Nodes(tmp_path) as started:
        started.fleet.write_spec()
        yield started


def published_step(nodes: Nodes) -> int | None:
    latest = CheckpointStore(nodes.fleet.checkpoint_uri, generation=10**6).latest()
    return latest.step if latest else None


def diary(node: AgentProcess) -> list[dict[str, object]]:
    path = node.run_dir / "trainer.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_notice_costs_no_step_and_the_spare_goes_on_at_once(nodes: Nodes) -> None:
    first = nodes.start("i-1", DIGITS, lease_seconds=60)
    wait_until(lambda: nodes.fleet.holder() == "i-1")
    second = nodes.start("i-2", DIGITS, lease_seconds=60)
    wait_until(lambda: nodes.fleet.report("i-2"))
    wait_until(lambda: published_step(nodes), what="a periodic checkpoint")

    deadline = first.interrupt(20)
    wait_until(lambda: nodes.fleet.holder() == "i-2", what="the spare takes over")
    assert time.time() < deadline - 10, "a lease of 60 s was not waited for, nor the deadline"

    report = wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.exit_reason and r)
    notice = nodes.fleet.notice("i-1")
    assert notice is not None
    assert (notice.kind, notice.deadline, notice.source, notice.drill) == ("interruption", deadline, "imds", False)
    assert report.notice_id == notice.notice_id == "i-1:leaving"
    assert (report.exit_code, report.exit_reason, report.restarts) == (75, "notice", 0)
    assert report.confirmed_step is not None
    assert report.confirmed_at is not None
    started = wait_until(lambda: diary(second))
    assert started[0]["resume_step"] == report.confirmed_step == diary(first)[-1]["step"]
    generation = nodes.fleet.generation
    assert generation is not None
    assert (generation.number, generation.state, len(generation.members)) == (2, "running", 1)


def test_a_spare_confirms_at_once_that_it_has_nothing_to_save(nodes: Nodes) -> None:
    nodes.start("i-1", SLEEP)
    wait_until(lambda: nodes.fleet.holder() == "i-1")
    spare = nodes.start("i-2", SLEEP)
    wait_until(lambda: nodes.fleet.report("i-2"))
    spare.interrupt(20)
    report = wait_until(lambda: (r := nodes.fleet.report("i-2")) and r.confirmed_at and r)
    assert (report.notice_id, report.confirmed_step, report.generation) == ("i-2:leaving", None, None)
    assert nodes.fleet.holder() == "i-1"


def test_a_node_under_notice_never_takes_the_job(nodes: Nodes) -> None:
    nodes.fleet.board.delete(keys.spec(FLEET))  # without it no agent takes part yet
    leaving = nodes.start("i-1", SLEEP)
    leaving.interrupt(60)
    wait_until(lambda: nodes.fleet.notice("i-1"))
    nodes.fleet.write_spec()
    wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.confirmed_at)
    taker = nodes.start("i-2", SLEEP, notice_seconds=2)
    wait_until(lambda: nodes.fleet.holder() == "i-2")
    taker.send(signal.SIGTERM)
    taker.process.wait(10)
    generation = nodes.fleet.generation
    assert generation is not None
    assert generation.state == "ending"
    # Five looks at a job that is free to be taken, and it is still not taken.
    seen = nodes.fleet.report("i-1")
    wait_until(lambda: (r := nodes.fleet.report("i-1")) and seen and r.at > seen.at + 1)
    assert nodes.fleet.generation == generation


def test_a_rebalance_is_saved_and_training_goes_on(nodes: Nodes) -> None:
    node = nodes.start("i-1", DIGITS, rebalance_expiry_seconds=2.0)
    wait_until(lambda: nodes.fleet.progress and (nodes.fleet.progress.step or 0) > 5)
    pid = node.job_pid()
    node.metadata.values["events/recommendations/rebalance"] = '{"noticeTime": "2026-01-31T08:22:00Z"}'
    report = wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.confirmed_step and r)
    assert report.notice_id == "i-1:rebalance"
    local = read(node.run_dir, LocalNotice)
    assert local is not None
    assert (local.leaving, local.deadline) == (False, None)
    wait_until(lambda: read(node.run_dir, LocalNotice) is None, what="the recommendation expires")
    wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.notice_id == "")
    assert node.job_pid() == pid
    assert nodes.fleet.holder() == "i-1"


def test_a_drill_acts_the_same_is_marked_and_is_over_at_its_deadline(nodes: Nodes) -> None:
    node = nodes.start("i-1", DIGITS)
    wait_until(lambda: nodes.fleet.progress and (nodes.fleet.progress.step or 0) > 5)
    nodes.fleet.signal("i-1", "interruption", time.time() + 3, drill=True)
    report = wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.confirmed_step and r)
    assert report.exit_code in (None, 75)
    notice = nodes.fleet.notice("i-1")
    assert notice is not None
    assert (notice.drill, notice.source) == (True, "signal")
    # The signal is still on the board, and the node takes part again all the same.
    wait_until(lambda: (g := nodes.fleet.generation) and g.number == 2 and g.state == "running")
    again = wait_until(lambda: diary(node)[-1]["event"] == "start" and diary(node)[-1])
    assert again["resume_step"] == report.confirmed_step


def test_a_job_saves_each_time_that_it_is_asked_to_and_goes_on(nodes: Nodes) -> None:
    node = nodes.start("i-1", DIGITS.replace("--save-every 0.3", "--save-every 1000"))
    wait_until(lambda: nodes.fleet.progress and (nodes.fleet.progress.step or 0) > 5)
    pid, step = node.job_pid(), 0
    for times in (1, 2, 3):
        nodes.fleet.signal("i-1", "rebalance", drill=True)
        wait_until(lambda times=times: len(node.logged("confirmed")) == times, what=f"save {times}")
        confirmed = node.logged("confirmed")[-1]["step"]
        assert confirmed > step
        step = confirmed
        wait_until(lambda step=step: nodes.fleet.progress and nodes.fleet.progress.published_step == step)
        wait_until(lambda step=step: nodes.fleet.progress and (nodes.fleet.progress.step or 0) > step + 20)
    assert node.job_pid() == pid
    assert nodes.fleet.notice("i-1") is None, "nobody else has anything to do for it"


def test_a_job_that_ignores_every_word_is_stopped_before_the_deadline(nodes: Nodes) -> None:
    node = nodes.start("i-1", STUBBORN)
    pid = wait_until(node.job_pid)
    deadline = node.interrupt(12)  # a tenth of it is left for the end, which a busy machine needs
    wait_until(lambda: not alive(pid), what="the job is killed")
    assert time.time() < deadline
    report = wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.exit_reason and r)
    assert (report.exit_reason, report.confirmed_step, report.confirmed_at) == ("notice", None, None)
    assert node.logged("job-terminate")[0]["at"] < deadline
    assert nodes.fleet.generation is not None
    wait_until(lambda: (g := nodes.fleet.generation) and g.state == "ending")


def test_a_job_that_finishes_is_finished_for_the_whole_fleet(nodes: Nodes) -> None:
    nodes.start("i-1", "echo done")
    wait_until(lambda: (p := nodes.fleet.progress) and p.state == "finished")
    generation = nodes.fleet.generation
    assert generation is not None
    assert (generation.state, generation.reason, generation.number) == ("finished", "finished", 1)
    other = nodes.start("i-2", "echo again")
    seen = wait_until(lambda: nodes.fleet.report("i-2"))
    wait_until(lambda: (r := nodes.fleet.report("i-2")) and r.at > seen.at + 1)
    assert not other.logged("job-start")
    assert nodes.fleet.generation == generation


def test_crashes_are_restarted_within_the_budget_and_then_the_job_has_failed(nodes: Nodes) -> None:
    node = nodes.start("i-1", "exit 3", max_restarts=1)
    progress = wait_until(lambda: (p := nodes.fleet.progress) and p.state == "failed" and p)
    assert (progress.exit_code, progress.generation, progress.nodes) == (3, 1, 1)
    report = wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.exit_reason == "failed" and r)
    assert (report.restarts, report.exit_code) == (1, 3)
    assert [said["attempt"] for said in node.logged("job-start")] == [1, 2]
    generation = nodes.fleet.generation
    assert generation is not None
    assert (generation.state, generation.reason) == ("finished", "failed")


def test_a_dead_holder_is_replaced_after_the_lease_and_not_before(nodes: Nodes) -> None:
    holder = nodes.start("i-1", DIGITS)
    wait_until(lambda: nodes.fleet.holder() == "i-1")
    nodes.start("i-2", DIGITS)
    wait_until(lambda: nodes.fleet.report("i-2"))
    wait_until(lambda: published_step(nodes))
    job = wait_until(holder.job_pid)
    holder.send(signal.SIGKILL)
    died = time.monotonic()
    wait_until(lambda: nodes.fleet.holder() == "i-2")
    assert time.monotonic() - died >= 1.0, "a lease of 1.5 s, renewed every 0.5 s"
    # The dead agent's job is still there: it is fenced off, and ends by itself.
    wait_until(lambda: not alive(job), what="the orphan finds that it was replaced")
    assert [said["event"] for said in diary(holder)] == ["start", "fenced"], "it did not stop for a notice"


def test_a_zombie_kills_its_job_and_its_checkpoint_is_refused(nodes: Nodes) -> None:
    zombie = nodes.start("i-1", SLEEP)
    wait_until(lambda: nodes.fleet.holder() == "i-1")
    store = CheckpointStore(nodes.fleet.checkpoint_uri, generation=1)
    store.begin()
    store.publish(10, {"a": b"first"})
    job = wait_until(zombie.job_pid)
    nodes.start("i-2", SLEEP)
    nodes.freeze(zombie)
    wait_until(lambda: nodes.fleet.holder() == "i-2")
    CheckpointStore(nodes.fleet.checkpoint_uri, generation=2).begin()  # what the new holder's job does first
    assert alive(job)
    with pytest.raises(StaleGeneration) as refused:
        store.publish(20, {"a": b"too late"})
    assert refused.value.code == 76
    zombie.send(signal.SIGCONT)
    wait_until(lambda: not alive(job), what="the zombie kills its job")
    report = wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.exit_reason and r)
    assert (report.exit_reason, report.generation) == ("lost", None)


def test_a_zombie_whose_job_has_failed_does_not_fail_the_fleet(nodes: Nodes) -> None:
    fail = nodes.folder / "fail"
    command = f"while [ ! -e {fail} ]; do sleep 0.05; done; exit 1"
    zombie = nodes.start("i-1", command, max_restarts=0)
    wait_until(lambda: nodes.fleet.holder() == "i-1")
    job = wait_until(zombie.job_pid)
    nodes.start("i-2", SLEEP)
    nodes.freeze(zombie)
    wait_until(lambda: nodes.fleet.holder() == "i-2")
    fail.touch()
    wait_until(lambda: not alive(job))
    zombie.send(signal.SIGCONT)
    wait_until(lambda: zombie.logged("job-exit") and zombie.logged("lease-lost"))
    seen = nodes.fleet.report("i-1")
    wait_until(lambda: (r := nodes.fleet.report("i-1")) and seen and r.at > seen.at)
    assert nodes.fleet.progress is None
    assert nodes.fleet.holder() == "i-2"


def test_the_hook_is_completed_after_the_checkpoint_and_not_before(nodes: Nodes) -> None:
    calls: list[tuple[float, str]] = []

    def answer(asked: Asked) -> Answer:
        calls.append((time.time(), asked.body.decode()))
        return Answer(body=b"<ok/>")

    with answering(answer) as scaling:
        env = {
            "AWS_ENDPOINT_URL_AUTO_SCALING": scaling.url,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        node = nodes.start("i-1", DIGITS, on_demand=True, env=env, hook_seconds=30)
        wait_until(lambda: nodes.fleet.progress and (nodes.fleet.progress.step or 0) > 5)
        node.metadata.values["autoscaling/target-lifecycle-state"] = "Terminated"
        wait_until(lambda: any("CompleteLifecycleAction" in body for _, body in calls))
    at, completed = next((at, body) for at, body in calls if "CompleteLifecycleAction" in body)
    assert "AutoScalingGroupName=the-backup-group" in completed
    assert "LifecycleHookName=spotkeeper-terminate" in completed
    assert "InstanceId=i-1" in completed
    report = nodes.fleet.report("i-1")
    assert report is not None
    assert report.confirmed_step is not None
    assert report.confirmed_at is not None
    assert report.confirmed_at <= at
    assert len([body for _, body in calls if "CompleteLifecycleAction" in body]) == 1


def test_sigterm_saves_frees_the_job_and_tells_the_responder_nothing(nodes: Nodes) -> None:
    node = nodes.start("i-1", DIGITS, notice_seconds=60)
    wait_until(lambda: nodes.fleet.progress and (nodes.fleet.progress.step or 0) > 5)
    node.send(signal.SIGTERM)
    assert node.process.wait(15) == 0
    assert diary(node)[-1]["event"] == "stop"
    assert published_step(nodes) == diary(node)[-1]["step"]
    generation = nodes.fleet.generation
    assert generation is not None
    assert generation.state == "ending"
    assert nodes.fleet.notice("i-1") is None, "an agent that is restarted is no node that goes"


def test_training_goes_on_while_the_ledger_is_away(nodes: Nodes) -> None:
    node = nodes.start("i-1", DIGITS)
    wait_until(lambda: nodes.fleet.progress and (nodes.fleet.progress.step or 0) > 5)
    pid = node.job_pid()
    ledger = nodes.folder / "ledger"
    ledger.rename(nodes.folder / "away")
    ledger.write_text("a file where a folder is expected")
    wait_until(lambda: node.logged("ledger-failing") and node.logged("sending-fails"))
    before = diary(node)
    ledger.unlink()
    (nodes.folder / "away").rename(ledger)
    seen = nodes.fleet.report("i-1")
    wait_until(lambda: (r := nodes.fleet.report("i-1")) and seen and r.at > seen.at)
    wait_until(lambda: node.logged("ledger-back"))
    assert (node.job_pid(), diary(node)) == (pid, before), "the same process, never stopped"
    assert nodes.fleet.holder() == "i-1"


def test_rubbish_from_everywhere_changes_nothing(nodes: Nodes) -> None:
    node = nodes.start("i-1", SLEEP)
    pid = wait_until(node.job_pid)
    board = nodes.fleet.board
    board.write(keys.signals(FLEET), b'{"fleet": 7, "signals": "none"', expect=ANY)
    node.metadata.faults["events/recommendations/rebalance"] = 500
    node.metadata.values["spot/instance-action"] = "<html>captive portal</html>"
    wait_until(lambda: len({said["source"] for said in node.logged("source-failing")}) == 3)
    del node.metadata.faults["events/recommendations/rebalance"]
    del node.metadata.values["spot/instance-action"]
    wait_until(lambda: len({said["source"] for said in node.logged("source-back")}) == 3)
    assert node.job_pid() == pid
    nodes.fleet.signal("i-1", "drain", time.time() + 20)
    wait_until(lambda: (n := nodes.fleet.notice("i-1")) and n.kind == "drain")
