"""A storm of interruption notices through the responder as it is shipped, and through a handler as peers have it.

The notices of a whole fleet arrive spread over 20 s, with 5 % of them told twice and ten times as many foreign events,
at two handlers at once. Every request that reaches the cloud is counted there, by who signed it: retries and the ledger
included. Three ways of delivery:

``mapping``  as the deployed event source mapping forms batches: its window, its batch size, at most 6 MB.
``notices``  batches that hold 10 to 200 notices each, with what arrives beside them.
``messages`` batches of 10 to 200 messages, whatever they are.

Both handlers start with empty memories; no tick falls into a storm.
"""

from __future__ import annotations

import json
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import support

from spotkeeper.aws.function import BATCH_SECONDS, BATCH_SIZE, CONCURRENCY
from spotkeeper_lab.local_aws.function import Function, FunctionFailed
from spotkeeper_ledger import FleetLedger, SignalBoard, keys, load

SECONDS = 20.0
DUPLICATES, FOREIGN = 0.05, 10
SMALLEST, LARGEST = 10, 200
PAYLOAD_BYTES = 6 * 1024 * 1024
"""Most that one invocation takes; the mapping ends a batch there."""
STORMS = ((1, 1), (10, 1), (100, 1), (1000, 1), (10_000, 1), (1000, 50))
"""Notices and fleets."""
WARNING, ADVICE = "EC2 Spot Instance Interruption Warning", "EC2 Instance Rebalance Recommendation"
WAYS = ("mapping", "notices", "messages")
HIDDEN = ("by_operation", "problems")
"""Figures that are not shown in the table."""
USUAL_MOST = 1000
"""Notices times fleets up to which storms are run unless all are asked for."""
PEER_MOST = 100
"""Notices up to which the peer's handler is run beside ours unless all is asked for: it takes minutes beyond."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message on the queue."""

    at: float
    """Seconds after the storm has begun."""
    node: str
    kind: str
    ours: bool

    def record(self, began: float, ident: str) -> dict[str, Any]:
        """Return it as Lambda hands it over; ids and receipt handles are as long as SQS makes them."""
        stamp = datetime.fromtimestamp(began + self.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        detail = {"instance-id": self.node}
        if self.kind == WARNING:
            detail["instance-action"] = "terminate"
        envelope = {
            "version": "0",
            "id": ident,
            "detail-type": self.kind,
            "source": "aws.ec2",
            "account": "123456789012",
            "time": stamp,
            "region": support.REGION,
            "resources": [f"arn:aws:ec2:{support.REGION}a:instance/{self.node}"],
            "detail": detail,
        }
        return {
            "messageId": ident,
            "receiptHandle": "A" * 412,
            "body": json.dumps(envelope),
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1700000000000",
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "ApproximateFirstReceiveTimestamp": "1700000000001",
            },
            "messageAttributes": {},
            "md5OfBody": "0" * 32,
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:spotkeeper-123456789012-us-east-1-events",
            "awsRegion": support.REGION,
        }


def messages(nodes: Sequence[str], rng: random.Random) -> list[Message]:
    """Return a storm in the order of its arrival. Where there is only one notice it comes in the middle."""
    times = {node: rng.uniform(0, SECONDS) for node in nodes}
    again = rng.sample(nodes, round(len(nodes) * DUPLICATES))
    foreign = (f"i-0f{rng.getrandbits(60):015x}" for _ in range(FOREIGN * len(nodes)))
    found = [Message(at, node, WARNING, ours=True) for node, at in times.items()]
    found += [Message(rng.uniform(times[node], SECONDS), node, WARNING, ours=True) for node in again]
    found += [Message(rng.uniform(0, SECONDS), node, rng.choice((WARNING, ADVICE)), ours=False) for node in foreign]
    return sorted(found, key=lambda message: message.at)


# ---------------------------------------------------------------- delivery


@dataclass
class Queue:
    """What has been sent and not been taken; two take from it."""

    waiting: list[Message]
    began: float
    """Monotonic seconds."""
    _taken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, most: int) -> list[Message]:
        """Return what has arrived, at most so many."""
        with self._lock:
            now, end = time.monotonic() - self.began, self._taken
            while end < len(self.waiting) and end - self._taken < most and self.waiting[end].at <= now:
                end += 1
            taken, self._taken = self.waiting[self._taken : end], end
            return taken

    @property
    def empty(self) -> bool:
        return self._taken >= len(self.waiting)


def as_mapped(queue: Queue) -> Iterator[list[Message]]:
    """Yield batches as the deployed mapping forms them: a window from the first message on, a size, a payload."""
    size = len(json.dumps(queue.waiting[0].record(0, "0" * 36)))
    most = min(BATCH_SIZE, PAYLOAD_BYTES // size)
    while not queue.empty:
        batch = queue.take(most)
        until = time.monotonic() + BATCH_SECONDS
        while batch and len(batch) < most and (left := until - time.monotonic()) > 0:
            time.sleep(min(0.05, left))
            batch += queue.take(most - len(batch))
        if batch:
            yield batch
        else:
            time.sleep(0.02)


def cut(storm: Sequence[Message], rng: random.Random, counts: Callable[[Message], bool]) -> list[list[Message]]:
    """Return a storm in batches of 10 to 200 of the messages that count, with those between them."""
    batches: list[list[Message]] = []
    left = 0
    for message in storm:
        if left == 0:
            batches.append([])
            left = rng.randint(SMALLEST, LARGEST)
        batches[-1].append(message)
        left -= counts(message)
    return batches


def as_cut(batches: Iterator[list[Message]], began: float, lock: threading.Lock) -> Iterator[list[Message]]:
    """Yield the next of ``batches``, each once its last message has arrived; several may ask."""
    while True:
        with lock:
            batch = next(batches, None)
        if batch is None:
            return
        time.sleep(max(0.0, began + batch[-1].at - time.monotonic()))
        yield batch


# ---------------------------------------------------------------- one storm


@dataclass
class Delivered:
    """What came of delivering a storm."""

    batches: list[int] = field(default_factory=list)
    returned: int = 0
    failures: list[str] = field(default_factory=list)
    ended: float = 0.0


def deliver(
    handlers: Sequence[Function], storm: list[Message], way: str, began: float, wall: float, rng: random.Random
) -> Delivered:
    """Deliver ``storm`` to all of ``handlers`` at once; return when the last has answered."""
    done, lock, queue = Delivered(), threading.Lock(), Queue(storm, began)
    if way == "mapping":
        sources = [as_mapped(queue) for _ in handlers]
    else:
        batches = {
            "notices": lambda: cut(storm, rng, lambda message: message.ours),
            "messages": lambda: cut(storm, rng, lambda _: True),
            "single": lambda: [[message] for message in storm],
        }[way]()
        waiting = iter(batches)
        sources = [as_cut(waiting, began, lock) for _ in handlers]

    def work(handler: Function, source: Iterator[list[Message]]) -> None:
        for batch in source:
            records = [message.record(wall, f"{rng.getrandbits(128):032x}0000") for message in batch]
            try:
                answer = handler.invoke({"Records": records})
                returned = len(answer["batchItemFailures"])
            except FunctionFailed as error:
                done.failures.append(str(error))
                returned = len(batch)
            with lock:
                done.batches.append(len(batch))
                done.returned += returned

    threads = [threading.Thread(target=work, args=pair) for pair in zip(handlers, sources, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.ended = time.monotonic()
    return done


def names(number: int, first: int = 0) -> list[str]:
    return [f"i-{first + n:017x}" for n in range(number)]


def shared_out(nodes: Sequence[str], fleets: int) -> dict[str, list[str]]:
    return {f"bench-{n:02}": [*nodes[n::fleets]] for n in range(fleets)}


def through_responder(notices: int, fleets: int, way: str, folder: Path, seed: int) -> dict[str, Any]:
    """Run one storm through the responder; return what was measured."""
    rng = random.Random(seed)
    nodes, bucket = names(notices), f"spotkeeper-{notices}-{fleets}-{way}"
    with support.Cloud() as cloud:
        cloud.ledger(bucket)
        members = shared_out(nodes, fleets)
        for name, those in members.items():
            cloud.fleet(bucket, name, those)
        cloud.roster(bucket, members)
        handlers = [support.responder(cloud, folder / f"{bucket}-{n}", bucket) for n in range(CONCURRENCY)]
        wrong = partial(_wrong, cloud, bucket, members, cloud.commands.first_at)
        return {"handler": "responder", "notices": notices, "fleets": fleets} | _measured(
            cloud, handlers, messages(nodes, rng), way, rng, wrong
        )


def through_peer(notices: int, folder: Path, seed: int) -> dict[str, Any]:
    """Run one storm through the peer's handler, an event at a time in two processes; return what was measured."""
    rng, bucket = random.Random(seed), f"spotkeeper-peer-{notices}"
    with support.Cloud() as cloud:
        cloud.ledger(bucket)
        cloud.groups.add("bench", [], {})
        cloud.client("ssm").put_parameter(Name="/bench/bench", Value="save", Type="String", Overwrite=True)
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "bench:group", "Value": "bench"}]}]
        launched = cloud.client("ec2").run_instances(
            ImageId="ami-12c6146b", MinCount=notices, MaxCount=notices, TagSpecifications=tags
        )
        nodes = [instance["InstanceId"] for instance in launched["Instances"]]
        source = {"peer.py": Path(__file__).with_name("peer.py").read_text()}
        handlers = [
            support.function(
                cloud, folder / f"{bucket}-{n}", caller="peer", bucket=bucket, sources=source, entry="peer.handle"
            )
            for n in range(CONCURRENCY)
        ]
        return {"handler": "peer", "notices": notices, "fleets": 1} | _measured(
            cloud, handlers, messages(nodes, rng), "single", rng, list
        )


def _measured(
    cloud: support.Cloud,
    handlers: Sequence[Function],
    storm: list[Message],
    way: str,
    rng: random.Random,
    wrong: Callable[[], list[str]],
) -> dict[str, Any]:
    """Deliver a storm; return what was measured."""
    try:
        for handler in handlers:
            handler.warm_up()
        began, wall = time.monotonic(), time.time()
        done = deliver(handlers, storm, way, began, wall, rng)
        memory = max(support.peak_memory_mb(handler) for handler in handlers)
    finally:
        for handler in handlers:
            handler.close()
    told, calls = cloud.commands.first_at, cloud.calls.snapshot().get(handlers[0].deployed.name, {})
    problems = [*done.failures, *wrong()]
    first = {message.node: message.at for message in reversed(storm) if message.ours}
    waits = [told[node] - began - at for node, at in first.items() if node in told]
    per_node = sum(calls.get(name, 0) for name in support.PER_NODE)
    return {
        "delivery": way,
        "batches": len(done.batches),
        "sizes": f"{min(done.batches)}-{max(done.batches)}",
        "calls": sum(calls.values()) - per_node,
        "calls_each": (sum(calls.values()) - per_node) / len(first),
        "per_node": per_node,
        "p50_s": support.percentile(waits, 50) if waits else -1.0,
        "p99_s": support.percentile(waits, 99) if waits else -1.0,
        "last_s": max(told.values(), default=began) - began - max(first.values()),
        "memory_mb": round(memory),
        "returned": done.returned,
        "ok": not problems and not done.returned and told.keys() >= first.keys(),
        "by_operation": dict(sorted(calls.items(), key=lambda item: -item[1])),
        "problems": problems[:5],
    }


def _wrong(
    cloud: support.Cloud, bucket: str, fleets: Mapping[str, Sequence[str]], told: Mapping[str, float]
) -> list[str]:
    """Return what a storm should have left behind and has not."""
    found = []
    for fleet, nodes in fleets.items():
        ledger = load(FleetLedger, cloud.get(bucket, keys.ledger(fleet)), max_bytes=1 << 30)
        posted = load(SignalBoard, cloud.get(bucket, keys.signals(fleet)), max_bytes=1 << 30)
        signalled = {node for node, record in ledger.notices.items() if record.stage == "signalled"}
        backup = cloud.groups.desired[f"spotkeeper-{fleet}-backup"]
        expected = {
            "in the ledger as signalled": signalled,
            "in signal.json": {signal.node for signal in posted.signals},
            "named by a command": told.keys() & {*nodes},
        }
        found += [
            f"{fleet}: {len(those)} nodes {what}, expected {len(nodes)}"
            for what, those in expected.items()
            if {*those} != {*nodes}
        ]
        if backup != len(nodes):
            found.append(f"{fleet}: backup of {backup}, expected {len(nodes)}")
    return found


def main() -> None:
    options = support.parser(__doc__)
    options.add_argument("--notices", type=int, nargs="*", help="only storms of these sizes")
    options.add_argument(
        "--delivery", nargs="*", choices=WAYS, help="these ways (default: the mapping's, with --full all)"
    )
    options.add_argument("--full", action="store_true", help="the largest storms too, and the peer's (many minutes)")
    options.add_argument("--seed", type=int, default=1, help="of the storm's times and batches (default %(default)s)")
    asked = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for notices, fleets in STORMS:
            chosen = notices in asked.notices if asked.notices else asked.full or notices * fleets <= USUAL_MOST
            if not chosen:
                continue
            for way in asked.delivery or (WAYS if asked.full else WAYS[:1]):
                rows.append(through_responder(notices, fleets, way, Path(folder), asked.seed))
                tell(rows[-1])
            if fleets == 1 and notices <= (1000 if asked.full else PEER_MOST):
                rows.append(through_peer(notices, Path(folder), asked.seed))
                tell(rows[-1])
    shown = [{name: value for name, value in row.items() if name not in HIDDEN} for row in rows]
    support.deliver("storm", rows, asked.json, shown=shown)


def tell(row: Mapping[str, Any]) -> None:
    """Show progress, and what a table has no room for."""
    print(json.dumps({name: row[name] for name in ("handler", "notices", "fleets", "delivery", *HIDDEN)}), flush=True)


if __name__ == "__main__":
    main()
