"""Whatever happens to a group, it comes back to its size; its names are unique and its numbers are never reused."""

from typing import Any
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from local_gcp_support import BASE, GROUPS, REGION, SPOT, Cloud, link
from spotkeeper_lab.local_gcp import CAPACITY, QUOTA, Timing

LONG = 10_000.0
NOTICE = {**SPOT, "preemptionNoticeDuration": {"seconds": "120"}}

which = st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.just("preempt"), which),
    st.tuples(st.just("resize"), st.integers(0, 6)),
    st.tuples(st.just("delete"), st.lists(which, min_size=1, max_size=3, unique=True)),
    st.tuples(st.just("delete-directly"), which),
    st.tuples(st.just("recreate"), which),
    st.tuples(st.just("patch"), st.integers(0, 6)),
    st.tuples(st.just("stockout"), st.tuples(st.integers(0, 4), st.sampled_from([CAPACITY, QUOTA]))),
    st.tuples(st.just("zone-stockout"), st.integers(0, 2)),
    st.tuples(st.just("supply"), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 7.0, 31.0, 200.0])),
)


class Play:
    """A group, and what a test expects of its size: what the operations that were granted say."""

    def __init__(self, shape: str, allowed: str, scheduling: Any) -> None:
        self.cloud = Cloud(Timing(operation_seconds=1, boot_seconds=10, shutdown_seconds=5, status_lag_seconds=3))
        redistribution = {"instanceRedistributionType": "PROACTIVE" if shape == "EVEN" else "NONE"}
        policy = {"onRepair": {"allowChangingZone": allowed}}
        fields = {"updatePolicy": redistribution, "instanceLifecyclePolicy": policy}
        self.cloud.fleet(size=2, shape=shape, scheduling=scheduling, **fields)
        self.target = 2

    def step(self, what: str, value: Any) -> None:
        cloud, found = self.cloud, self.cloud.managed()
        if what == "wait":
            cloud.clock.pass_by(value)
        elif what in ("resize", "patch"):
            self.target = value
            if what == "resize":
                cloud.do("POST", f"{GROUPS}/fleet/resize", size=value, requestId=str(uuid4()))
            else:
                cloud.do("PATCH", f"{GROUPS}/fleet", {"targetSize": value})
        elif what == "stockout":
            cloud.compute.market.set_capacity(value[0], value[1])
        elif what == "zone-stockout":
            cloud.compute.market.set_capacity(0, zone=f"{REGION}-{'abc'[value]}")
        elif what == "supply":
            self.supply()
        elif what == "delete":
            self.delete([found[at] for at in value if at < len(found)])
        elif value < len(found):
            self.one(what, found[value])

    def delete(self, chosen: list[Any]) -> None:
        if not chosen:
            return
        body = {"instances": [link(one) for one in chosen]}
        done = self.cloud.do("POST", f"{GROUPS}/fleet/deleteInstances", body)
        if any(one["currentAction"] == "DELETING" for one in chosen):
            assert "error" in done, "one of them was being deleted already"
        else:
            assert "error" not in done, done
            self.target -= len(chosen)

    def one(self, what: str, one: Any) -> None:
        if what == "preempt":
            if one.get("instanceStatus") == "RUNNING" and self.runs(one["name"]):
                self.cloud.compute.preempt(one["name"])
        elif what == "delete-directly":
            if "id" in one:
                self.cloud.do("DELETE", f"{BASE}/{link(one)}")
        elif one["currentAction"] != "DELETING":
            self.cloud.do("POST", f"{GROUPS}/fleet/recreateInstances", {"instances": [link(one)]})

    def runs(self, name: str) -> bool:
        """Whether it has started and has not ended, whatever the API says."""
        told = self.cloud.told("instance-running", "reclaimed", "terminated")
        whats = [what for _, what, node in told if node == name]
        return bool(whats) and whats[-1] == "instance-running"

    def supply(self) -> None:
        market = self.cloud.compute.market
        market.set_capacity(None)
        for letter in "abc":
            market.set_capacity(None, zone=f"{REGION}-{letter}")


@settings(max_examples=150)
@given(
    st.lists(steps, max_size=12),
    st.sampled_from(["ANY", "ANY_SINGLE_ZONE", "BALANCED", "EVEN"]),
    st.sampled_from(["YES", "NO"]),
    st.sampled_from([SPOT, NOTICE]),
)
def test_a_group_comes_back_to_its_size(moves: list[Any], shape: str, allowed: str, scheduling: Any) -> None:
    play = Play(shape, allowed, scheduling)
    for what, value in moves:
        play.step(what, value)
        kept = [one for one in play.cloud.managed() if one["currentAction"] != "DELETING"]
        assert len(kept) == play.cloud.size() == play.target, "what is wanted is listed at once"
    play.supply()
    play.cloud.clock.pass_by(LONG)
    found = play.cloud.managed()
    assert [one["currentAction"] for one in found] == ["NONE"] * play.target
    assert [one["instanceStatus"] for one in found] == ["RUNNING"] * play.target
    assert len({one["name"] for one in found}) == len(found)
    lives = [details["id"] for _, what, _, details in play.cloud.moments if what == "instance-launched"]
    assert len(set(lives)) == len(lives), "a number was given twice"
    ended = [details["id"] for _, what, _, details in play.cloud.moments if what in ("reclaimed", "terminated")]
    assert len(set(ended)) == len(ended), "an instance ended twice"
    assert {one["id"] for one in found} == set(lives) - set(ended)
