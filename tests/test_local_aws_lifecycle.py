import pytest
from moto.autoscaling.exceptions import ValidationError

from spotkeeper_lab.local_aws.lifecycle import LifecycleActions


@pytest.mark.parametrize("by", ["instance", "token"])
def test_an_action_is_found_by_its_instance_or_its_token(by: str) -> None:
    actions = LifecycleActions()
    began = actions.begin("group", "hook", "i-1", 60, now=0)
    named = {"instance": None, "token": None, by: {"instance": "i-1", "token": began.token}[by]}
    assert actions.find("group", "hook", **named) == began


@pytest.mark.parametrize("where", [("other", "hook", "i-1"), ("group", "other", "i-1"), ("group", "hook", "i-2")])
def test_what_does_not_wait_is_refused_as_aws_does(where: tuple[str, str, str]) -> None:
    actions = LifecycleActions()
    actions.begin("group", "hook", "i-1", 60, now=0)
    group, hook, instance = where
    with pytest.raises(ValidationError, match=f"No active Lifecycle Action found with instance ID {instance}"):
        actions.find(group, hook, instance=instance, token=None)


def test_an_action_has_to_be_named() -> None:
    with pytest.raises(ValidationError, match="Either LifecycleActionToken or InstanceId"):
        LifecycleActions().find("group", "hook", instance=None, token=None)


def test_heartbeats_prolong_an_action_up_to_a_hundred_timeouts() -> None:
    actions = LifecycleActions()
    action = actions.begin("group", "hook", "i-1", 60, now=0)
    assert actions.seconds_left(action.token, now=50) == 10
    actions.heartbeat(action, now=50)
    assert actions.seconds_left(action.token, now=50) == 60
    actions.heartbeat(action, now=5990)
    assert actions.seconds_left(action.token, now=5990) == 10
    assert actions.seconds_left(action.token, now=7000) == 0


def test_an_instance_waits_for_all_of_its_hooks() -> None:
    actions = LifecycleActions()
    first, second = (actions.begin("group", hook, "i-1", 60, now=0) for hook in ("first", "second"))
    assert not actions.end(first)
    assert actions.end(second)
    assert actions.seconds_left(second.token, now=0) is None


def test_a_gone_instance_waits_for_nothing() -> None:
    actions = LifecycleActions()
    gone, other = (actions.begin("group", "hook", instance, 60, now=0) for instance in ("i-1", "i-2"))
    actions.forget("i-1")
    assert actions.seconds_left(gone.token, now=0) is None
    assert actions.seconds_left(other.token, now=0) == 60
