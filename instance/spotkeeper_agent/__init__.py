"""The agent: one process on every node that hears notices and runs the training command.

Standard library only, Python 3.9 or newer; it shares the node with training and stays small.

    spotkeeper-agent run --config /etc/spotkeeper/agent.json     # what user data starts
    spotkeeper-agent notice --kind interruption --deadline none  # tell it that this node will go
    spotkeeper-agent status                                      # what it knows and does
"""

from spotkeeper_agent.config import AgentConfig, BadConfig, load_config

__all__ = ["AgentConfig", "BadConfig", "load_config"]
