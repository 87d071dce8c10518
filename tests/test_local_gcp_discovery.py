"""The documents that are installed: every method is found by its path, and all that is done here is one of them."""

import re
import subprocess
import sys

import pytest

from local_gcp_support import Cloud
from spotkeeper_lab.local_gcp.discovery import discovery
from spotkeeper_lab.local_gcp.refusals import Refused


def test_every_method_is_found_by_a_path_of_its_own() -> None:
    document = discovery()
    assert len(document.methods) > 900
    paths = {method.id: re.sub(r"\{(\w+)\}", "x1", method.flat) for method in document.methods.values()}
    verbs = ("GET", "POST", "PUT", "PATCH", "DELETE")
    found = {}
    for path in paths.values():
        for verb in verbs:
            try:
                found[verb, path] = document.find(verb, path).method.id
            except Refused as refused:
                assert refused.status == 404
    assert set(found.values()) == set(paths)
    assert len(found) == len(paths)


@pytest.mark.parametrize("path", ["/compute/v1/", "/", "/compute/v1/projects", "/compute/v1/projects/p/zones/a/b/c/d"])
def test_a_path_that_is_none_is_not_found(path: str) -> None:
    with pytest.raises(Refused, match="was not found"):
        discovery().find("GET", path)


def test_a_path_says_its_names_unquoted() -> None:
    found = discovery().find("GET", "/compute/v1/projects/p/zones/a%2Db")
    assert (found.method.id, dict(found.path)) == ("compute.zones.get", {"project": "p", "zone": "a-b"})


def test_what_is_answered_here_is_a_method_of_the_document() -> None:
    assert set(Cloud().compute.api.methods) <= set(discovery().methods)


def test_google_s_client_is_not_imported() -> None:
    code = "import sys, spotkeeper_lab.local_gcp.discovery as d; d.discovery(); print('googleapiclient' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=100)
    assert printed.stdout.strip() == "False"
