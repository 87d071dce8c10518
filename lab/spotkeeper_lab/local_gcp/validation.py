"""Whether a request has the form that the discovery document asks for.

Numbers of 64 bits leave as strings, whatever they came as. Fields that the document calls output only are dropped, as
the API ignores them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from spotkeeper_lab.local_gcp.discovery import Discovery, Method
from spotkeeper_lab.local_gcp.refusals import Refused, invalid, required, unknown

_INTEGERS = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
Schema = Mapping[str, Any]


class Validation:
    """Checks requests, and answers in tests."""

    def __init__(self, document: Discovery) -> None:
        self._schemas = document.schemas

    def query(self, method: Method, path: Mapping[str, str], query: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
        """Return a request's parameters with their types, defaults included.

        Raises:
            Refused: One is unknown, missing, or not what it may be.
        """
        for name in query:
            if method.parameters.get(name, {}).get("location") != "query":
                raise unknown(name, "query")
        found: dict[str, Any] = {}
        for name, schema in method.parameters.items():
            values = [path[name]] if name in path else query.get(name, ())
            if values:
                found[name] = _scalar(values[-1], schema, name, text=True)
            elif schema.get("required"):
                raise required(name)
            elif "default" in schema:
                found[name] = _scalar(schema["default"], schema, name, text=True)
        return found

    def body(self, method: Method, body: Any) -> Mapping[str, Any]:
        """Return a request's body without what is output only.

        Raises:
            Refused: A field is unknown, missing, or not what it may be.
        """
        if not method.request:
            if body not in (None, {}):
                raise unknown(next(iter(body)) if isinstance(body, dict) else str(body), "request")
            return {}
        if body is None:
            raise required("resource")
        checked: Mapping[str, Any] = self.check(body, {"$ref": method.request}, "resource", method.id)
        return checked

    def check(self, value: Any, schema: Schema, where: str, method: str = "", *, output: bool = False) -> Any:
        """Return a value as its schema has it; see :meth:`body`.

        Args:
            value: from JSON.
            schema: of the value.
            where: what the value is called in a refusal.
            method: id of the method that it is given to; some fields are required by some methods only.
            output: whether fields that are output only belong to it.
        """
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"]]
        kind = schema.get("type", "any")
        if kind == "any":
            return value
        if kind == "array":
            if not isinstance(value, list):
                raise invalid(where, value, "Expected an array.")
            return [
                self.check(one, schema["items"], f"{where}[{at}]", method, output=output)
                for at, one in enumerate(value)
            ]
        if kind == "object":
            return self._object(value, schema, where, method, output)
        return _scalar(value, schema, where)

    def _object(self, value: Any, schema: Schema, where: str, method: str, output: bool) -> Any:
        if not isinstance(value, dict):
            raise invalid(where, value, "Expected an object.")
        known: Mapping[str, Schema] = schema.get("properties", {})
        for name, field in known.items():
            if method in field.get("annotations", {}).get("required", ()) and value.get(name) in (None, ""):
                raise required(f"{where}.{name}")
        found: dict[str, Any] = {}
        others: Schema | None = schema.get("additionalProperties")
        for name, inner in value.items():
            one = known.get(name) or others
            if one is None:
                raise unknown(name, where)
            if inner is None or (one.get("readOnly") and not output):
                if inner is None and method.endswith(".patch"):
                    found[name] = None  # a merge patch takes it away
                continue
            found[name] = self.check(inner, one, f"{where}.{name}", method, output=output)
        return found


def _scalar(value: Any, schema: Schema, where: str, *, text: bool = False) -> Any:
    kind = schema["type"]
    if schema.get("format") in _INTEGERS:
        return _integer(value, schema, where)
    if kind == "boolean":
        value = {"true": True, "false": False}.get(value, value) if text else value
        if not isinstance(value, bool):
            raise invalid(where, value, "Expected true or false.")
        return value
    if kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid(where, value, "Expected a number.")
        return value
    if not isinstance(value, str):
        raise invalid(where, value, "Expected a string.")
    if "enum" in schema and value not in schema["enum"]:
        raise invalid(where, value, f"Must be one of {', '.join(schema['enum'])}.")
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        raise _pattern(value, schema["pattern"], where)
    return value


def _integer(value: Any, schema: Schema, where: str) -> int | str:
    if isinstance(value, bool) or not re.fullmatch(r"-?\d{1,20}", str(value)):
        raise invalid(where, value, "Expected a whole number.")
    number = int(value)
    lowest, highest = _INTEGERS[schema["format"]]
    lowest, highest = int(schema.get("minimum", lowest)), int(schema.get("maximum", highest))
    if not lowest <= number <= highest:
        raise invalid(where, value, f"Must be from {lowest} to {highest}.")
    return number if schema["type"] == "integer" else str(number)


def _pattern(value: str, pattern: str, where: str) -> Refused:
    return invalid(where, value, f"Must be a match of regex '{pattern}'")
