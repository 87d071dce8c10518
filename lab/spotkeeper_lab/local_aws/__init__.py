"""A local AWS for rehearsals: moto behind a real HTTP server, and beside it what moto lacks, with real processes.

Whatever runs in a rehearsal calls it over HTTP with AWS's own protocols. What is stood in for AWS, and what of that is
not done, is told by each module: spot and on-demand instances and Auto Scaling (``groups``), the spot market
(``market``), interruptions (``interruptions``), events (``events``), the function (``function``) and its queue
(``queue``), Run Command (``ssm``), instance metadata (``metadata``), nodes (``node``). IAM policies are not enforced.

Linux only: nodes get addresses of 127.0.0.0/8 and are found in ``/proc``.
"""

from spotkeeper_lab.local.machine import Node
from spotkeeper_lab.local_aws.events import EventFaults
from spotkeeper_lab.local_aws.function import Function, FunctionFailed, Metric
from spotkeeper_lab.local_aws.local_aws import LocalAws
from spotkeeper_lab.local_aws.market import SpotMarket
from spotkeeper_lab.local_aws.node import NodeProcesses
from spotkeeper_lab.local_aws.timing import Timing

__all__ = [
    "EventFaults",
    "Function",
    "FunctionFailed",
    "LocalAws",
    "Metric",
    "Node",
    "NodeProcesses",
    "SpotMarket",
    "Timing",
]
