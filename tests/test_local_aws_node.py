import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_aws_support import PATIENCE, cloud, group, launched, until
from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_ledger.imds import InstanceMetadata


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


def booted(aws: LocalAws, name: str, user_data: str) -> str:
    group(aws, name, 1, user_data=user_data, hook_seconds=0)
    return launched(aws, name)[0]


def test_a_node_runs_its_user_data_in_a_world_of_its_own(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUSER")
    monkeypatch.setenv("USERS_OWN", "secret")
    node = aws.nodes.node(
        booted(aws, "world", "#!/bin/bash\nenv > $SPOTKEEPER_ROOT/env; pwd >> $SPOTKEEPER_ROOT/env\n")
    )
    lines = (node.dir / "env").read_text().splitlines()
    environment = dict(line.partition("=")[::2] for line in lines)
    assert lines[-1] == environment["SPOTKEEPER_ROOT"] == environment["HOME"] == str(node.dir)
    assert environment["AWS_ENDPOINT_URL"] == aws.endpoint
    assert environment["AWS_REGION"] == "us-east-1"
    assert not {"USERS_OWN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & environment.keys()
    assert (node.dir / "instance-id").read_text() == f"{node.id}\n"
    assert (node.group, node.fleet) == ("spot", "fleet-world")


def test_a_node_has_a_bare_python_and_one_for_training(aws: LocalAws) -> None:
    script = """
        cd $SPOTKEEPER_ROOT
        python3 -c 'import importlib.util as u; print(u.find_spec("numpy"), u.find_spec("spotkeeper_lab"))' > bare
        python -c 'import numpy, spotkeeper_lab; print("all there")' > training
    """
    root = aws.nodes.node(booted(aws, "pythons", script)).dir
    assert (root / "bare").read_text() == "None None\n"
    assert (root / "training").read_text() == "all there\n"


def test_a_node_reaches_its_own_metadata(aws: LocalAws) -> None:
    script = 'echo "$AWS_EC2_METADATA_SERVICE_ENDPOINT" > $SPOTKEEPER_ROOT/endpoint'
    node = aws.nodes.node(booted(aws, "metadata", script))
    endpoint = (node.dir / "endpoint").read_text().strip()
    assert InstanceMetadata(endpoint, timeout=PATIENCE).get("instance-id") == node.id
    assert f"//{aws.nodes.metadata(node.id).get('local-ipv4')}:" in endpoint


def test_a_service_of_the_node_goes_on_after_the_boot_and_ends_with_the_node(aws: LocalAws) -> None:
    script = r"""
        units=$SPOTKEEPER_ROOT/etc/systemd/system
        mkdir -p $units
        mkfifo $SPOTKEEPER_ROOT/said
        command="/bin/sh -c 'echo up > $SPOTKEEPER_ROOT/said; exec sleep 600'"
        printf "[Service]\nExecStart=$command\n" > $units/a.service
        systemctl daemon-reload
        systemctl enable --now a.service
    """
    node = aws.nodes.node(booted(aws, "service", script))
    assert (node.dir / "said").read_text() == "up\n"
    assert len(processes_in(node.dir)) == 2  # the service and what supervises it
    aws.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=node.id, ShouldDecrementDesiredCapacity=True
    )
    until(aws, "terminated", node.id)
    assert processes_in(node.dir) == []


def test_user_data_that_fails_is_told_with_what_it_printed(aws: LocalAws) -> None:
    group(aws, "failing", 1, user_data="echo so far; no-such-command")
    failed = until(aws, "node-failed")
    assert failed.detail["exit_code"] == 127
    assert failed.detail["output"].startswith("so far\n")


def test_a_node_that_goes_is_asked_before_it_is_killed(aws: LocalAws) -> None:
    script = """
        cat > $SPOTKEEPER_ROOT/polite <<'END'
        trap 'echo asked > $SPOTKEEPER_ROOT/asked' TERM
        touch $SPOTKEEPER_ROOT/ready
        while :; do sleep 0.01; done
END
        setsid bash $SPOTKEEPER_ROOT/polite &
        until [ -e $SPOTKEEPER_ROOT/ready ]; do sleep 0.01; done
    """
    node = aws.nodes.node(booted(aws, "polite", script))
    assert node in aws.nodes.running()
    aws.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=node.id, ShouldDecrementDesiredCapacity=True
    )
    until(aws, "terminated", node.id)
    assert (node.dir / "asked").read_text() == "asked\n"
    assert processes_in(node.dir) == []
    assert node not in aws.nodes.running()
    assert aws.nodes.node(node.id) == node


def processes_in(root: Path) -> list[str]:
    return [path.name for path in Path("/proc").iterdir() if path.name.isdigit() and marked(path, root)]


def marked(process: Path, root: Path) -> bool:
    try:
        return f"SPOTKEEPER_ROOT={root}".encode() in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def test_a_script_finds_the_nodes_own_agent(aws: LocalAws) -> None:
    script = """
        mkdir -p $SPOTKEEPER_ROOT/usr/local/bin
        printf '#!/bin/sh\necho "$0 $* $SPOTKEEPER_RUN_DIR"\n' > $SPOTKEEPER_ROOT/usr/local/bin/spotkeeper-agent
        chmod +x $SPOTKEEPER_ROOT/usr/local/bin/spotkeeper-agent
    """
    node = aws.nodes.node(booted(aws, "agent", script))
    for command in ("spotkeeper-agent status", "/usr/local/bin/spotkeeper-agent status"):
        ended = aws.nodes.run(node.id, f"{command}; exit 3", PATIENCE)
        expected = f"{node.dir}/usr/local/bin/spotkeeper-agent status {node.dir}/run/spotkeeper\n"
        assert (ended.returncode, ended.stdout.decode()) == (3, expected)


def test_a_script_that_takes_too_long_is_ended(aws: LocalAws) -> None:
    node = booted(aws, "slow", "true")
    assert aws.nodes.run(node, "exec sleep 600", 0.05).returncode == -signal.SIGKILL


def test_nothing_runs_on_a_node_that_is_gone(aws: LocalAws) -> None:
    node = booted(aws, "gone", "true")
    aws.client("ec2").terminate_instances(InstanceIds=[node])
    with pytest.raises(ProcessLookupError, match=f"node {node} does not run"):
        aws.nodes.run(node, "true", PATIENCE)
