from __future__ import annotations

from spotkeeper_lab.local.moments import Moment
from spotkeeper_lab.rollouts import departures, deploys, shape_of, spec_written_at, under_way
from spotkeeper_lab.timeline import Departure, Deploy, Shape
from spotkeeper_ledger.documents import FleetSpec

GROUP, OBJECT = "aws:autoscaling/group:Group", "aws:s3/bucketObjectv2:BucketObjectv2"
MOMENTS = [
    Moment(1.0, "resource-changing", None, {"kind": GROUP}),
    Moment(2.0, "deploying", None, {"change": "deploy"}),
    Moment(3.0, "resource-changing", None, {"kind": GROUP}),
    Moment(4.0, "resource-changing", None, {"kind": OBJECT}),
    Moment(5.0, "deployed", None, {"change": "deploy", "left": ()}),
    Moment(6.0, "leaving", "i-1", {"why": "named"}),
    Moment(7.0, "deploying", None, {"change": "destroy"}),
    Moment(8.0, "resource-deleting", None, {"kind": OBJECT}),
    Moment(9.0, "leaving", "i-2", {"why": "chosen"}),
]
ENDED = Moment(12.0, "deployed", None, {"change": "destroy", "left": ["the spec"]})


def test_each_change_has_what_was_done_while_it_lasted():
    first, second = deploys([*MOMENTS, ENDED])
    assert first == Deploy("deploy", 2.0, 5.0, changed=(GROUP, OBJECT))
    assert second == Deploy("destroy", 7.0, 12.0, deleted=(OBJECT,), left=("the spec",))


def test_a_change_that_has_not_ended_is_under_way():
    assert under_way(MOMENTS)
    assert deploys(MOMENTS)[1].ended_at is None
    assert not under_way([*MOMENTS, ENDED])
    assert not under_way([*MOMENTS, Moment(9.0, "deploy-failed", None, {"change": "destroy", "error": "x"})])


def test_when_the_spec_was_written_and_who_left_why():
    assert spec_written_at(MOMENTS) == 4.0
    assert spec_written_at(MOMENTS[:3]) is None
    assert departures(MOMENTS) == {"i-1": Departure(6.0, "named"), "i-2": Departure(9.0, "chosen")}


def test_a_spec_is_a_shape():
    spec = FleetSpec(
        fleet="f", incarnation="x", cloud="aws", region="r", target=5, base=1, maximum=3, spot_group="s",
        backup_group="b", command_version="7", on_update="checkpoint-restart",
    )  # fmt: skip
    assert shape_of(spec) == Shape(4, 1, 3, policy="mirror", version="7", on_update="checkpoint-restart")
