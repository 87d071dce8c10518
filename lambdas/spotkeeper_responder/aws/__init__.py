"""The responder on AWS: events from SQS, groups in EC2 Auto Scaling, commands by Systems Manager, the ledger in S3.

:func:`~spotkeeper_responder.aws.handler.handle` is the function's entry point. It is not imported here: it belongs to
the function's environment.
"""

from spotkeeper_responder.aws.cloud import AwsCloud, Clients
from spotkeeper_responder.aws.events import parse
from spotkeeper_responder.aws.failures import classify
from spotkeeper_responder.aws.prices import SpotPrices

__all__ = ["AwsCloud", "Clients", "SpotPrices", "classify", "parse"]
