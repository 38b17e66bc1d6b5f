"""JSON Schemas of the types that validate: msgspec makes them, this collects them.

A type is asked for while the document is being written, but msgspec names the components that types
share only once it has seen them all. So `of` gives out a schema that is still empty, and `finish`
fills in all of them at once.

Nothing is said here about a type that the type does not say itself.
"""

from typing import Any

import msgspec
from msgspec import NODEFAULT, UNSET

REF = "#/components/schemas/"


class Schemas:
    """The schemas of one document."""

    def __init__(self) -> None:
        self._types: list[Any] = []
        self._given: list[dict[str, Any]] = []
        self._parameters: list[dict[str, Any]] = []

    def of(self, type_: Any) -> dict[str, Any]:
        """The schema of a type; complete once `finish` was called."""
        self._types.append(type_)
        self._given.append({})
        return self._given[-1]

    def query(self, struct: type[msgspec.Struct]) -> list[dict[str, Any]]:
        """The fields of a struct as parameters in the query; complete once `finish` was called."""
        made = [
            {
                "name": field.encode_name,
                "in": "query",
                "description": "",
                "required": field.required,
                "schema": self.of(field.type),
                "default": field.default,
            }
            for field in msgspec.structs.fields(struct)
        ]
        self._parameters += made
        return made

    def finish(self) -> dict[str, Any]:
        """Complete them all. Returns the components they refer to, by name."""
        made, components = msgspec.json.schema_components(
            self._types,
            ref_template=f"{REF}{{name}}",
            schema_hook=lambda type_: {"title": type_.__name__},  # one that msgspec does not know
        )
        for given, schema in zip(self._given, made, strict=True):
            given.update(schema)
        for parameter in self._parameters:
            _finish_parameter(parameter)
        return components


def _finish_parameter(parameter: dict[str, Any]) -> None:
    """What describes the parameter stands beside its schema, the default inside."""
    schema, default = parameter["schema"], parameter.pop("default")
    parameter["description"] = schema.pop("description", "")
    if default is not NODEFAULT and default is not UNSET and default is not None:
        schema["default"] = msgspec.to_builtins(default)
