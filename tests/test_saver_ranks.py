"""Several ranks that save behind training's back: one checkpoint of all of them, or none, and training goes on."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from agent_support import wait_until
from checkpoint_support import head
from rank_support import LEAVING, REBALANCE
from saver_support import Gate
from spotkeeper_agent.agreement import Coordinator, Wanted
from spotkeeper_agent.council import LocalRanks
from spotkeeper_ledger import Unavailable, run_dir
from spotkeeper_ledger.run_dir import Confirmation, LocalNotice
from spotkeeper_training import Checkpoint, CheckpointGuard, CheckpointStore, Saver, StaleGeneration, from_parts
from spotkeeper_training.pending import DoesNotFit, Pace

SIZE, GENERATION = 20_000, 1


def state(rank: int, step: int) -> dict[str, Any]:
    return {"w": numpy.full(SIZE, float(1000 * rank + step)), "step": step}


class Ranks:
    """Several ranks on one folder, each with a store whose uploads can be held back, and a saver."""

    def __init__(self, folder: Path, size: int, **options: Any) -> None:
        self.uri, self.size = folder.as_uri(), size
        self.stores = self.opened(GENERATION)
        self.gates = [Gate(store) for store in self.stores]
        self.savers = [Saver(store, like=state(0, 0), **options) for store in self.stores]

    def opened(self, generation: int) -> list[CheckpointStore]:
        stores = [
            CheckpointStore(self.uri, generation=generation, rank=rank, world_size=self.size, transfer_seconds=60.0)
            for rank in range(self.size)
        ]
        for store in stores:
            store.begin()
        return stores

    def save(self, step: int, **options: float) -> list[Any]:
        """Save on all ranks; what they hold changes as soon as that returns."""
        pending = []
        for rank, saver in enumerate(self.savers):
            held = state(rank, step)
            pending.append(saver.save(step, held, **options))
            held["w"][:] = -1.0
        return pending

    def saved(self, step: int) -> Checkpoint:
        """Save on all ranks, and return the checkpoint when all of them have it."""
        found = {one.result(60) for one in self.save(step)}
        assert len(found) == 1
        assert self.whole() == step
        return found.pop()

    def whole(self) -> int:
        """The step of the latest checkpoint, of which each rank's shard is what that rank held after this step."""
        store = CheckpointStore(self.uri, generation=10**6)
        latest = store.latest()
        assert latest is not None
        shards = {rank: from_parts(parts) for rank, parts in store.load(latest, ranks=range(self.size)).shards.items()}
        assert sorted(shards) == list(range(self.size))
        for rank, found in shards.items():
            assert found["step"] == latest.step
            assert (found["w"] == 1000 * rank + latest.step).all()
        return latest.step

    @property
    def named(self) -> set[int]:
        """Steps of all manifests: what was ever published."""
        manifests = Path(self.uri.removeprefix("file://"), "manifests")
        return {json.loads(path.read_bytes())["step"] for path in manifests.iterdir()}


def test_ranks_train_on_while_one_of_them_uploads_and_nothing_is_published_without_it(tmp_path: Path) -> None:
    ranks = Ranks(tmp_path, 3)
    before = ranks.saved(10)
    ranks.gates[2].shut()
    pending = ranks.save(11)
    assert ranks.gates[2].reached.wait(60)
    assert not any(one.done for one in pending)
    assert all(saver.busy for saver in ranks.savers)
    assert (head(ranks.uri).step, head(ranks.uri).manifest) == (10, before.manifest)
    assert ranks.whole() == 10
    ranks.gates[2].open.set()
    assert [one.result(60).step for one in pending] == [11, 11, 11]
    assert ranks.whole() == 11
    assert head(ranks.uri).previous == before.manifest


def test_flush_under_a_deadline_leaves_the_checkpoint_before_until_all_shards_are_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ranks = Ranks(tmp_path, 3)
    ranks.saved(10)
    ranks.gates[1].shut()
    pending = ranks.save(11)
    assert [saver.flush(0.05) for saver in ranks.savers] == [None] * 3
    assert caplog.text.count("step 11 was not published within 0.1 s") == 3
    assert ranks.whole() == 10
    ranks.gates[1].open.set()
    assert [saver.flush(60) for saver in ranks.savers] == [pending[0].result()] * 3
    assert ranks.whole() == 11


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_where_one_ranks_save_fails_none_is_published_and_the_next_one_is(tmp_path: Path, failing: int) -> None:
    ranks = Ranks(tmp_path, 3)
    before = ranks.saved(10)
    ranks.gates[failing].failing = True
    for one in ranks.save(11, deadline_seconds=1.0):
        assert one.wait(60)
        assert isinstance(one.error, Unavailable)
    ranks.gates[failing].failing = False
    assert (head(ranks.uri).step, head(ranks.uri).manifest) == (10, before.manifest)
    assert ranks.named == {10}
    assert ranks.whole() == 10
    for saver in ranks.savers:
        with pytest.raises(Unavailable):
            saver.raise_failure()
    ranks.saved(12)
    assert head(ranks.uri).previous == before.manifest
    assert ranks.named == {10, 12}


def test_a_step_that_has_failed_may_be_saved_again(tmp_path: Path) -> None:
    """What the first try has left of the other ranks' shards does no harm."""
    ranks = Ranks(tmp_path, 2)
    ranks.gates[1].failing = True
    for one in ranks.save(10, deadline_seconds=0.5):
        assert one.wait(60)
    ranks.gates[1].failing = False
    for saver in ranks.savers:
        with pytest.raises(Unavailable):
            saver.flush()
    ranks.saved(10)


def test_where_one_ranks_save_does_not_fit_into_the_time_the_others_do_not_publish_it(tmp_path: Path) -> None:
    ranks = Ranks(tmp_path, 2)
    ranks.saved(10)
    slow = Pace()
    slow.add(8 * SIZE, 20.0)
    ranks.savers[1]._publishing = slow
    first = ranks.savers[0].save(11, state(0, 11), deadline_seconds=1.0)
    with pytest.raises(DoesNotFit):
        ranks.savers[1].save(11, state(1, 11), deadline_seconds=1.0)
    assert first.wait(60)
    assert isinstance(first.error, Unavailable)
    assert (ranks.whole(), ranks.named) == (10, {10})


def test_saves_wait_their_turn_on_every_rank(tmp_path: Path) -> None:
    ranks = Ranks(tmp_path, 2)
    ranks.gates[0].shut()
    first = ranks.save(1)
    assert ranks.gates[0].reached.wait(60)
    second: list[Any] = []
    helper = threading.Thread(target=lambda: second.extend(ranks.save(2)))
    helper.start()
    assert not any(one.done for one in first)
    ranks.gates[0].open.set()
    helper.join(60)
    assert [one.result(60).step for one in first + second] == [1, 1, 2, 2]
    assert ranks.whole() == 2


def test_ranks_do_not_leave_out_saves_each_for_itself(tmp_path: Path) -> None:
    """Which one waits for its turn when a later one comes is not the same on all of them."""
    with pytest.raises(ValueError, match="on_busy: was 'replace', expected 'wait' with 2 ranks"):
        Ranks(tmp_path, 2, on_busy="replace")


def test_a_later_generation_stops_all_ranks_in_the_middle_of_their_save(tmp_path: Path) -> None:
    ranks = Ranks(tmp_path, 2)
    before = ranks.saved(10)
    ranks.gates[1].shut()
    pending = ranks.save(11)
    assert ranks.gates[1].reached.wait(60)
    ranks.opened(GENERATION + 1)
    ranks.gates[1].open.set()
    for one, saver in zip(pending, ranks.savers, strict=True):
        assert one.wait(60)
        with pytest.raises(StaleGeneration) as stopped:
            saver.flush()
        assert stopped.value.code == 76
    assert head(ranks.uri).manifest == before.manifest
    assert (ranks.whole(), ranks.named) == (10, {10})


class Job(Ranks):
    """Ranks in lock step, each a thread with a guard; the test is their agent, with the agent's own coordinator."""

    def __init__(self, folder: Path, size: int) -> None:
        super().__init__(folder / "store", size)
        self.folder, self.now = folder / "run", 0.0
        self.folder.mkdir()
        self.local = LocalRanks(self.folder)
        self.local.begin(GENERATION, 0)
        self.coordinator, self.wanted = Coordinator(GENERATION), None
        self.slow: int | None = None
        """A rank so slow that its save is over, or has failed, before it looks up from beginning it."""
        self.guards = [
            CheckpointGuard(
                store,
                saver=saver,
                save_interval_seconds=100.0,
                folder=self.folder,
                clock=lambda rank=store.rank: self._clock(rank),
            )
            for store, saver in zip(self.stores, self.savers, strict=True)
        ]
        self.step, self.going = 0, True
        self.told: list[list[tuple[str, int]]] = [[] for _ in range(size)]
        self.boundary = threading.Barrier(size, action=self._next, timeout=60)
        self.end = threading.Event()
        self.threads = [threading.Thread(target=self._train, args=(rank,)) for rank in range(size)]

    def _clock(self, rank: int) -> float:
        last = self.savers[rank].last
        if last is not None and rank == self.slow:
            last.wait(60)
        return self.now

    def _next(self) -> None:
        self.step, self.going = self.step + 1, not self.end.is_set()

    def _train(self, rank: int) -> None:
        guard, told = self.guards[rank], self.told[rank]
        held = state(rank, 0)
        with contextlib.suppress(threading.BrokenBarrierError):
            while True:
                self.boundary.wait()
                if not self.going:
                    return
                step = held["step"] = held["step"] + 1
                held["w"] += 1.0  # in place, as an optimizer does
                time.sleep(0.002)
                guard.report(step)
                if guard.should_save(step):
                    told.append(("saved" if guard.save(step, held) else "unsaved", step))
                if guard.should_stop:
                    told.append(("stop", step))
                    return

    def notice(self, notice: LocalNotice, seconds: float) -> None:
        given = LocalNotice(notice.notice_id, notice.kind, notice.leaving, notice.at, deadline=time.time() + seconds)
        run_dir.write(self.folder, given)
        self.wanted = Wanted(notice.notice_id, notice.at, notice.leaving, run_dir.boot_time() + seconds)

    def turn(self) -> None:
        """Do what the agent does many times a second."""
        before = self.coordinator.agreement
        self.coordinator = self.coordinator.turn(self.local.present(), self.wanted, run_dir.boot_time())
        agreement = self.coordinator.agreement
        if agreement is not None and agreement != before:
            self.local.tell(agreement)

    def until(self, ask: Any, what: str) -> None:
        def asked() -> bool:
            self.turn()
            return bool(ask())

        wait_until(asked, 60, what)

    def goes_on(self, steps: int) -> None:
        """Wait until all ranks have made so many more steps."""
        wanted = self.step + steps
        self.until(lambda: self.step >= wanted, f"step {wanted}")

    def stage(self, rank: int) -> str:
        return self.local.present().states[rank].stage

    def all_are(self, stage: str, after: int = 0) -> bool:
        """Whether all ranks say ``stage``, of a round after that one."""
        states = self.local.present().states.values()
        return len([each for each in states if each.stage == stage and each.round > after]) == self.size

    def over(self) -> list[tuple[str, int]]:
        """Wait until all ranks have left, and return what became of the saves of each: the same for all."""
        self.until(lambda: not any(thread.is_alive() for thread in self.threads), "all ranks leave")
        assert self.told == [self.told[0]] * self.size
        return self.told[0]

    @property
    def confirmed(self) -> tuple[int | None, str] | None:
        found = run_dir.read(self.folder, Confirmation)
        return (found.step, found.notice_id) if found else None


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    made = Job(tmp_path, 3)
    yield made
    for gate in made.gates:
        gate.open.set()
    made.boundary.abort()
    for thread in made.threads:
        if thread.ident is not None:
            thread.join(60)


def start(job: Job) -> None:
    for thread in job.threads:
        thread.start()


def test_an_interval_is_saved_behind_all_ranks_at_one_step_and_confirmed_when_it_is_published(job: Job) -> None:
    start(job)
    job.gates[1].shut()
    job.now = 100.0
    job.until(lambda: all(job.told), "all ranks have begun their save")
    assert job.gates[1].reached.wait(60)
    ((_, step),) = job.told[0]
    job.goes_on(20)
    assert job.confirmed is None
    assert head(job.uri).manifest is None
    job.gates[1].open.set()
    job.until(lambda: job.confirmed, "the confirmation")
    assert job.confirmed == (step, "")
    job.end.set()
    assert job.over() == [("saved", step)]
    assert job.whole() == step


def test_a_notice_while_a_save_is_under_way_is_answered_by_a_save_of_all_ranks_after_it(job: Job) -> None:
    start(job)
    job.gates[2].shut()
    job.now = 100.0
    job.until(lambda: all(job.told), "all ranks have begun their save")
    ((_, first),) = job.told[0]
    assert job.gates[2].reached.wait(60)
    before = job.coordinator.round
    job.notice(LEAVING, 60)
    job.until(lambda: job.all_are("saving", after=before), "all ranks want to save again, and wait for the first save")
    assert job.told == [[("saved", first)]] * 3
    job.gates[2].open.set()
    told = job.over()
    assert [event for event, _ in told] == ["saved", "saved", "stop"]
    assert told[1][1] == told[2][1] > first
    assert job.confirmed == (told[1][1], LEAVING.notice_id)
    assert job.whole() == told[1][1]
    assert job.named == {first, told[1][1]}


def test_under_a_notice_all_ranks_leave_only_when_the_last_shard_is_published(job: Job) -> None:
    start(job)
    job.goes_on(3)
    job.gates[0].shut()
    job.notice(LEAVING, 60)
    job.until(lambda: job.all_are("saving"), "all ranks save")
    assert job.gates[0].reached.wait(60)
    assert (job.told, job.confirmed) == ([[], [], []], None)
    assert head(job.uri).manifest is None
    job.gates[0].open.set()
    told = job.over()
    assert [event for event, _ in told] == ["saved", "stop"]
    assert job.whole() == told[0][1] == told[1][1]
    assert job.confirmed == (told[0][1], LEAVING.notice_id)


@pytest.mark.parametrize("at_once", [False, True], ids=["later", "at once"])
@pytest.mark.parametrize("failing", [0, 2])
def test_behind_training_a_save_that_fails_on_one_rank_is_made_again_by_all(
    job: Job, failing: int, at_once: bool
) -> None:
    for store in job.stores:
        store._transfer_seconds = 1.0  # how long the others wait for the shard that does not come
    start(job)
    job.gates[failing].failing = True
    if at_once:
        job.slow = failing
    else:
        job.gates[failing].shut()
    job.now = 100.0
    job.until(lambda: all(job.told), "all ranks have begun their save")
    first = job.told[0][0][1]
    begun = [("unsaved" if at_once and rank == failing else "saved", first) for rank in range(3)]
    assert job.told == [[each] for each in begun]
    job.goes_on(5)  # whatever became of it: nobody waits for a save behind training
    job.gates[failing].open.set()
    job.until(lambda: job.coordinator.stage == "failed", "the ranks have failed")
    assert job.coordinator.agreement is not None
    assert job.coordinator.agreement.reason == "not all ranks have saved"
    assert (job.confirmed, head(job.uri).manifest) == (None, None)

    job.gates[failing].failing, job.slow = False, None
    for store in job.stores:
        store._transfer_seconds = 60.0
    job.now = 120.0
    job.until(lambda: job.confirmed, "the confirmation")
    job.end.set()
    job.until(lambda: not any(thread.is_alive() for thread in job.threads), "all ranks leave")
    second = job.told[0][1][1]
    assert job.told == [[each, ("saved", second)] for each in begun]
    assert job.confirmed == (second, "")
    assert job.whole() == second > first
    assert job.named == {second}


@pytest.mark.parametrize("failing", [0, 1])
def test_under_a_notice_a_save_that_fails_on_one_rank_leaves_the_last_whole_checkpoint(job: Job, failing: int) -> None:
    start(job)
    job.now = 100.0
    job.until(lambda: job.confirmed, "the checkpoint before")
    first = job.confirmed
    assert first is not None
    standing = head(job.uri).manifest
    job.gates[failing].failing = True
    job.notice(LEAVING, 5)
    job.until(lambda: all(told and told[-1][0] == "unsaved" for told in job.told), "all ranks have failed")
    job.until(lambda: job.coordinator.stage == "failed", "so it is told")
    job.goes_on(3)
    job.end.set()
    told = job.over()
    assert [event for event, _ in told] == ["saved", "unsaved"]
    assert job.confirmed == first, "nothing is confirmed for a notice that nothing was saved for"
    assert head(job.uri).manifest == standing
    assert (job.whole(), job.named) == (first[0], {first[0]})


def test_under_a_notice_a_rank_that_hears_nothing_of_its_save_waits_for_word_of_the_others(job: Job) -> None:
    """Rank 1's time is up a moment before rank 0 publishes what all have written: it stops with the others."""
    start(job)
    job.goes_on(3)
    job.gates[0].shut()
    publish = job.stores[1].publish

    def impatient(step: int, parts: Any, **options: Any) -> Checkpoint:
        return publish(step, parts, **{**options, "deadline_seconds": 1.0})

    job.stores[1].publish = impatient  # type: ignore[method-assign]
    job.notice(LEAVING, 60)
    job.until(lambda: job.stage(1) == "unsaved", "rank 1 gives up")
    assert (job.told, job.confirmed) == ([[], [], []], None)
    job.gates[0].open.set()
    told = job.over()
    assert [event for event, _ in told] == ["saved", "stop"]
    assert job.whole() == told[0][1]


def test_a_rebalance_that_comes_during_a_save_is_answered_by_that_one(job: Job) -> None:
    start(job)
    job.gates[1].shut()
    job.now = 100.0
    job.until(lambda: all(job.told), "all ranks have begun their save")
    ((_, step),) = job.told[0]
    job.notice(REBALANCE, 60)
    job.goes_on(20)
    assert (job.all_are("saving"), job.confirmed) == (True, None)
    job.gates[1].open.set()
    job.until(lambda: job.confirmed == (step, REBALANCE.notice_id), "the confirmation for the notice")
    job.goes_on(20)
    job.end.set()
    assert job.over() == [("saved", step)]
    assert job.coordinator.settled == (REBALANCE.notice_id, REBALANCE.at)


def test_a_rebalance_is_saved_for_once_behind_all_ranks_and_training_goes_on(job: Job) -> None:
    start(job)
    job.goes_on(3)
    job.gates[1].shut()
    job.notice(REBALANCE, 60)
    job.until(lambda: all(job.told), "all ranks have begun their save")
    job.goes_on(20)
    assert job.all_are("saving"), "the notice is not answered yet, and no rank gives up its save for another"
    job.gates[1].open.set()
    job.until(lambda: job.all_are("saved"), "all ranks know that it is published")
    job.goes_on(20)
    job.end.set()
    told = job.over()
    assert [event for event, _ in told] == ["saved"]
    assert job.confirmed == (told[0][1], REBALANCE.notice_id)
    assert job.whole() == told[0][1]
