from __future__ import annotations

import json

import pytest

from spotkeeper_lab.deployment import config


def test_a_scenarios_values_lie_over_the_stacks_own(tmp_path):
    file = tmp_path / "Pulumi.local-aws.yaml"
    file.write_text(
        "config:\n  aws:region: us-east-1\n  spotkeeper:nodes: 4\n  spotkeeper:tags: {purpose: rehearsal}\n"
    )
    assert config(file, {"nodes": 6, "subnetIds": ["subnet-1"]}) == {
        "aws:region": "us-east-1",
        "spotkeeper:nodes": "6",
        "spotkeeper:tags": json.dumps({"purpose": "rehearsal"}),
        "spotkeeper:subnetIds": json.dumps(["subnet-1"]),
    }


def test_without_the_repository_it_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="a clone of the repository"):
        config(tmp_path / "Pulumi.local-aws.yaml", {})
