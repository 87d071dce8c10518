from pathlib import Path

from spotkeeper_lab.local.moments import EventLog
from spotkeeper_lab.local.timers import Timers
from spotkeeper_lab.local_aws.timing import Timing
from spotkeeper_lab.local_aws.world import World, iso


def test_names_of_resources_and_times_are_written_as_aws_writes_them(tmp_path: Path) -> None:
    timers = Timers(print)
    world = World(tmp_path, Timing(), EventLog(), timers, region="eu-west-1")
    timers.close()
    assert world.arn("ec2", "instance/i-1") == "arn:aws:ec2:eu-west-1:123456789012:instance/i-1"
    assert iso(1_700_000_000.9) == "2023-11-14T22:13:20Z"
