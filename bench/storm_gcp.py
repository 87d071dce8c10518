"""A storm of preemptions through the function as it is shipped, under Google's own framework, one push a message.

The messages of a whole fleet arrive spread over 30 s, as the audit log's sink publishes them, with 5 % of them told
twice and as many foreign ones as there are preemptions. They are pushed by the local Pub/Sub, one request each, to one
instance of the function; what it has no room for waits as in Cloud Run, for ten seconds at most, and is answered with
429 after that. Every request that the function makes is counted where it arrives. The function starts with the memory
of one tick; none falls into a storm.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import support

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from gcp_account import Account, fleet
from spotkeeper.archives import function_sources
from spotkeeper.gcp.events import ANSWER_SECONDS, ATTEMPTS, LATEST_RETRY_SECONDS, SOONEST_RETRY_SECONDS
from spotkeeper.gcp.function import CONCURRENCY, CPU, ENTRY_POINT, FUNCTION_SECONDS, RUNTIME
from spotkeeper_lab.local_gcp import STANDARD, LocalGcp, Timing
from spotkeeper_lab.local_gcp.logs import preempted
from spotkeeper_ledger import FleetLedger, SignalBoard, dump, keys, load
from spotkeeper_ledger.http import Http
from spotkeeper_responder import SPOT

SECONDS = 30.0
DUPLICATES, FOREIGN = 0.05, 1.0
STORMS = (1, 10, 100, 1000)
LEDGER, PAGES = "spotkeeper-ledger", "compute.regionInstanceGroupManagers.listManagedInstances"
QUICK = Timing(boot_seconds=0.01, operation_seconds=0.01, tick_seconds=86_400.0, retry_seconds=86_400.0)
PROJECT = "projects/local-project"
TOPIC, DEAD = f"{PROJECT}/topics/events", f"{PROJECT}/topics/events-dead"
PATIENCE_SECONDS = 120.0
_TOO_MANY = 429


def wire(local: LocalGcp, concurrency: int) -> None:
    """Declare the function and what brings it its messages, as the component does."""
    local.buckets.add(LEDGER)
    local.buckets.write(LEDGER, "function.zip", support.zipped(function_sources("gcp")), {})
    source = {"storageSource": {"bucket": LEDGER, "object": "function.zip"}}
    environment = {
        "THREADS": str(concurrency),
        "SPOTKEEPER_LEDGER": f"gs://{LEDGER}",
        "SPOTKEEPER_PROJECT": local.project,
        "SPOTKEEPER_REGION": local.region,
    }
    function = {
        "buildConfig": {"runtime": RUNTIME, "entryPoint": ENTRY_POINT, "source": source},
        "serviceConfig": {
            "maxInstanceRequestConcurrency": concurrency,
            "availableCpu": CPU,
            "timeoutSeconds": FUNCTION_SECONDS,
            "environmentVariables": environment,
        },
    }
    where = f"/v2/{PROJECT}/locations/{local.region}/functions?functionId=responder"
    url = ask(local, "POST", where, function)["response"]["url"]
    for topic in (TOPIC, DEAD):
        ask(local, "PUT", f"/v1/{topic}", {})
    subscription = {
        "topic": TOPIC,
        "ackDeadlineSeconds": ANSWER_SECONDS,
        "pushConfig": {"pushEndpoint": url},
        "retryPolicy": {
            "minimumBackoff": f"{SOONEST_RETRY_SECONDS}s",
            "maximumBackoff": f"{LATEST_RETRY_SECONDS}s",
        },
        "deadLetterPolicy": {"deadLetterTopic": DEAD, "maxDeliveryAttempts": ATTEMPTS},
    }
    ask(local, "PUT", f"/v1/{PROJECT}/subscriptions/events", subscription)


def ask(local: LocalGcp, verb: str, target: str, body: Any) -> Any:
    """Make a request as whoever deploys."""
    headers = {"Content-Type": "application/json", "Authorization": "Bearer token-of-pulumi"}
    response = Http(local.endpoint, 10.0).request(verb, target, headers, json.dumps(body).encode())
    if response.status != 200:
        raise RuntimeError(f"{verb} {target}: {response.body!r}")
    return json.loads(response.body)


class Signals:
    """Sees when each node's signal was there to be read."""

    def __init__(self, local: LocalGcp, of: str) -> None:
        self._local, self._key = local, keys.signals(of)
        self.first_at: dict[str, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        seen = b""
        while not self._ended.wait(0.01):
            body = self._local.objects(LEDGER, self._key).get(self._key, b"")
            if body != seen:
                seen, at = body, time.monotonic()
                for signal in load(SignalBoard, body, max_bytes=1 << 30).signals:
                    self.first_at.setdefault(signal.node, at)


def storm(nodes: list[str], rng: random.Random) -> list[tuple[float, str]]:
    """Return when which node's preemption is told, in order; the last one of a single node comes in the middle."""
    times = {node: rng.uniform(0, SECONDS) for node in nodes}
    found = [(at, node) for node, at in times.items()]
    found += [(rng.uniform(times[node], SECONDS), node) for node in rng.sample(nodes, round(len(nodes) * DUPLICATES))]
    foreign = (f"somebody-{rng.getrandbits(24):06x}.{rng.getrandbits(60)}" for _ in range(round(FOREIGN * len(nodes))))
    return sorted([*found, *((rng.uniform(0, SECONDS), node) for node in foreign)])


def run(preemptions: int, concurrency: int, folder: Path, seed: int) -> dict[str, Any]:
    """Play one storm; return what was measured."""
    rng = random.Random(seed)
    with LocalGcp(folder / f"cloud-{preemptions}", QUICK) as local:
        account = Account(local, fleet(target=preemptions, base=0, maximum=preemptions))
        account.make({"spot": preemptions, "backup": 0})
        local.market.set_capacity(0, model=STANDARD)  # groups create nothing while a storm lasts
        wire(local, concurrency)
        of = account.spec.fleet
        local.buckets.write(LEDGER, keys.spec(of), dump(account.spec), {})
        nodes = account.nodes(SPOT, preemptions)
        local.deploy_function()
        local.publish(b"", {"spotkeeper": "tick"})
        wait(lambda: keys.MEMBERS in local.objects(LEDGER, keys.MEMBERS))
        wait(lambda: answered(local) == 1)
        before, signals = Counter(local.calls.snapshot()["responder"]), Signals(local, of)
        told = storm(nodes, rng)
        began = time.monotonic()
        for at, node in told:
            time.sleep(max(0.0, began + at - time.monotonic()))
            name, _, number = node.partition(".")
            entry = preempted(local.project, f"{local.region}-a", name, number, time.time())
            local.publish(json.dumps(entry).encode())
        wait(lambda: succeeded(local) == 1 + len(told))
        signals.close()
        calls = Counter(local.calls.snapshot()["responder"]) - before
        invoked = [m.detail for m in local.events.moments() if m.what == "function-invoked"][1:]
        measured = [line for line in local.function.output() if '"Notices"' in line] if local.function else []
        ledger = load(FleetLedger, local.objects(LEDGER, keys.ledger(of))[keys.ledger(of)], max_bytes=1 << 30)
        backup = account.view().backup.desired
    first = {node: at for at, node in reversed(told) if node in set(nodes)}
    waits = [signals.first_at[node] - began - at for node, at in first.items() if node in signals.first_at]
    others = sum(calls.values()) - calls[PAGES]
    signalled = {node for node, record in ledger.notices.items() if record.stage == "signalled"}
    problems = [f"{len(signalled)} nodes signalled"] if signalled != set(nodes) else []
    problems += [f"backup of {backup}"] if backup != preemptions else []
    return {
        "preemptions": preemptions,
        "messages": len(told),
        "batches": len(measured),
        "calls": others,
        "calls_each": others / preemptions,
        "pages": calls[PAGES],
        "p50_s": support.percentile(waits, 50) if waits else -1.0,
        "p99_s": support.percentile(waits, 99) if waits else -1.0,
        "last_s": max(signals.first_at.values(), default=began) - began - max(first.values()),
        "slowest_ms": max(one["ms"] for one in invoked),
        "too_many": sum(one["status"] == _TOO_MANY for one in invoked),
        "again": sum(one["repeated"] for one in invoked),
        "ok": not problems and len(signals.first_at) >= preemptions,
        "by_operation": dict(sorted(calls.items(), key=lambda item: -item[1])),
        "problems": problems,
    }


def answered(local: LocalGcp) -> int:
    return sum(moment.what == "function-invoked" for moment in local.events.moments())


def succeeded(local: LocalGcp) -> int:
    return sum(m.what == "function-invoked" and not m.detail["failed"] for m in local.events.moments())


def wait(holds: Any) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError("the storm did not come to its end")
        time.sleep(0.05)


def main() -> None:
    options = support.parser(__doc__)
    options.add_argument("--preemptions", type=int, nargs="*", default=STORMS, help="only storms of these sizes")
    options.add_argument("--concurrency", type=int, default=CONCURRENCY, help="default %(default)s, as deployed")
    options.add_argument("--seed", type=int, default=1, help="of the storm's times (default %(default)s)")
    asked = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number in asked.preemptions:
            rows.append(run(number, asked.concurrency, Path(folder), asked.seed))
            print(json.dumps({name: rows[-1][name] for name in ("by_operation", "problems")}), flush=True)
    hidden = ("by_operation", "problems")
    shown = [{name: value for name, value in row.items() if name not in hidden} for row in rows]
    support.deliver("storm on Google Cloud", rows, asked.json, shown=shown)


if __name__ == "__main__":
    main()
