"""Objects of S3, read with the instance's role."""

from __future__ import annotations

import json
import os
import time

from spotkeeper.node.web import request
from spotkeeper_ledger.sigv4 import Credentials, sign


def role_credentials() -> Credentials:
    """Return the instance role's keys from the metadata service (IMDSv2)."""
    base = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
    token = request("PUT", f"{base}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "300"}).decode()
    headers = {"X-aws-ec2-metadata-token": token}
    roles = f"{base}/latest/meta-data/iam/security-credentials/"
    keys = json.loads(request("GET", roles + request("GET", roles, headers).decode().split()[0], headers))
    return Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"])


def fetch(bucket: str, key: str, region: str) -> bytes:
    """Return an object."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    base = f"{endpoint.rstrip('/')}/{bucket}" if endpoint else f"https://{bucket}.s3.{region}.{domain}"
    url = f"{base}/{key}"
    return request("GET", url, sign("GET", url, {}, b"", role_credentials(), region, "s3", time.time()))
