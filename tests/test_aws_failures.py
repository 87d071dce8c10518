"""Why a launch failed, in the words of EC2 and Auto Scaling."""

from __future__ import annotations

import pytest

from spotkeeper_responder import CAPACITY, CONFIGURATION, QUOTA
from spotkeeper_responder.aws import classify


@pytest.mark.parametrize(
    "message",
    [
        "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity available that "
        "matches your request. Launching EC2 instance failed.",
        "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request "
        "configuration. Please adjust your request and try again. Launching EC2 instance failed.",
        "We currently do not have sufficient p3.8xlarge capacity in the Availability Zone you requested (us-east-1a). "
        "Our system will be working on provisioning additional capacity. Launching EC2 instance failed.",
        "Could not launch Spot Instances. SpotMaxPriceTooLow - Your Spot request price of 0.01 is lower than the "
        "minimum required Spot request fulfillment price of 0.02. Launching EC2 instance failed.",
        "InsufficientHostCapacity",
        "Insufficient capacity",
        "capacity-not-available: there is no capacity",
    ],
)
def test_lack_of_capacity(message: str) -> None:
    assert classify(message) == CAPACITY


@pytest.mark.parametrize(
    "message",
    [
        "Max spot instance count exceeded. Launching EC2 instance failed.",
        "Could not launch Spot Instances. MaxSpotInstanceCountExceeded - Max spot instance count exceeded.",
        "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket that "
        "the specified instance type belongs to. Launching EC2 instance failed.",
        "Could not launch On-Demand Instances. VcpuLimitExceeded - You have requested more vCPU capacity than allowed.",
        "InstanceLimitExceeded",
        "VolumeLimitExceeded - the quota for volumes",
        "Your quota allows for 0 more running instance(s).",
    ],
)
def test_a_quota_even_where_the_word_capacity_is_in_the_message(message: str) -> None:
    assert classify(message) == QUOTA


@pytest.mark.parametrize(
    "message",
    [
        "",
        "The image id '[ami-123]' does not exist. Launching EC2 instance failed.",
        "Could not launch Spot Instances. InvalidFleetConfiguration - Your requested instance type (p3.8xlarge) is not "
        "supported in your requested Availability Zone (us-east-2c). Launching EC2 instance failed.",
        "You are not authorized to use launch template: lt-1",
        "Client.InternalError: Client error on launch: the KMS key is disabled",
        "the capacity of the volume is invalid",
    ],
)
def test_everything_else_is_configuration(message: str) -> None:
    assert classify(message) == CONFIGURATION
