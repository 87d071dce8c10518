"""``spotkeeper-agent run``: puts the parts together, starts their threads, and works until told to stop."""

from __future__ import annotations

import fcntl
import functools
import queue
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Callable, List, Optional, Tuple, TypedDict, TypeVar

from spotkeeper_agent.agent import Agent
from spotkeeper_agent.clouds import identity, notice_sources
from spotkeeper_agent.config import AgentConfig
from spotkeeper_agent.council import Council, LocalRanks
from spotkeeper_agent.desk import Desk
from spotkeeper_agent.events import Event, Shutdown, SpecSeen
from spotkeeper_agent.hook import HookName, HookWatch, LifecycleHook
from spotkeeper_agent.job import kill_leftover
from spotkeeper_agent.keeper import Keeper
from spotkeeper_agent.lease import Lease
from spotkeeper_agent.logs import log
from spotkeeper_agent.member import MemberAgent
from spotkeeper_agent.node import Node
from spotkeeper_agent.outbox import Outbox
from spotkeeper_agent.pubsub import Topic
from spotkeeper_agent.reporter import Reporter
from spotkeeper_agent.runner import Runner
from spotkeeper_agent.server import Server
from spotkeeper_agent.sources import NoticeSource, Poller, Signals
from spotkeeper_agent.team import Team
from spotkeeper_agent.team_ranks import LEAD_SECONDS, TeamRanks
from spotkeeper_ledger import (
    Board,
    BoardError,
    FleetSpec,
    MalformedDocument,
    Unavailable,
    keys,
    load,
    open_board,
    run_dir,
)
from spotkeeper_ledger.checkpoints import Head
from spotkeeper_ledger.codec import MAX_DOCUMENT_BYTES
from spotkeeper_ledger.run_dir import Confirmation, LocalNotice

LOCK_FILE = "agent.lock"
RETRY_SECONDS = 1.0
FAREWELL_SECONDS = 1.0
"""How long the other members may take to hear that this one goes."""
FLUSH_SECONDS = 5.0
"""How long reports that have not arrived may hold up an agent that is told to stop."""

Found = TypeVar("Found")


class _Parts(TypedDict):
    """What every agent is made of."""

    runner: Runner
    reporter: Reporter
    hook_watch: HookWatch
    open_hook: Callable[[FleetSpec], LifecycleHook]


class AlreadyRuns(Exception):
    """Another agent works in this run directory."""


def run(config: AgentConfig) -> None:
    """Be the agent of this node until ``SIGTERM`` or ``SIGINT``.

    Raises:
        AlreadyRuns: another agent does that.
        OSError: the run directory cannot be made or written.
    """
    folder = Path(config.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("w") as lock:
        _lock(lock, folder)
        _clean(folder)
        inbox: queue.SimpleQueue[Event] = queue.SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: inbox.put(Shutdown()))
        node = _until(identity(config), "identity", functools.partial(_pause, inbox))
        if node is not None:
            _work(config, node, inbox)
        log("stopped")


def _work(config: AgentConfig, node: Node, inbox: queue.SimpleQueue[Event]) -> None:
    log("boot", node=node.name, zone=node.zone, on_demand=node.on_demand, unknown_keys=sorted(config.extra) or None)
    board = open_board(config.ledger, region=config.region, most_bytes=MAX_DOCUMENT_BYTES)
    outbox = Outbox()
    team = _team(config, node, board, inbox) if config.elastic else None
    local = LocalRanks(Path(config.run_dir))
    ranks = TeamRanks(local, team, Path(config.run_dir)) if team else None
    council = Council(ranks, lead_seconds=LEAD_SECONDS) if ranks else Council(local)
    parts: _Parts = {
        "runner": Runner(_without_budget(config) if team else config, node.name, inbox.put, council),
        "reporter": Reporter(config, node, board, outbox, topic=Topic(config.topic) if config.topic else None),
        "hook_watch": HookWatch(outbox, config.hook_seconds / 3),
        "open_hook": functools.partial(_open_hook, config, node),
    }
    threads: List[threading.Thread] = [Poller(source, inbox.put) for source in _sources(config, node, board)]
    if team is not None and ranks is not None:
        agent: Agent = MemberAgent(config, node, inbox, team=team, ranks=ranks, **parts)
        threads.append(team)
    else:
        keeper = _keeper(config, node, board, inbox)
        agent = Agent(config, node, inbox, keeper=keeper, **parts)
        threads.append(keeper)
    desk = Desk(config, node, inbox.put, agent.status, parts["runner"].last_words)
    threads += [outbox, council, Server(Path(config.run_dir), desk.answer)]
    threads.append(threading.Thread(target=_await_spec, args=(config, board, inbox.put), name="spec", daemon=True))
    for thread in threads:
        thread.start()
    agent.run()
    if team is not None:
        team.farewell(FAREWELL_SECONDS)
    if not outbox.flush(FLUSH_SECONDS):
        log("unsent", after_seconds=FLUSH_SECONDS)


def _without_budget(config: AgentConfig) -> AgentConfig:
    """Where several nodes run the job, crashes are counted with its generations."""
    return replace(config, max_restarts=sys.maxsize)


def _keeper(config: AgentConfig, node: Node, board: Board, inbox: queue.SimpleQueue[Any]) -> Keeper:
    lease = Lease(
        board,
        config.fleet,
        config.incarnation,
        node.as_member(),
        config.lease_seconds,
        floor=functools.partial(checkpoint_generation, config),
    )
    return Keeper(lease, inbox.put, seek_seconds=config.signal_poll_seconds, beat_seconds=config.lease_seconds / 3)


def _team(config: AgentConfig, node: Node, board: Board, inbox: queue.SimpleQueue[Any]) -> Team:
    floor = functools.partial(checkpoint_generation, config)
    return Team(config, board, node.as_member(), inbox.put, floor=floor)


def checkpoint_generation(config: AgentConfig) -> int:
    """The generation that the checkpoints are at; 0 where there are none, or where that cannot be told."""
    try:
        found = open_board(config.checkpoint_uri, region=config.region).read("head.json")
        return 0 if found is None else load(Head, found.body).generation
    except (BoardError, MalformedDocument, ValueError) as error:
        log("checkpoints-unknown", error=f"{type(error).__name__}: {error}")
        return 0


def _sources(config: AgentConfig, node: Node, board: Board) -> List[NoticeSource]:
    signals = Signals(board, config.fleet, config.incarnation, node.name, config.signal_poll_seconds)
    return [*notice_sources(config), signals]


def _open_hook(config: AgentConfig, node: Node, spec: FleetSpec) -> LifecycleHook:
    group = spec.backup_group if node.on_demand else spec.spot_group
    return LifecycleHook(HookName(group, config.hook, node.name), config.region)


def _await_spec(config: AgentConfig, board: Board, tell: Callable[[Event], None]) -> None:
    if config.cloud == "local":
        tell(SpecSeen(None))
        return

    def look() -> FleetSpec:
        found = board.read(keys.spec(config.fleet))
        spec = None if found is None else load(FleetSpec, found.body)
        if spec is None or spec.incarnation != config.incarnation:
            raise Unavailable(f"{keys.spec(config.fleet)}: no spec of incarnation {config.incarnation} yet")
        return spec

    def pause() -> bool:
        time.sleep(RETRY_SECONDS)
        return True

    spec = _until(look, "spec", pause)
    if spec is not None:
        tell(SpecSeen(spec))


def _until(ask: Callable[[], Found], what: str, pause: Callable[[], bool]) -> Optional[Found]:
    """Ask until there is an answer, or ``pause`` says that it is not worth while any more. Says once that it waits."""
    answer, problem = _try(ask)
    if problem:
        log("waiting", what=what, error=problem)
    while problem and pause():
        answer, problem = _try(ask)
    return answer


def _try(ask: Callable[[], Found]) -> Tuple[Optional[Found], str]:
    try:
        return ask(), ""
    except Exception as error:  # noqa: BLE001 - whatever is answered, a node that boots asks again
        return None, f"{type(error).__name__}: {error}"


def _pause(inbox: queue.SimpleQueue[Event]) -> bool:
    """Wait a moment; returns whether to go on. All that can come in before the node knows its name is the end."""
    try:
        inbox.get(timeout=RETRY_SECONDS)
    except queue.Empty:
        return True
    return False


def _lock(lock: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise AlreadyRuns(f"{folder}: another agent works here") from None


def _clean(folder: Path) -> None:
    """Forget what an agent before this one has left: its job, and a notice that the sources will tell again."""
    pid = kill_leftover(folder)
    if pid is not None:
        log("leftover-job-killed", pid=pid)
    run_dir.remove(folder, LocalNotice)
    run_dir.remove(folder, Confirmation)
