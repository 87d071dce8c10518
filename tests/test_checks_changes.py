"""Each check of deploys, on a rehearsal that went well and one that is bent in one place."""

from __future__ import annotations

from dataclasses import replace

from lab_support import START, recovered
from spotkeeper_lab.checks.changes import CHECKS
from spotkeeper_lab.evidence import Evidence
from spotkeeper_lab.scenario import Expectations
from spotkeeper_lab.timeline import SPOT, Departure, Deploy, Life, Notice, Shape, Timeline

at = START.__add__
OLD, NEW = "1", "2"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def told(timeline: Timeline) -> list[str]:
    evidence = Evidence(timeline=timeline, expect=Expectations())
    return [sentence for check in CHECKS for sentence in check(evidence)]


def bent(timeline: Timeline, node: str, **changes: object) -> Timeline:
    """The same with one life changed."""
    lives = [replace(life, **changes) if life.node == node else life for life in timeline.lives]
    return replace(timeline, lives=lives)


def shrunk() -> Timeline:
    """From three spot nodes to one: a spare and another one are let go by name, and the one of the job stays."""
    spare = Departure(at(13), "named")
    return Timeline(
        shape=Shape(spot_target=3, base=0, maximum=3, version=OLD),
        started_at=START,
        ended_at=at(30),
        reshaped=[(at(10), Shape(spot_target=1, base=0, maximum=1, version=OLD))],
        deploys=[Deploy("deploy", at(9), at(11), changed=("aws:autoscaling/group:Group",))],
        lives=[
            Life("i-job", SPOT, at(0), serving_at=at(2), version=OLD),
            Life("i-one", SPOT, at(0), serving_at=at(2), ended_at=at(14), version=OLD, left=spare),
            Life("i-two", SPOT, at(0), serving_at=at(2), ended_at=at(15), version=OLD, left=spare),
        ],
        notices=[
            Notice(node, "scale-in", SPOT, at(11), deadline=at(60), signalled_at=at(11), confirmed_at=at(12))
            for node in ("i-one", "i-two")
        ],
    )


def restarted() -> Timeline:
    """Two nodes of an old version are replaced, the one of the job last, once a new one has reported."""
    first, last = Departure(at(13), "named"), Departure(at(18), "named")
    return Timeline(
        shape=Shape(spot_target=2, base=0, maximum=2, version=OLD),
        started_at=START,
        ended_at=at(30),
        reshaped=[(at(10), Shape(spot_target=2, base=0, maximum=2, version=NEW, on_update="checkpoint-restart"))],
        deploys=[Deploy("deploy", at(9), at(11), changed=(TEMPLATE, "aws:autoscaling/group:Group"))],
        lives=[
            Life("i-job", SPOT, at(0), serving_at=at(2), ended_at=at(19), version=OLD, left=last),
            Life("i-spare", SPOT, at(0), serving_at=at(2), ended_at=at(14), version=OLD, left=first),
            Life("i-new", SPOT, at(12), serving_at=at(15), version=NEW),
            Life("i-newer", SPOT, at(17), serving_at=at(20), version=NEW),
        ],
        notices=[
            Notice("i-spare", "drain", SPOT, at(11), signalled_at=at(11), confirmed_at=at(12)),
            Notice("i-job", "scale-in", SPOT, at(16), held_job=True, signalled_at=at(16), confirmed_at=at(17)),
        ],
    )


def kept() -> Timeline:
    """A new launch template that a running fleet does not take up: what is launched after it is of the old version."""
    timeline = recovered()
    lives = [replace(life, version=OLD) for life in timeline.lives]
    shape, deploy = replace(timeline.shape, version=OLD), Deploy("deploy", at(6), at(7), changed=(TEMPLATE,))
    return replace(timeline, shape=shape, lives=lives, deploys=[deploy])


def test_what_went_well_is_not_complained_about():
    assert told(recovered()) == []
    assert told(shrunk()) == []
    assert told(restarted()) == []
    assert told(kept()) == []


def test_a_node_that_the_cloud_chose_or_that_just_ended():
    chosen = bent(shrunk(), "i-one", left=Departure(at(13), "chosen"))
    assert "i-one was chosen by the cloud to end, expected that only named nodes do" in told(chosen)
    going = bent(shrunk(), "i-one", left=Departure(at(13), "chosen"), ended_at=None)
    assert "i-one was chosen by the cloud to end, expected that only named nodes do" in told(going)
    assert "i-one ended, and nobody had taken or named it" in told(bent(shrunk(), "i-one", left=None))
    assert told(bent(shrunk(), "i-one", left=None, reclaimed=True)) == []
    assert told(bent(shrunk(), "i-one", left=Departure(at(13), "rebalanced"))) == []


def test_a_fleet_that_is_destroyed_chooses_all_of_its_nodes():
    destroyed = replace(shrunk(), deploys=[*shrunk().deploys, Deploy("destroy", at(20), at(25))])
    gone = bent(destroyed, "i-job", ended_at=at(24), left=Departure(at(21), "chosen"))
    assert told(gone) == []


def test_a_node_that_was_ended_before_it_had_saved():
    hasty = bent(shrunk(), "i-one", left=Departure(at(11.5), "named"))
    assert told(hasty) == ["i-one was ended before it had confirmed that nothing is left to save"]
    silent = replace(shrunk(), notices=[replace(n, confirmed_at=None) for n in shrunk().notices])
    assert len(told(silent)) == 2
    patient = replace(silent, notices=[replace(n, deadline=at(12.5)) for n in silent.notices])
    assert told(patient) == [], "it had all the time there was"
    assert told(replace(silent, finished_at=at(12), reshaped=[])) == [], "a job that is over has nothing to save"


def test_a_size_that_was_never_reached():
    assert told(bent(shrunk(), "i-two", ended_at=None, left=None)) == [
        "the fleet never had the size that a deploy asked for: 1 spot and 0 on-demand nodes"
    ]


def test_the_node_of_the_job_is_spared_if_others_can_go():
    moved = [replace(notice, held_job=notice.node == "i-one") for notice in shrunk().notices]
    assert told(replace(shrunk(), notices=moved)) == [
        "i-one, which held the job, was let go although 2 others could have been"
    ]


def test_a_running_fleet_that_takes_up_a_new_version():
    assert told(bent(kept(), "i-spot-c", version=NEW)) == [
        "i-spot-c started from version 2, expected the running fleet's 1"
    ]
    late = replace(kept(), deploys=[replace(kept().deploys[0], began_at=at(25), ended_at=at(26))])
    assert told(late) == ["nothing was proved: no node was launched after the launch template was changed"]


def test_a_fleet_that_does_not_take_up_the_new_version():
    assert told(bent(restarted(), "i-spare", ended_at=None, left=None))[0] == (
        "i-spare still ran version 1 at the end, expected 2"
    )
    without = replace(restarted(), notices=restarted().notices[:1])
    assert "nothing was proved: no node that held the job was let go for version 2" in told(without)


def test_a_job_that_has_to_go_before_anybody_can_take_it():
    assert told(bent(restarted(), "i-new", serving_at=at(16.5))) == [
        "i-job, which held the job, was let go before any node of version 2 served"
    ]
