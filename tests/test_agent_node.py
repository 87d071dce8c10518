from __future__ import annotations

import pytest

from agent_support import serving_metadata
from spotkeeper_agent.node import identify
from spotkeeper_ledger import Unavailable
from spotkeeper_ledger.imds import InstanceMetadata


@pytest.mark.parametrize("on_demand", [True, False])
def test_a_node_is_what_its_metadata_says(on_demand: bool) -> None:
    with serving_metadata("i-0abc", on_demand=on_demand) as metadata:
        node = identify(InstanceMetadata(metadata.url))
    assert (node.name, node.on_demand, node.address, node.zone) == ("i-0abc", on_demand, "10.0.0.7", "eu-west-1b")
    member = node.as_member()
    assert (member.node, member.address, member.on_demand, member.processes) == ("i-0abc", "10.0.0.7", on_demand, 1)
    assert member.boot_id == node.boot_id


def test_a_node_without_a_name_cannot_work_yet() -> None:
    with serving_metadata("") as metadata, pytest.raises(Unavailable, match="instance-id"):
        identify(InstanceMetadata(metadata.url))
    with serving_metadata("i-1") as metadata:
        metadata.faults["instance-id"] = 503
        with pytest.raises(Unavailable, match="503"):
            identify(InstanceMetadata(metadata.url))
