"""What differs between clouds on a node: who it is, and where its cloud tells that it will go."""

from __future__ import annotations

from typing import Callable, List

from spotkeeper_agent import gcp, local, node
from spotkeeper_agent.config import AgentConfig
from spotkeeper_agent.node import Node
from spotkeeper_agent.sources import LifecycleState, NoticeSource, Rebalance, SpotAction
from spotkeeper_ledger.gce import MetadataServer
from spotkeeper_ledger.imds import InstanceMetadata


def identity(config: AgentConfig) -> Callable[[], Node]:
    """Return what asks the metadata service who this node is, and raises whatever keeps it from telling."""
    if config.cloud == "local":
        return lambda: local.identify(config)
    if config.cloud == "gcp":
        server = MetadataServer()
        return lambda: gcp.identify(server)
    metadata = InstanceMetadata()
    return lambda: node.identify(metadata)


def notice_sources(config: AgentConfig) -> List[NoticeSource]:
    """Return the cloud's own sources of notices: none where there is no cloud."""
    pace = config.imds_poll_seconds
    leisure = max(pace, config.signal_poll_seconds)  # what leaves more time than two minutes is asked for less often
    if config.cloud == "gcp":
        return [gcp.Preemption(MetadataServer(), pace)]
    if config.cloud == "local":
        return []
    metadata = InstanceMetadata()
    return [SpotAction(metadata, pace), Rebalance(metadata, leisure), LifecycleState(metadata, leisure)]
