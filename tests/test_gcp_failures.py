import pytest

from spotkeeper_responder import CAPACITY, CONFIGURATION, QUOTA
from spotkeeper_responder.gcp import classify

ZONE = "projects/shop/zones/europe-west4-a"


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", f"The zone '{ZONE}' does not have enough resources available.", CAPACITY),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "(resource type:compute).", CAPACITY),
        ("RESOURCE_POOL_EXHAUSTED", "", CAPACITY),
        ("", "Instance failed to start due to preemption.", CAPACITY),
        ("QUOTA_EXCEEDED", "Quota 'PREEMPTIBLE_CPUS' exceeded.  Limit: 24.0 in region europe-west4.", QUOTA),
        ("QUOTA_EXCEEDED", "Quota 'GPUS_ALL_REGIONS' exceeded; the zone does not have enough resources", QUOTA),
        ("RESOURCE_NOT_FOUND", "The resource 'projects/shop/global/images/none' was not found", CONFIGURATION),
        ("PERMISSION_DENIED", "Required 'compute.disks.create' permission", CONFIGURATION),
        ("UNSUPPORTED_OPERATION", "g2-standard-4 is not available in this zone", CONFIGURATION),
        ("", "", CONFIGURATION),
    ],
)
def test_only_what_is_known_to_be_a_lack_of_capacity_counts_as_one(code: str, message: str, expected: str) -> None:
    assert classify(code, message) == expected
