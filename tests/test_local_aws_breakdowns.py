from collections.abc import Iterator
from pathlib import Path

import pytest

from local_aws_support import PATIENCE, cloud, group, launched, members, until
from spotkeeper_lab.local import processes
from spotkeeper_lab.local_aws import LocalAws

COUNTING = """
    cat > $SPOTKEEPER_ROOT/count <<'END'
    while :; do echo x >> $SPOTKEEPER_ROOT/counted; sleep 0.01; done
END
    SPOTKEEPER_NODE=$(cat $SPOTKEEPER_ROOT/instance-id) setsid bash $SPOTKEEPER_ROOT/count &
    setsid sleep 600 &
    until [ -e $SPOTKEEPER_ROOT/counted ]; do sleep 0.01; done
"""
"""A training command, known by what an agent gives it, and something else that runs on the node."""


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


def booted(aws: LocalAws, name: str) -> str:
    group(aws, name, 1, user_data=COUNTING)
    return launched(aws, name)[0]


def state(pid: int) -> str | None:
    """Return the letter of a process's state, or None where it has ended meanwhile, as the job's sleeps do."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def states(pids: list[int]) -> set[str]:
    return {known for pid in pids if (known := state(pid)) is not None}


def test_a_node_that_dies_is_gone_at_once_and_found_by_the_health_check(aws: LocalAws) -> None:
    node = booted(aws, "dying")
    aws.kill(node)
    died = until(aws, "killed", node)
    assert processes.find(f"SPOTKEEPER_ROOT={aws.nodes.node(node).dir}") == []
    assert [one["LifecycleState"] for one in members(aws, "dying")] == ["InService"], "its group does not know yet"
    replacement = launched(aws, "dying", 2)[1]
    assert until(aws, "instance-launched", replacement).at - died.at >= 0.29
    told = {moment.what for moment in aws.events.moments() if moment.node == node}
    assert not told & {"notice-injected", "warning-sent", "lifecycle-wait", "reclaimed"}
    aws.kill(node)
    assert len([m for m in aws.events.moments() if m.what == "killed"]) == 1


def test_a_node_that_stands_still_stays_in_its_group_and_goes_on_where_it_was(aws: LocalAws) -> None:
    node = booted(aws, "still")
    root = aws.nodes.node(node).dir
    aws.freeze(node)
    pids = aws.nodes.processes(node)
    assert len(pids) >= 2
    assert states(pids) == {"T"}
    with pytest.raises(ProcessLookupError, match="does not run"):
        aws.nodes.run(node, "true", PATIENCE)
    assert [one["LifecycleState"] for one in members(aws, "still")] == ["InService"]
    counted = (root / "counted").stat().st_size

    aws.thaw(node, job_only=True)
    job = processes.find(f"SPOTKEEPER_NODE={node}")
    assert "T" not in states([pid for pid in job if Path(f"/proc/{pid}").exists()][:1])
    assert states([pid for pid in pids if pid not in job]) == {"T"}, "only the training goes on"

    aws.thaw(node)
    assert aws.nodes.run(node, f"until [ $(stat -c %s counted) -gt {counted} ]; do sleep 0.01; done", PATIENCE)
    assert "T" not in states([pid for pid in aws.nodes.processes(node) if Path(f"/proc/{pid}").exists()])


def test_a_node_that_stands_still_can_be_ended(aws: LocalAws) -> None:
    node = booted(aws, "ended")
    aws.freeze(node)
    group_name = "ended"
    aws.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=node, ShouldDecrementDesiredCapacity=True
    )
    aws.client("autoscaling").complete_lifecycle_action(
        AutoScalingGroupName=group_name,
        LifecycleHookName="hook",
        InstanceId=node,
        LifecycleActionResult="CONTINUE",
    )
    until(aws, "terminated", node)
    assert processes.find(f"SPOTKEEPER_ROOT={aws.nodes.node(node).dir}") == []
