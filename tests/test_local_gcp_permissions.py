from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import celpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotkeeper_lab.local_gcp import LocalGcp
from spotkeeper_lab.local_gcp.conditions import LIST_PREFIX, holds
from spotkeeper_lab.local_gcp.permissions import CREATE, DELETE, GET, LIST, check, needed
from spotkeeper_lab.local_gcp.refusals import Refused
from test_local_gcp_server import QUICK, Client

ME = "me@p.iam.gserviceaccount.com"
BUCKET = "projects/_/buckets/b"
LISTED = f'api.getAttribute("{LIST_PREFIX}", "").startsWith("mine/")'


def binding(role: str, condition: str = "", member: str = ME) -> dict[str, Any]:
    more = {"condition": {"title": "t", "expression": condition}} if condition else {}
    return {"role": role, "members": [f"serviceAccount:{member}"], **more}


def may(bindings: list[dict[str, Any]], permission: str, name: str = "", prefix: str = "") -> bool:
    try:
        check(bindings, ME, permission, ("b", name), {"projects/p/roles/own": [GET]}, prefix)
    except Refused as refused:
        assert (refused.status, permission in refused.message, ME in refused.message) == (403, True, True)
        return False
    return True


@pytest.mark.parametrize(
    ("condition", "name", "true"),
    [
        (f'resource.name == "{BUCKET}/objects/k"', "k", True),
        (f'resource.name == "{BUCKET}/objects/k"', "l", False),
        (f'resource.name != "{BUCKET}/objects/k"', "l", True),
        (f"resource.name.startsWith('{BUCKET}/objects/mine/')", "mine/k", True),
        (f"resource.name.startsWith('{BUCKET}/objects/mine/')", "other/k", False),
        ('resource.name.endsWith("/notice.json")', "n/notice.json", True),
        ('resource.name.endsWith("/notice.json")', "notice.json", True),
        ('resource.name.endsWith("/n.json") && resource.type == "storage.googleapis.com/Bucket"', "a/n.json", False),
        ('(resource.name.endsWith("a") || resource.name.endsWith("b")) && !resource.name.endsWith("ab")', "b", True),
        ('(resource.name.endsWith("a") || resource.name.endsWith("b")) && !resource.name.endsWith("ab")', "ab", False),
        ('resource.name.endsWith("a") || resource.name.endsWith("b") && resource.name.endsWith("x")', "a", True),
    ],
)  # fmt: skip
def test_a_condition_is_about_names(condition: str, name: str, true: bool) -> None:
    assert may([binding("roles/storage.objectUser", condition)], GET, name) is true


LANGUAGE = celpy.Environment()
ATOMS = st.builds(
    lambda left, right, text: f"{left}{right.format(text)}",
    st.sampled_from(["resource.name", f'api.getAttribute("{LIST_PREFIX}", "")']),
    st.sampled_from(['.startsWith("{}")', ".endsWith('{}')", ' == "{}"', ' != "{}"']),
    st.sampled_from(["", "a", "ab", "b"]),
)
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("{} && {}".format, inner, inner),
        st.builds("{} || {}".format, inner, inner),
        st.builds("({})".format, inner),
        st.builds("!({})".format, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS, st.sampled_from(["", "a", "ab", "b", "ba"]), st.sampled_from(["", "a", "ab"]))
def test_a_condition_means_what_an_implementation_of_the_language_says(expression: str, name: str, prefix: str) -> None:
    functions = {"getAttribute": lambda api, attribute, default: api.get(attribute, default)}
    program = LANGUAGE.program(LANGUAGE.compile(expression), functions=functions)
    asked: Any = {"resource": {"name": name}, "api": {LIST_PREFIX: prefix}}
    said = program.evaluate({key: celpy.json_to_cel(value) for key, value in asked.items()})
    assert holds(expression, {"resource.name": name, LIST_PREFIX: prefix}) is bool(said)


def test_a_list_is_bound_by_the_prefix_that_is_asked_for() -> None:
    mine = [binding("roles/storage.objectViewer", f'(resource.name == "{BUCKET}" && {LISTED})')]
    assert may(mine, LIST, prefix="mine/k")
    assert not may(mine, LIST)
    assert not may(mine, LIST, prefix="other/")
    assert not may(mine, GET, "mine/k")


def test_roles_and_members_count() -> None:
    assert not may([], GET, "k")
    assert not may([binding("roles/storage.objectUser", member="another")], GET, "k")
    assert may([binding("roles/storage.objectCreator")], CREATE, "k")
    assert not may([binding("roles/storage.objectCreator")], DELETE, "k")
    assert may([binding("projects/p/roles/own")], GET, "k")
    assert not may([binding("projects/p/roles/own")], CREATE, "k")
    assert needed("storage.objects.insert", overwrites=True) == (CREATE, DELETE)
    assert needed("storage.objects.insert", overwrites=False) == (CREATE,)
    assert needed(GET, overwrites=True) == (GET,)


def test_what_is_not_known_is_never_guessed() -> None:
    with pytest.raises(NotImplementedError, match=r"role: was roles/owner, expected"):
        may([binding("roles/owner")], GET, "k")
    unknown = (
        'request.time < timestamp("x")',
        "resource.name",
        "resource.name ==",
        'resource.name.matches("a")',
        "(",
        "1",
    )
    for condition in unknown:
        with pytest.raises(NotImplementedError, match="condition: was"):
            holds(condition, {"resource.name": "x"})


def test_only_a_known_account_is_bound_and_an_overwritten_object_counts_as_deleted(tmp_path: Path) -> None:
    with LocalGcp(tmp_path, QUICK) as cloud:
        client = Client(cloud.endpoint)
        client.ask("POST", "/storage/v1/b?project=p", {"name": "b"})
        policy = {"bindings": [binding("roles/storage.objectCreator")]}
        assert client.ask("PUT", "/storage/v1/b/b/iam", policy)[0] == 200
        cloud.nodes._accounts["n.1"] = ME

        def write(name: str, token: str) -> int:
            target = f"/upload/storage/v1/b/b/o?uploadType=media&name={name}"
            return client.ask("POST", target, "x", Authorization=token)[0]

        node = "Bearer token-of-node-n.1"
        assert [write("k", node), write("k", node), write("l", node)] == [200, 403, 200]
        assert write("k", "Bearer token-of-lab") == 200
        told = cloud.calls.snapshot()
        assert told["agents"] == {"storage.objects.insert": 3}, "refused ones as well"
        assert json.loads(cloud.objects("b", "k")["k"]) == "x"
