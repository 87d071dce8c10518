"""A table of handlers, and what replaces a resource, with a cloud that is nothing but a dictionary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from spotkeeper_lab.provision import Provider, Provisioner, ProvisionError, Registrar
from spotkeeper_lab.provision.state import Resource
from spotkeeper_lab.provision.table import Change, Created, Inputs, Table
from spotkeeper_lab.pulumi_program import run_program

Cloud = dict[str, dict[str, Any]]
TABLE: Table[Cloud] = Table()
SHELF, BOOK = "test:index:Shelf", "test:index:Book"


@TABLE.creates(SHELF, BOOK)
def made(cloud: Cloud, name: str, given: Inputs) -> Created:
    fields = given.take_all("title", "colour", "shelf")
    cloud[fields.get("title", name)] = fields
    return fields.get("title", name), {"link": f"link-of-{fields.get('title', name)}"}


@TABLE.updates(SHELF, "colour", "shelf")
def changed(cloud: Cloud, change: Change) -> dict[str, Any]:
    cloud[change.before.id].update(change.inputs)
    return {}


@TABLE.deletes(SHELF, BOOK)
def gone(cloud: Cloud, resource: Resource) -> None:
    del cloud[resource.id]


TABLE.replaces(BOOK, "title", "colour")


class Thing(pulumi.CustomResource):
    link: pulumi.Output[str]

    def __init__(self, kind: str, name: str, opts: pulumi.ResourceOptions | None = None, **inputs: Any) -> None:
        super().__init__(kind, name, {**inputs, "link": None}, opts)


@pytest.fixture
def library():
    """Runs programs one after the other; returns the cloud as it is, and what was noted of each run."""
    cloud: Cloud = {}
    noted: list[tuple[str, str]] = []
    provisioner = Provisioner(Provider(TABLE, cloud), lambda what, **facts: noted.append((what, facts["name"])))

    def run(program: Callable[[], object]) -> tuple[Cloud, list[tuple[str, str]]]:
        noted.clear()
        provisioner.begin()
        run_program(program, Registrar(provisioner), project="p", stack="s")
        provisioner.end()
        return cloud, list(noted)

    return run


def declared(title: str, **book: Any) -> Callable[[], None]:
    def program() -> None:
        made = Thing(BOOK, "book", title=title, **book)
        Thing(SHELF, "shelf", title="oak", shelf=made.link)

    return program


def test_what_is_replaced_goes_last_and_whatever_names_it_is_changed_before(library):
    library(declared("one"))
    cloud, noted = library(declared("two"))
    assert noted == [("resource-changing", "book"), ("resource-changing", "shelf"), ("resource-deleting", "book")]
    assert set(cloud) == {"two", "oak"}
    assert cloud["oak"]["shelf"] == "link-of-two"
    assert library(declared("two")) == (cloud, [])


def test_what_is_replaced_stays_where_it_is_to_be_kept(library):
    keep = pulumi.ResourceOptions(retain_on_delete=True)
    library(declared("one", opts=keep))
    cloud, noted = library(declared("two", opts=keep))
    assert noted == [("resource-changing", "book"), ("resource-changing", "shelf")]
    assert set(cloud) == {"one", "two", "oak"}


def test_types_inputs_and_invokes_that_nobody_knows_are_refused_by_name():
    provider = Provider(TABLE, {})
    assert list(provider.known()) == [BOOK, SHELF]
    with pytest.raises(ProvisionError, match=r"x: resource type was 'test:index:Lamp', expected one of test:index:B"):
        provider.create("test:index:Lamp", "x", {})
    with pytest.raises(ProvisionError, match=r"x \(test:index:Book\): the local cloud does not know .* pages"):
        provider.create(BOOK, "x", {"pages": 3})
    with pytest.raises(ProvisionError, match="invoke was 'test:index:getBook', expected one of"):
        provider.answer("test:index:getBook", {})
