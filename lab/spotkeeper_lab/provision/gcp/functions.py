"""Functions of Cloud Run."""

from __future__ import annotations

import time

from spotkeeper_lab.provision.gcp.project import Gcp, creates
from spotkeeper_lab.provision.gcp.rest import RestError
from spotkeeper_lab.provision.gcp.spelling import Fields, one, same, spelled
from spotkeeper_lab.provision.table import Created, Inputs

LOOK_SECONDS = 0.1
"""Between two looks whether a function is there."""
STORAGE = same("bucket", "object", "generation")
BUILD: Fields = {
    **same("runtime", "entryPoint", "serviceAccount", "environmentVariables"),
    "source": ("source", one({"storageSource": ("storageSource", one(STORAGE))})),
}
SERVICE: Fields = same(
    "serviceAccountEmail", "availableMemory", "availableCpu", "minInstanceCount", "maxInstanceCount",
    "maxInstanceRequestConcurrency", "timeoutSeconds", "ingressSettings", "environmentVariables",
)  # fmt: skip
FUNCTION: Fields = {
    **same("description", "labels"),
    "buildConfig": ("buildConfig", one(BUILD)),
    "serviceConfig": ("serviceConfig", one(SERVICE)),
}
"""Inputs of a function to its body."""


@creates("gcp:cloudfunctionsv2/function:Function")
def function(gcp: Gcp, name: str, given: Inputs) -> Created:
    """Create a function from the archive that the program has stored, and wait until it is there."""
    short, region = given.take("name", name), given.take("location", gcp.region)
    parent = f"projects/{gcp.project}/locations/{region}"
    body = spelled(given.take_all(*FUNCTION), FUNCTION)
    operation = gcp.rest.call("POST", f"/v2/{parent}/functions", body, functionId=short)
    while not operation.get("done"):
        time.sleep(LOOK_SECONDS)
        operation = gcp.rest.call("GET", f"/v2/{operation['name']}")
    if error := operation.get("error"):
        raise RestError(f"function {short}", int(error["code"]), error["message"])
    made = gcp.rest.call("GET", f"/v2/{parent}/functions/{short}")
    outputs = {"name": short, "location": region, "url": made["url"], "state": made["state"]}
    return made["name"], {**outputs, "serviceConfig": {**made["serviceConfig"]}}
