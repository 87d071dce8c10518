import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local_aws_support import PATIENCE, SHORT, cloud, function, group, launched, queue, template, until
from spotkeeper_lab.local import EventLog
from spotkeeper_lab.local_aws import FunctionFailed, LocalAws, Timing

LONG = 'sh -c "sleep 600" & setsid sleep 600 &'
"""User data that leaves processes behind, one of them in a session of its own."""


def alive(root: Path) -> list[str]:
    """Return the commands of all processes that work in a directory."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cwd").resolve().is_relative_to(root):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_closing_leaves_nothing_behind(tmp_path: Path) -> None:
    before, before_zombies = set(threading.enumerate()), zombies()
    with cloud(tmp_path) as aws:
        function(aws, "def handle(event, context): pass")
        aws.deploy_function()
        group(aws, "group", 2, user_data=LONG)
        launched(aws, "group", 2)
        assert len(alive(tmp_path)) >= 6
    assert alive(tmp_path) == []
    assert set(threading.enumerate()) <= before
    assert zombies() == before_zombies
    aws.close()


def zombies() -> set[int]:
    """Return the dead children of this process that nobody has reaped."""
    found = set()
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            found.add(int(child))
    return found


OPEN_AND_SAY = """
import sys, time
from pathlib import Path
from local_aws_support import cloud, group, launched
with cloud(Path(sys.argv[1])) as aws:
    group(aws, "group", 1, user_data=sys.argv[2])
    launched(aws, "group")
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_a_lab_that_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    said = tmp_path / "nodes/1/said"
    said.parent.mkdir(parents=True)
    os.mkfifo(said)
    # Whoever holds the other end of the pipe is alive; a reader sees its end when the last one is gone.
    command = [sys.executable, "-c", OPEN_AND_SAY, str(tmp_path), f"exec 9> {said}; {LONG}"]
    lab = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path(__file__).parent)
    with said.open() as held:
        assert lab.stdout is not None
        assert lab.stdout.readline() == b"up\n"
        lab.send_signal(number)
        assert held.read() == ""
    lab.communicate(timeout=PATIENCE)
    assert lab.returncode != 0


def test_there_is_one_cloud_at_a_time_and_the_next_one_is_empty(tmp_path: Path) -> None:
    with cloud(tmp_path / "first") as aws:
        queue(aws, "left-over")
        group(aws, "left-over", 0)
        with pytest.raises(RuntimeError, match="a local cloud is open already"):
            LocalAws(tmp_path / "second", Timing(), events=EventLog())
    with cloud(tmp_path / "third") as aws:
        assert aws.client("sqs").list_queues().get("QueueUrls") is None
        assert aws.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"] == []


def test_a_cloud_has_what_a_fleet_starts_from(tmp_path: Path) -> None:
    with cloud(tmp_path) as aws:
        subnets = aws.client("ec2").describe_subnets(SubnetIds=aws.subnet_ids)["Subnets"]
        assert len({subnet["AvailabilityZone"] for subnet in subnets}) == len(aws.subnet_ids) >= 3
        (image,) = aws.client("ec2").describe_images(ImageIds=[aws.image_id])["Images"]
        assert image["Architecture"] == "x86_64"
        assert aws.client("sts").get_caller_identity()["Account"] == aws.account


def test_a_process_with_a_callers_environment_is_that_caller(tmp_path: Path) -> None:
    with cloud(tmp_path) as aws:
        call = [sys.executable, "-c", "import boto3; boto3.client('sqs').list_queues()"]
        subprocess.run(call, env={**os.environ, **aws.environment("pulumi")}, check=True, timeout=60)
        assert aws.calls.snapshot()["pulumi"] == {"ListQueues": 1}


def test_what_the_cloud_does_not_have_is_a_failure_at_once(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="start_instance_refresh"), cloud(tmp_path) as aws:
        with pytest.raises(ClientError, match="StartInstanceRefresh is not in the local cloud"):
            aws.client("autoscaling").start_instance_refresh(AutoScalingGroupName="group")
        assert aws.calls.snapshot()["lab"] == {"StartInstanceRefresh": 1}


def test_a_launch_that_cannot_be_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Instance profile nobody not found"), cloud(tmp_path) as aws:
        specification = template(aws, "unknown", "true", IamInstanceProfile={"Name": "nobody"})
        policy = {"LaunchTemplate": {"LaunchTemplateSpecification": specification}}
        group(aws, "group", 1, MixedInstancesPolicy=policy)
        aws.events.wait(lambda moment: moment.what == "local-cloud-failed", PATIENCE)


def test_an_error_of_the_user_is_not_hidden_by_a_failure_of_the_cloud(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"), cloud(tmp_path) as aws:
        aws.events.add("local-cloud-failed", error="its own")
        raise KeyError("mine")


def test_a_function_needs_one_queue(tmp_path: Path) -> None:
    with cloud(tmp_path) as aws:
        with pytest.raises(RuntimeError, match="event source mappings: were 0, expected one"):
            aws.deploy_function()
        with pytest.raises(RuntimeError, match="event source mappings: were 0"):
            aws.send_raw("x")
        function(aws, "def handle(event, context): pass")
        aws.deploy_function()
        with pytest.raises(RuntimeError, match="the function runs already"):
            aws.deploy_function()


def test_a_function_that_cannot_start_is_refused(tmp_path: Path) -> None:
    with cloud(tmp_path) as aws:
        function(aws, "import spotkeeper_lab")
        with pytest.raises(FunctionFailed, match=r"made\.handle cannot be imported: No module named 'spotkeeper_lab'"):
            aws.deploy_function()


def test_schedules_fire_at_every_tick_from_when_the_function_is_there(tmp_path: Path) -> None:
    with cloud(tmp_path) as aws:
        function(aws, "def handle(event, context): pass")
        aws.client("events").put_rule(Name="tick", ScheduleExpression="rate(1 minute)")
        _, arn = queue(aws, "events")
        aws.client("events").put_targets(Rule="tick", Targets=[{"Id": "1", "Arn": arn}])
        aws.deploy_function()
        first = until(aws, "function-invoked")
        assert until(aws, "function-invoked", after=first.at).at - first.at >= SHORT["tick_seconds"] / 2
        aws.send_raw("anything")
        assert until(aws, "function-invoked", after=first.at)


def test_moto_never_runs_the_function_itself(tmp_path: Path) -> None:
    with cloud(tmp_path) as aws:
        live, _ = function(aws, "def handle(event, context): pass")
        aws.send_raw("before it is there")
        names = ["ApproximateNumberOfMessages"]
        found = aws.client("sqs").get_queue_attributes(QueueUrl=live, AttributeNames=names)["Attributes"]
        assert found == {"ApproximateNumberOfMessages": "1"}
        aws.deploy_function()
        assert until(aws, "function-invoked").detail["batch"] == 1
