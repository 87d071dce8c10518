"""Deploys on a running fleet and its destruction, sabotaged: rehearsals that must not be called a success."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from spotkeeper_lab import scenario
from spotkeeper_lab.live import Lines
from spotkeeper_lab.rehearsal import Rehearsal
from spotkeeper_lab.scenario import Step
from spotkeeper_lab.situation import Situation

pytestmark = pytest.mark.rehearsal
HOOK = "spotkeeper-terminate"


def told(name: str, tmp_path, steps: list[Step], **settings) -> str:
    """Play a scenario with other steps; return the promises that were broken."""
    story = replace(scenario.load(name), steps=tuple(replace(step, within=20) for step in steps))
    report = Rehearsal(story, tmp_path, Lines(Console(file=io.StringIO())), **settings).run().report
    assert not report["ok"]
    return "\n".join(report["broken_promises"])


def groups(local) -> list[dict]:
    return local.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]


def test_a_cloud_that_may_choose_who_goes_is_found_out(tmp_path):
    def unprotect(now: Situation, local) -> None:
        """Take the protection from nodes, so that the lower bound of a smaller fleet ends some of them."""
        for group in groups(local):
            nodes = [each["InstanceId"] for each in group["Instances"] if each["ProtectedFromScaleIn"]]
            if nodes and not now.deploying:
                local.client("autoscaling").set_instance_protection(
                    AutoScalingGroupName=group["AutoScalingGroupName"], InstanceIds=nodes, ProtectedFromScaleIn=False
                )

    steps = [
        Step("deploy", when="training-mid-epoch", config={"nodes": 1}),
        Step("wait", when="deployed"),
        Step("wait", when="at-size"),
    ]
    assert "was chosen by the cloud to end" in told("resize", tmp_path, steps, meddle=unprotect)


def test_a_running_job_that_is_given_the_new_version_and_one_that_never_gets_it_are_found_out(tmp_path):
    def touch_the_groups(_: Situation, local) -> None:
        """Let both groups start what is launched from now on from the newest version, as a careless deploy would."""
        newest = local.client("ec2").describe_launch_templates()["LaunchTemplates"][0]["LatestVersionNumber"]
        for group in groups(local):
            policy = group["MixedInstancesPolicy"]
            template = policy["LaunchTemplate"]["LaunchTemplateSpecification"]
            if template["Version"] != str(newest):
                template["Version"] = str(newest)
                local.client("autoscaling").update_auto_scaling_group(
                    AutoScalingGroupName=group["AutoScalingGroupName"], MixedInstancesPolicy=policy
                )

    first, *_ = scenario.load("update").steps
    steps = [
        first,
        Step("wait", when="deployed"),
        Step("interrupt", when="training-mid-epoch", target="holder"),
        Step("wait", when="reclaimed", after=1),
        Step("deploy", config={"onUpdate": "checkpoint-restart"}),
        Step("wait", when="deployed", after=2),
    ]
    said = told("update", tmp_path, steps, meddle=touch_the_groups, responder=False)
    assert "started from version 2, expected the running fleet's 1" in said
    assert "still ran version 1 at the end, expected 2" in said
    assert "was let go for version 2" in said


def test_a_fleet_that_goes_without_saving_is_found_out(tmp_path):
    def unhook(_: Situation, local) -> None:
        """Delete the hooks, as Pulumi would if it were not told to keep them."""
        client = local.client("autoscaling")
        for name in [group["AutoScalingGroupName"] for group in groups(local)]:
            if client.describe_lifecycle_hooks(AutoScalingGroupName=name)["LifecycleHooks"]:
                client.delete_lifecycle_hook(AutoScalingGroupName=name, LifecycleHookName=HOOK)

    steps = [Step("destroy", when="training-mid-epoch"), Step("wait", when="deployed")]
    assert "was expected to complete its terminate hook, which it never did" in told(
        "destroy", tmp_path, steps, meddle=unhook
    )
