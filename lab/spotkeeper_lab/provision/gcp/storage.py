"""Buckets and objects."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from spotkeeper_lab.provision.gcp.project import Gcp, creates, deletes, updates
from spotkeeper_lab.provision.gcp.spelling import Fields, each, one, same, spelled
from spotkeeper_lab.provision.state import Resource
from spotkeeper_lab.provision.table import Change, Created, Inputs

_OBJECT = "gcp:storage/bucketObject:BucketObject"
CONDITION: Fields = {
    "daysSinceNoncurrentTime": ("daysSinceNoncurrentTime", int),
    "age": ("age", int),
    "numNewerVersions": ("numNewerVersions", int),
    "withState": ("isLive", lambda state: state == "LIVE"),
    **same("matchesPrefixes", "matchesSuffixes"),
}
RULE: Fields = same("action") | {"condition": ("condition", one(CONDITION))}
BUCKET: Fields = {
    **same("name", "location", "labels", "storageClass", "versioning"),
    "uniformBucketLevelAccess": ("iamConfiguration.uniformBucketLevelAccess.enabled", bool),
    "publicAccessPrevention": ("iamConfiguration.publicAccessPrevention", str),
    "softDeletePolicy": ("softDeletePolicy", one({"retentionDurationSeconds": ("retentionDurationSeconds", str)})),
    "lifecycleRules": ("lifecycle.rule", each(RULE)),
    "encryption": ("encryption", one(same("defaultKmsKeyName"))),
}
"""Inputs of a bucket to its body."""


@creates("gcp:storage/bucket:Bucket")
def bucket(gcp: Gcp, name: str, given: Inputs) -> Created:
    """Create a bucket; deleting it with its objects is nothing that happens here."""
    given.take("forceDestroy")
    body = {"name": name, **spelled(given.take_all(*BUCKET), BUCKET)}
    made = gcp.rest.call("POST", "/storage/v1/b", body, project=gcp.project)
    return made["name"], {"name": made["name"], "url": f"gs://{made['name']}", "selfLink": made["selfLink"]}


@creates(_OBJECT)
def stored_object(gcp: Gcp, name: str, given: Inputs) -> Created:
    """Write one object."""
    owner, key = given.take("bucket"), given.take("name", name)
    content, source, kind = given.take("content"), given.take("source"), given.take("contentType")
    body = content.encode() if content is not None else source
    headers = {"Content-Type": kind or "application/octet-stream"}
    made = gcp.rest.send("POST", f"/upload/storage/v1/b/{owner}/o", body, headers, uploadType="media", name=key)
    return f"{owner}-{key}", {"name": key, "outputName": key, "generation": int(made["generation"])}


@updates(_OBJECT, "content", "source")
def rewritten_object(gcp: Gcp, change: Change) -> dict[str, Any]:
    """Write the object again."""
    _, outputs = stored_object(gcp, change.before.name, Inputs(change.inputs))
    return {"generation": outputs["generation"]}


@deletes(_OBJECT)
def no_object(gcp: Gcp, resource: Resource) -> None:
    """Delete an object; its versions expire by the bucket's own rule."""
    owner, key = resource.inputs["bucket"], resource.inputs.get("name", resource.name)
    gcp.rest.call("DELETE", f"/storage/v1/b/{owner}/o/{quote(key, safe='')}")
