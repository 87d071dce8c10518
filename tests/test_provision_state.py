"""What an update changes and in which order things are deleted, on stacks of a few resources."""

from __future__ import annotations

import pytest

from spotkeeper_lab.provision.state import Options, Resource, below, carried, changed, deletions


def resource(urn: str, *needs: str, parent: str = "", **options: object) -> Resource:
    return Resource("a:b:C", urn, Options(urn, parent, frozenset(needs), **options))  # type: ignore[arg-type]


def stack(*resources: Resource) -> dict[str, Resource]:
    return {each.options.urn: each for each in resources}


def order(held: dict[str, Resource], condemned: str) -> list[str]:
    return ["".join(sorted(each.name for each in wave)) for wave in deletions(held, condemned)]


def test_ignored_inputs_stay_as_they_were_whatever_the_program_gives_now():
    before = {"size": 1, "policy": {"template": {"version": "1", "id": "lt"}}, "name": "x"}
    now = {"size": 9, "hooks": ["new"], "policy": {"template": {"version": "2", "id": "lt-2"}}, "name": "y"}
    assert carried(now, before, ["size", "hooks", "policy.template.version"]) == {
        "size": 1,
        "policy": {"template": {"version": "1", "id": "lt-2"}},
        "name": "y",
    }
    assert now["policy"] == {"template": {"version": "2", "id": "lt-2"}}, "what was given is not touched"


def test_an_ignored_path_that_leads_nowhere_changes_nothing():
    assert carried({"a": 1}, {}, ["a.b", "c"]) == {"a": 1}
    assert carried({"a": {"b": 1}}, {"a": 2}, ["a.b"]) == {"a": {"b": 1}}


@pytest.mark.parametrize("path", ["rules[0].id", "rules[*]", "tags.*"])
def test_an_ignored_path_of_another_kind_is_refused(path):
    with pytest.raises(ValueError, match=r"ignore_changes: was '.*', expected names that are joined by dots"):
        carried({}, {}, [path])


def test_what_differs_is_named_and_nothing_given_is_nothing():
    assert changed({"a": 1, "b": [1], "c": None}, {"a": 1, "b": [2], "d": True}) == {"b", "d"}
    assert changed({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}) == set()


def test_what_needs_something_goes_before_it_and_children_before_parents():
    held = stack(
        resource("p"),
        resource("r", parent="p"),
        resource("g", "r", parent="p"),
        resource("h", "g", parent="p"),
        resource("s", "g", parent="p"),
    )
    assert order(held, "pgrsh") == ["hs", "g", "r", "p"]
    assert order(held, "sh") == ["hs"]
    assert below(held, "p") == {"p", "r", "g", "h", "s"}
    assert below(held, "g") == {"g"}


def test_what_something_that_stays_needs_is_not_deleted():
    held = stack(resource("r"), resource("g", "r"))
    with pytest.raises(ValueError, match=r"g \(a:b:C\): stays, but needs r, which is to be deleted"):
        deletions(held, "r")


def test_resources_that_need_each_other_are_an_error_and_not_an_endless_loop():
    with pytest.raises(ValueError, match="need each other: g, r"):
        deletions(stack(resource("r", "g"), resource("g", "r")), "gr")
