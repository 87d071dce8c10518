from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent_support import Fleet, write_config
from spotkeeper_agent.config import BadConfig, load_config


def config_with(tmp_path: Path, **changes: object) -> Path:
    return write_config(tmp_path, Fleet(tmp_path), **{"command": "python train.py", **changes})


def test_omitted_timings_take_their_documented_defaults(tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    given = {"fleet": "a", "incarnation": "x", "cloud": "aws", "region": "r", "ledger": "s3://b"}
    path.write_text(json.dumps({**given, "checkpoint_uri": "s3://c/d", "command": "train"}))
    config = load_config(path)
    timings = (config.notice_seconds, config.report_seconds, config.lease_seconds, config.signal_poll_seconds)
    assert timings == (120, 30, 30, 5)
    assert (config.imds_poll_seconds, config.hook_seconds, config.save_gap_seconds) == (1, 600, 60)
    assert (config.rebalance_expiry_seconds, config.max_restarts, config.hook) == (1200, 3, "spotkeeper-terminate")


def test_a_command_on_the_command_line_replaces_the_files(tmp_path: Path) -> None:
    assert load_config(config_with(tmp_path), "other").command == "other"


def test_keys_of_a_newer_writer_are_kept_and_change_nothing(tmp_path: Path) -> None:
    assert load_config(config_with(tmp_path, brand_new=1)).extra == {"brand_new": 1}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cloud": "mainframe"}, "cloud: was 'mainframe', expected one of aws, gcp, local"),
        ({"command": "  "}, "command: was empty, expected the training command"),
        ({"ledger": "gopher://x"}, "ledger: was 'gopher://x', expected s3://bucket, gs://bucket, or file:///folder"),
        ({"topic": "spotkeeper"}, "topic: was 'spotkeeper', expected projects/<project>/topics/<topic>"),
        ({"notice_signal": "KILL"}, "notice_signal: was 'KILL', expected a signal that a program can catch"),
        ({"notice_signal": "12"}, "notice_signal: was '12'"),
        ({"notice_command_confirms": True}, "notice_command_confirms: was true without a notice_command"),
        ({"checkpoint_uri": "/data"}, "checkpoint_uri: was '/data', expected"),
        ({"fleet": "../other"}, "fleet: was '../other', expected lower-case letters"),
        ({"lease_seconds": 0}, "lease_seconds: was 0, expected more than 0"),
        ({"save_gap_seconds": -1}, "save_gap_seconds: was -1, expected at least 0"),
        ({"max_restarts": -1}, "max_restarts: was -1, expected at least 0"),
        ({"report_seconds": "soon"}, 'report_seconds: was "soon", expected a number'),
        ({"region": ""}, "region: was '', expected that of the fleet, such as eu-west-1 (cloud aws)"),
        ({"node_name": "mine"}, "node_name: was 'mine', expected none: the metadata service of aws tells it"),
        ({"cloud": "local", "node_name": "../other"}, "node_name: was '../other', expected letters, digits"),
        ({"region": None}, "region: was null, expected a string"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(BadConfig) as refused:
        load_config(config_with(tmp_path, **changes))
    assert said in str(refused.value)
    assert "agent.json" in str(refused.value)


def test_a_machine_of_ones_own_needs_no_more_than_this(tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    given = {"cloud": "local", "fleet": "try", "incarnation": "1", "ledger": "file:///l", "checkpoint_uri": "file:///c"}
    path.write_text(json.dumps(given))
    config = load_config(path, "python train.py")
    assert (config.region, config.node_name, config.run_dir) == ("", "", "/run/spotkeeper")


def test_a_missing_file_and_a_missing_key_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="cannot be read"):
        load_config(tmp_path / "agent.json")
    (tmp_path / "agent.json").write_text("{}")
    with pytest.raises(BadConfig, match="fleet: missing"):
        load_config(tmp_path / "agent.json")
