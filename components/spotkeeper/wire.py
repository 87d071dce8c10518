"""What other languages send to a component, and how it refuses it to them: pure functions, no process in sight.

Pulumi's own host for components maps inputs as well, and loses some on the way (3.272): whole numbers come as floats,
an unknown name is dropped without a word, and so is an object that is only known later. Here nothing is lost: what a
component does not know it is given all the same, so that it refuses it with its own reason.
"""

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pulumi
from pulumi.output import Unknown, contains_unknowns
from pulumi.provider.experimental.analyzer import ComponentDefinition, PropertyDefinition, PropertyType, TypeDefinition

from spotkeeper.errors import InputError
from spotkeeper.outputs import python_name, schema_name

Types = Mapping[str, TypeDefinition]
"""The objects that inputs are made of, by their names."""
PLAIN = "a value that is known while the program runs: it shapes what is declared"
KEYED = frozenset({"labels", "tags"})
"""Inputs whose keys are the user's own, which nobody translates."""
_SHOWN = 160
_SNAKE = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+")


def arguments(inputs: Mapping[str, Any], component: ComponentDefinition, types: Types) -> dict[str, Any]:
    """Return the inputs of a component under the names that it knows them by.

    Args:
        inputs: as they were sent: names such as ``subnetIds``, whole numbers as floats.
        component: what the schema says of the component.
        types: what the schema says of objects.

    Raises:
        InputError: an input has to be plain and is known only later, or is no object where it has to be one.
    """
    return _object(inputs, component.inputs, component.inputs_mapping, types, "")


def refusal(error: InputError, names: Mapping[str, str]) -> pulumi.InputPropertiesError:
    """Return what is refused in the form that Pulumi shows with the resource and the input, in every language.

    Args:
        error: as the component raised it.
        names: see :func:`schema_names`.
    """
    reason = f"was {_shown(error.was)}" + spoken(f"{error.note}, expected {error.expected}", names)
    name, dot, rest = error.input.partition(".")
    path = schema_name(name) + dot + (rest if name in KEYED else schema_name(rest))
    return pulumi.InputPropertiesError("an input cannot be used", [{"property_path": path, "reason": reason}])


def spoken(text: str, names: Mapping[str, str]) -> str:
    """Return a text with inputs and outputs named as in the schema: ``subnet_ids`` becomes ``subnetIds``."""
    return _SNAKE.sub(lambda found: names.get(found.group(), found.group()), text)


def schema_names(components: Iterable[ComponentDefinition], types: Types) -> dict[str, str]:
    """Return how inputs and outputs are called in the schema, by the names that they have in Python."""
    mappings = [mapping for each in components for mapping in (each.inputs_mapping, each.outputs_mapping)]
    mappings += [each.properties_mapping for each in types.values()]
    return {python: schema for mapping in mappings for schema, python in mapping.items()}


def documented(schema: Any, names: Mapping[str, str]) -> Any:
    """Return a schema, or a part of one, with descriptions for readers of other languages.

    Their generators take descriptions for Markdown: code stands between single backticks, and what is indented is code.
    """
    if isinstance(schema, list):
        return [documented(item, names) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: spoken(inspect.cleandoc(value), names).replace("``", "`")
        if key == "description" and isinstance(value, str)
        else documented(value, names)
        for key, value in schema.items()
    }


def _object(
    given: Mapping[str, Any],
    properties: Mapping[str, PropertyDefinition],
    names: Mapping[str, str],
    types: Types,
    path: str,
) -> dict[str, Any]:
    found = {}
    for name, value in given.items():
        if value is None:
            continue
        if name in properties:
            found[names[name]] = _value(value, properties[name], types, path + name)
        else:  # the component says why there is no such input
            found[python_name(name)] = value
    return found


def _value(value: Any, definition: PropertyDefinition, types: Types, path: str) -> Any:
    if definition.plain:
        _check_known(value, path)
    if definition.ref:
        named = types[definition.ref.rsplit(":", maxsplit=1)[-1]]
        if not isinstance(value, Mapping):
            raise InputError(path, value, f"an object with {', '.join(named.properties)}")
        return _object(value, named.properties, named.properties_mapping, types, f"{path}.")
    if definition.type is PropertyType.INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)
    return pulumi.Output.from_input(value) if contains_unknowns(value) else value


def _check_known(value: Any, path: str) -> None:
    """Refuse what is known only later, at the place where it is."""
    if isinstance(value, pulumi.Output | Unknown):
        raise InputError(path, value, PLAIN)
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _check_known(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_known(inner, f"{path}[{index}]")


def _shown(value: Any) -> str:
    """Return a value as most languages write it; what JSON does not have, as Python does."""
    if value is None:
        return "not given"
    if isinstance(value, pulumi.Output | Unknown):
        return "an output"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    shown = json.dumps(value, ensure_ascii=False, default=repr)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
