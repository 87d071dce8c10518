"""``import spotkeeper``: what is promised, and what it does not cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

import spotkeeper


def test_importing_loads_no_provider() -> None:
    code = (
        "import sys, spotkeeper; providers = ('pulumi_aws', 'pulumi_gcp', 'boto3', 'spotkeeper.aws'); "
        "print([name for name in sys.modules if name.startswith(providers)])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_planning_loads_no_provider_either() -> None:
    code = (
        "import sys, spotkeeper.fleet, spotkeeper.user_data, spotkeeper.aws.pools, spotkeeper.aws.naming, "
        "spotkeeper.aws.policies, spotkeeper.aws.tags; print('pulumi_aws' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_every_public_name_is_there() -> None:
    for name in spotkeeper.__all__:
        assert getattr(spotkeeper, name).__name__ == name
    assert set(spotkeeper.__all__) <= set(dir(spotkeeper))


def test_another_name_is_refused_as_usual() -> None:
    with pytest.raises(AttributeError, match="module 'spotkeeper' has no attribute 'AwsServingFleet'"):
        _ = spotkeeper.AwsServingFleet
