"""How fleets are shown: from the ledger alone, and with the groups of an account."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oncall_support import BUCKET, Ledger, aws, client
from responder_support import FLEET, PREFIX, instances, node, record, view
from spotkeeper_lab.operations.reading import read_fleet, read_job, reported_at
from spotkeeper_lab.operations.status import FleetStatus, status_of
from spotkeeper_lab.operations.tables import span
from spotkeeper_ledger import (
    ANY,
    REBALANCE,
    Account,
    DeadlineSpec,
    FailureRecord,
    Generation,
    Member,
    NodeSeen,
    Pause,
    PlanRecord,
    PriceRecord,
    Progress,
    keys,
)
from spotkeeper_responder import State

COMMAND = "import sys; from spotkeeper_lab.cli import main; sys.exit(main())"


@pytest.fixture
def ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ledger:
    return Ledger.in_folder(tmp_path, capsys)


def seen(ledger: Ledger, **options: Any) -> FleetStatus:
    fleet = read_fleet(ledger.board, FLEET)
    job, reports = read_job(ledger.board, fleet.spec), reported_at(ledger.board, fleet.spec)
    return status_of(fleet, job, reports, ledger.now, **options)


# ---------------------------------------------------------------- what is counted


def test_nodes_that_have_reported_and_stay_serve(ledger: Ledger) -> None:
    ledger.fleet(spot=(1, 2, 3), backup=(8, 9), notices={node(2): record(2, at=ledger.now)})
    status = seen(ledger)
    assert (status.spot.serving, status.spot.nodes, status.spot.desired) == (2, 3, 4)
    assert (status.backup.serving, status.backup.nodes, status.shortfall) == (2, 2, 2)


def test_a_node_that_is_silent_does_not_serve(ledger: Ledger) -> None:
    ledger.fleet()
    path = Path(ledger.uri.removeprefix("file://")) / keys.report(FLEET, PREFIX + node(1))
    os.utime(path, (ledger.now - 91, ledger.now - 91))
    assert (seen(ledger).spot.serving, seen(ledger).shortfall) == (3, 1)


def test_a_node_that_the_last_tick_did_not_see_is_not_there(ledger: Ledger) -> None:
    remembered = {node(n): NodeSeen("spot", ledger.now - 900, ledger.now - ago) for n, ago in ((1, 20), (2, 300))}
    ledger.fleet(spot=(1, 2), seen=remembered)
    assert seen(ledger).spot.nodes == 1


def test_with_its_groups_a_fleet_is_as_the_cloud_has_it(ledger: Ledger) -> None:
    ledger.fleet(notices={})
    old = [replace(each, version="1") for each in instances([1, 2])]
    now = [replace(each, version="2") for each in instances([3])]
    there = view([*old, *now, *instances([4], State.PENDING)], instances([9], State.HELD))
    ledger.put(keys.spec(FLEET), replace(read_fleet(ledger.board, FLEET).spec, command_version="2"))
    status = seen(ledger, groups=(there.spot, there.backup))
    assert (status.spot.serving, status.spot.nodes, status.backup.serving, status.backup.nodes) == (3, 4, 0, 1)
    assert (status.outdated, status.source) == ((node(1), node(2)), "cloud")


def test_the_ledger_alone_does_not_know_of_old_templates(ledger: Ledger) -> None:
    ledger.fleet()
    assert (seen(ledger, problem="no region").outdated, seen(ledger).source) == (None, "ledger")


def test_notices_are_those_that_are_not_over(ledger: Ledger) -> None:
    notices = {
        node(1): record(1, at=ledger.now, deadline=ledger.now + 90, confirmed_step=7),
        node(2): record(2, REBALANCE, at=ledger.now, deadline=None),
        node(3): record(3, at=ledger.now, stage="ended"),
    }
    ledger.fleet(notices=notices)
    told = [(n.node, n.kind, n.confirmed_step) for n in seen(ledger).notices]
    assert told == [(node(1), "interruption", 7), (node(2), "rebalance", None)]
    assert seen(ledger).notices[0].seconds_left == pytest.approx(90)


def test_the_job_is_as_its_nodes_say_until_the_responder_knows_better(ledger: Ledger) -> None:
    ledger.fleet()
    assert seen(ledger).job.state == "waiting"
    ledger.job()
    job = seen(ledger).job
    assert (job.state, job.node, job.generation, job.step, job.checkpoint_step) == ("running", node(1), 3, 120, 100)
    assert job.checkpoint_age_seconds == pytest.approx(300)
    assert job.goodput is None
    ledger.fleet(job_state="failed", job_ended_at=ledger.now)
    assert seen(ledger).job.state == "failed"


def test_of_a_job_on_several_nodes_the_first_is_named_and_the_others_counted(ledger: Ledger) -> None:
    ledger.fleet()
    ledger.job()
    members = tuple(Member(node(number), "b", f"10.0.0.{number}") for number in (2, 1, 3))
    ledger.put(keys.generation(FLEET), Generation(FLEET, "AROATEST", 4, "running", members))
    assert (seen(ledger).job.node, seen(ledger).job.nodes) == (node(2), 3)
    assert f"on {node(2)} and 2 other nodes, generation 4" in " ".join(ledger.run("status", FLEET).out.split())


def test_what_nodes_write_is_not_believed_blindly(ledger: Ledger) -> None:
    ledger.fleet()
    ledger.job()
    for spoilt in (b"{", b"[" * 100_000, b"x" * 200_000):
        ledger.board.write(keys.progress(FLEET), spoilt, expect=ANY)
        assert read_job(ledger.board, read_fleet(ledger.board, FLEET).spec).progress is None
    ledger.put(keys.progress(FLEET), Progress(FLEET, "AROAOLD", generation=9, node=node(1), at=1.0, step=7))
    assert seen(ledger).job.step is None


def test_hours_and_limits_are_node_hours(ledger: Ledger) -> None:
    wanted = ledger.fleet(spot_node_seconds=7200.0, on_demand_node_seconds=3600.0, fallback_node_seconds=1800.0)
    ledger.put(keys.spec(FLEET), replace(wanted, max_on_demand_hours=2.5))
    status = seen(ledger)
    assert (status.spot_hours, status.on_demand_hours, status.fallback_hours) == (2, 1, 0.5)
    assert status.fallback_hours_limit == 2.5


def test_a_deadline_is_on_track_or_at_risk_and_says_what_it_has_cost(ledger: Ledger) -> None:
    terms = DeadlineSpec(on_demand_price=3.06, hours=60.0)
    plan = PlanRecord(at=ledger.now, buys=False, reason="the job runs on spot", time_slack=4 * 3600.0)
    price = PriceRecord(0.97, at=ledger.now)
    account = Account(since=ledger.now - 10 * 3600, spent=38.8, price=price, plan=plan)
    wanted = ledger.fleet(account=account)
    assert seen(ledger).deadline is None, "the fleet is of another policy"
    ledger.put(keys.spec(FLEET), replace(wanted, deadline=terms))
    deadline = seen(ledger).deadline
    assert deadline is not None
    assert (deadline.on_track, deadline.spent, deadline.spot_price) == (True, 38.8, 0.97)
    assert deadline.seconds_left == pytest.approx(50 * 3600, abs=60)
    words = "in 2 d: on track, 4 h to spare; the job runs on spot; cost 38.80 so far"
    assert words in " ".join(ledger.run("status", FLEET).out.split())
    ledger.fleet(spot=(1,), account=replace(account, plan=replace(plan, on_demand=2)))
    ledger.put(keys.spec(FLEET), replace(wanted, deadline=terms))
    assert "3 spot nodes; on-demand wanted for 2" in " ".join(ledger.run("status", FLEET).out.split())
    ledger.fleet(account=replace(account, plan=replace(plan, final=True, problem="time is short")))
    ledger.put(keys.spec(FLEET), replace(wanted, deadline=terms))
    assert "at risk; on-demand to the end; cost 38.80 so far; time is short" in " ".join(
        ledger.run("status", FLEET).out.split()
    )


def test_a_fleet_that_nobody_has_looked_at_yet_can_be_shown(ledger: Ledger) -> None:
    ledger.fleet()
    ledger.board.delete(keys.ledger(FLEET))
    assert (seen(ledger).tick_age_seconds, seen(ledger).spot.desired) == (None, None)
    assert "never" in ledger.run("status", FLEET).out


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (119, "119 s"), (121, "2 min"), (7300, "2 h"), (400_000, "5 d")]
)
def test_lengths_of_time_are_told_in_words(seconds: float, words: str) -> None:
    assert span(seconds) == words


# ---------------------------------------------------------------- what is shown


def test_the_overview_has_a_line_for_each_fleet(ledger: Ledger) -> None:
    ledger.fleet("vision", backup=(9,), spot=(1, 2, 3), shortfall_since=ledger.now - 60)
    ledger.job("vision")
    ledger.fleet("speech", pause=Pause("held", 1.0), notices={node(1): record(1, at=ledger.now)})
    ledger.board.write("fleets/gone/ledger.json", b"{}", expect=ANY)  # destroyed: its records are still there
    said = ledger.run("status")
    head, speech, vision = (line.split() for line in said.out.splitlines())
    assert head == ["fleet", "target", "spot", "on-demand", "missing", "job", "step", "last", "tick", "remarks"]
    assert vision[:7] == ["vision", "4", "3", "1", "1", "running", "120/400"]
    assert speech[0] == "speech"
    assert " ".join(speech[-5:]) == "held, 1 node under notice"
    assert (said.code, said.err) == (0, "")


def test_no_fleet_is_no_error(ledger: Ledger) -> None:
    assert ledger.run("status").out == "There is no fleet in this ledger.\n"


def test_one_fleet_is_shown_in_full(ledger: Ledger) -> None:
    message = "Could not launch [/red] UnfulfillableCapacity"  # nothing in it is markup
    ledger.fleet(
        spot=(1, 2, 3),
        shortfall_since=ledger.now - 600,
        notices={node(4): record(4, at=ledger.now, deadline=ledger.now - 5)},
        failures={"capacity": FailureRecord(3, ledger.now - 300, message)},
        pause=Pause("stopped", ledger.now - 600, "[bold]peak"),
    )
    ledger.job()
    told = ledger.run("status", FLEET).out
    for words in (
        "3 serving of 3 nodes, 4 asked for",
        "1 spot node, for 10 min",
        f"running; on {node(1)}, generation 3; step 120/400; last checkpoint at step 100, 5 min ago",
        f"3 so far, the last 5 min ago: {message}",
        "stopped for 10 min ([bold]peak)",
        "no limit",
        "overdue",
        "those of now are not known: the ledger is in a folder, not in an account.",
    ):
        assert words in told, words


def test_programs_get_the_same_as_json(ledger: Ledger) -> None:
    ledger.fleet(failures={"quota": FailureRecord(1, 2.0, "no")}, pause=Pause("held", 1.0, "x"))
    one, (listed,) = (json.loads(ledger.run("status", *more, "--json").out) for more in ([FLEET], []))
    assert one | {"problem": ""} == listed | {"tick_age_seconds": one["tick_age_seconds"], "problem": ""}
    assert (one["target"], one["spot"]["serving"], one["pause"]["mode"]) == (4, 4, "held")
    assert one["failures"]["quota"] == {"count": 1, "last_at": 2.0, "message": "no"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["status", "vison"], "fleet: was 'vison', expected one of shop-prod-resnet"),
        (
            ["status", "--ledger", "az://x"],
            "--ledger: was 'az://x', expected s3://bucket, gs://bucket or file:///folder",
        ),
        (["status", "--ledger", "gs://"], "--ledger: was 'gs://', expected s3://bucket, gs://bucket"),
        (["status", "--ledger", "gs://bucket/fleets"], "--ledger: was 'gs://bucket/fleets', expected the whole bucket"),
        (["status", "--ledger", "s3://bucket/fleets"], "--ledger: was 's3://bucket/fleets', expected the whole bucket"),
        (["status", "--ledger", ""], "name the ledger: --ledger s3://BUCKET or gs://BUCKET, or set SPOTKEEPER_LEDGER"),
    ],
)
def test_errors_are_one_line(ledger: Ledger, arguments: list[str], told: str) -> None:
    ledger.fleet()
    environment = {**os.environ, "SPOTKEEPER_LEDGER": ledger.uri}
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"spotkeeper status: {told}")
    assert ended.stderr.count("\n") == 1


def test_a_spoilt_ledger_is_an_error_of_one_line(ledger: Ledger) -> None:
    ledger.fleet()
    ledger.board.write(keys.ledger(FLEET), b"{}", expect=ANY)
    for arguments in ([], [FLEET]):
        said = ledger.run("status", *arguments)
        assert (said.code, said.err) == (2, f"spotkeeper status: fleet {FLEET}: FleetLedger.fleet: missing\n")


@pytest.mark.parametrize("loaded", ["boto3", "google.auth", "pulumi", "rich"])
def test_help_loads_nothing_heavy(loaded: str) -> None:
    code = f"import sys; sys.argv = ['spotkeeper', '--help']\n{COMMAND.replace('sys.exit(main())', '')}\n"
    code += f"try: main()\nexcept SystemExit: sys.exit({loaded!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0


# ---------------------------------------------------------------- in an account


@pytest.fixture(scope="module")
def account() -> Iterator[None]:
    with aws():
        yield


def test_a_real_ledger_and_its_groups(account: None, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger(f"s3://{BUCKET}", capsys)
    wanted = ledger.fleet()
    wanted = replace(wanted, region="eu-west-1", command_version="2")
    ledger.put(keys.spec(FLEET), wanted)
    assert "no Auto Scaling group" in ledger.run("status", FLEET).out
    ec2 = client("ec2")
    data = {"ImageId": "ami-12c6146b", "InstanceType": "t3.micro"}
    template = ec2.create_launch_template(LaunchTemplateName="t", LaunchTemplateData=data)["LaunchTemplate"]
    for name, size in ((wanted.spot_group, 2), (wanted.backup_group, 0)):
        client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=4,
            DesiredCapacity=size,
            VPCZoneIdentifier=ec2.describe_subnets()["Subnets"][0]["SubnetId"],
            LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"], "Version": "1"},
        )
    told = json.loads(ledger.run("status", FLEET, "--json").out)
    assert (told["source"], told["spot"]["nodes"], len(told["outdated"])) == ("cloud", 2, 2)
    assert "old template  2 nodes: i-" in ledger.run("status", FLEET).out
    assert FLEET in ledger.run("status").out


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"AWS_PROFILE": "nobody"}, "nobody"),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"},
            "no AWS credentials",
        ),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "refused"),
    ],
)
def test_an_account_that_cannot_be_reached_is_an_error_of_one_line(
    account: None, changes: dict[str, str], told: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), **changes}
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND, "status", "--ledger", f"s3://{BUCKET}"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert told in ended.stderr


def test_a_bucket_that_is_none_is_an_error_of_one_line(account: None, capsys: pytest.CaptureFixture[str]) -> None:
    said = Ledger("s3://no-such-bucket", capsys).run("status")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "no-such-bucket" in said.err
