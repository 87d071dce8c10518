"""``import spotkeeper``: what is promised, and what it does not cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

import spotkeeper

pytestmark = pytest.mark.xdist_group("pulumi_gcp")  # the provider takes seconds to load: one process does it


def test_importing_loads_no_provider() -> None:
    code = (
        "import sys, spotkeeper; "
        "providers = ('pulumi_aws', 'pulumi_gcp', 'boto3', 'spotkeeper.aws', 'spotkeeper.gcp'); "
        "print([name for name in sys.modules if name.startswith(providers)])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_planning_loads_no_provider_either() -> None:
    code = (
        "import sys, spotkeeper.fleet, spotkeeper.user_data, spotkeeper.aws.pools, spotkeeper.aws.naming, "
        "spotkeeper.aws.policies, spotkeeper.aws.tags, spotkeeper.fleet_documents, spotkeeper.gcp.market, "
        "spotkeeper.gcp.naming, spotkeeper.gcp.grants, spotkeeper.gcp.labels, spotkeeper.gcp.fleet_args; "
        "print([name for name in sys.modules if name in ('pulumi_aws', 'pulumi_gcp')])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize(("cloud", "other"), [("aws", "gcp"), ("gcp", "aws")])
def test_one_cloud_does_not_load_the_other(cloud: str, other: str) -> None:
    components = f"spotkeeper.{cloud.title()}TrainingFleet, spotkeeper.{cloud.title()}InterruptionResponder"
    code = (
        f"import sys, spotkeeper; {components}; "
        f"print([name for name in sys.modules if name.startswith(('pulumi_{other}', 'spotkeeper.{other}'))])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in spotkeeper.__all__:
        assert getattr(spotkeeper, name).__name__ == name
    assert set(spotkeeper.__all__) <= set(dir(spotkeeper))


def test_another_name_is_refused_as_usual() -> None:
    with pytest.raises(AttributeError, match="module 'spotkeeper' has no attribute 'AwsServingFleet'"):
        _ = spotkeeper.AwsServingFleet
