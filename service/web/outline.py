"""A schema as a table that people read: one row a member, what is inside of it indented below.

It reads the JSON Schemas that msgspec writes, in the document, and knows no more keywords than
those: what a row cannot say is still in `/openapi.json`. A schema that refers to itself is followed
once and then only named.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

PATTERN_CHARACTERS_MAX = 40  # a longer one helps nobody who reads
_LIMITS: Final = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "like `{}`",
    "default": "default `{}`",
}


class Row(NamedTuple):
    """A member. `limits` are what its value must keep to, in words; `see` is the component that
    has more.
    """

    depth: int
    name: str
    type: str
    required: bool
    about: str
    limits: list[str]
    see: str | None


class Outline:
    """Reads the schemas of one document."""

    def __init__(self, components: Schema) -> None:
        self._components = components

    def rows(self, schema: Schema, above: tuple[Schema, ...] = ()) -> Iterator[Row]:
        """The members of an object, or of the objects in a list; none of anything else."""
        found = self._object_in(schema)
        if found is None or any(found is each for each in above):
            return
        required = found.get("required", [])
        for name, part in found["properties"].items():
            about = part.get("description") or self._only(part).get("description", "")
            yield Row(
                depth=len(above),
                name=name,
                type=self.type(part),
                required=name in required,
                about=about,
                limits=self.limits(part),
                see=None if self._object_in(part) is None else self.name(part),
            )
            yield from self.rows(part, (*above, found))

    def type(self, schema: Schema) -> str:
        """The type in words."""
        found = self._resolved(schema)
        if "enum" in found:
            return "one of " + ", ".join(f"`{each}`" for each in found["enum"])
        if "const" in found:
            return f"`{found['const']}`"
        if "anyOf" in found:
            return " or ".join(self.type(each) for each in found["anyOf"])
        if found.get("type") == "array":
            return f"list of {self.type(found.get('items') or {})}"
        if found.get("type") == "object":
            return self._object_type(found)
        text = found.get("type", "any JSON")
        return f"{text}, {found['format']}" if "format" in found else text

    def limits(self, schema: Schema) -> list[str]:
        """What a value must keep to."""
        found = {**self._only(schema), **schema}
        said = {key: found.get(key) for key in _LIMITS}
        if len(said["pattern"] or "") > PATTERN_CHARACTERS_MAX:
            del said["pattern"]
        return [
            _LIMITS[key].format(_written(value))
            for key, value in said.items()
            if value not in (None, "", {}, [])
        ]

    def name(self, schema: Schema) -> str | None:
        """The component that a schema is, or is a list of, or is if not null."""
        for each in (schema, schema.get("items") or {}, *schema.get("anyOf", [])):
            if "$ref" in each:
                return _named(each)
        return None

    def _object_type(self, found: Schema) -> str:
        values = found.get("additionalProperties")
        if "properties" not in found and isinstance(values, Mapping) and values:
            return f"object of {self.type(values)}"
        return "object"

    def _object_in(self, schema: Schema) -> Schema | None:
        """The object that a schema is about, by itself or in lists."""
        found = self._only(schema)
        while found.get("type") == "array":
            found = self._only(found.get("items") or {})
        return found if "properties" in found else None

    def _only(self, schema: Schema) -> Schema:
        """What a schema that also allows null is otherwise."""
        found = self._resolved(schema)
        others = [each for each in found.get("anyOf", []) if each.get("type") != "null"]
        return self._resolved(others[0]) if len(others) == 1 else found

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            found: Schema = self._components[_named(schema)]
            schema = found
        return schema


def _written(value: Any) -> str:
    """A value as it stands in JSON; a text without its quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _named(reference: Schema) -> str:
    """The component that a reference names."""
    return str(reference["$ref"]).rpartition("/")[2]
