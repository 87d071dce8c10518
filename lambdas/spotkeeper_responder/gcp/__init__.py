"""The responder on Google Cloud: events from Pub/Sub, managed instance groups, the ledger in Cloud Storage.

:func:`~spotkeeper_responder.gcp.handler.handle` is the function's entry point. It is not imported here: it belongs to
the function's environment.
"""

from spotkeeper_responder.gcp.cloud import GcpCloud
from spotkeeper_responder.gcp.compute import Compute, ComputeError
from spotkeeper_responder.gcp.events import parse
from spotkeeper_responder.gcp.failures import classify
from spotkeeper_responder.gcp.names import node_of, place_of
from spotkeeper_responder.gcp.turns import Outcome, Turns

__all__ = ["Compute", "ComputeError", "GcpCloud", "Outcome", "Turns", "classify", "node_of", "parse", "place_of"]
