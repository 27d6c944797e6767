"""Makes the reference page of the HTTP API of the OpenAPI description, one section an operation.

Knows no operation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from app.application import application
from app.http.description import describe
from app.settings import load
from tests.docs.pages import anchor

Json = dict[str, Any]

_MADE: Final = "This page is made from the source, by `python -m tests.docs.generate`."
_PROBLEM: Final = "Problem"
_BODIES: Final = ("application/json", "application/x-www-form-urlencoded")
_SECURITY: Final = {"accessToken": "an access token", "client": "key and secret of a client"}
_KINDS: Final = {
    "string": "text",
    "integer": "whole number",
    "boolean": "true or false",
    "array": "list",
    "object": "object",
    "null": "null",
}


def http_page() -> str:
    """Every operation, by tag, with what it takes and what it answers."""
    document = describe(application(load({}).settings))
    schemas = document["components"]["schemas"]
    found = list(_operations(document))
    listed = "".join(
        f"\n**{tag['name']}.** {tag['description']}\n\n| request | does |\n| --- | --- |\n"
        + "".join(
            f"| [`{title}`](#{anchor(title)}) | {operation['summary']} |\n"
            for title, operation in found
            if tag["name"] in operation["tags"]
        )
        for tag in document["tags"]
    )
    sections = "".join(
        _section(title, operation, schemas)
        for tag in document["tags"]
        for title, operation in found
        if tag["name"] in operation["tags"]
    )
    bodies = "".join(
        _schema(name, schema)
        for name, schema in schemas.items()
        if not name.endswith(_PROBLEM) and "properties" in schema
    )
    return f"""\
# HTTP

For whoever writes a client, and whoever wonders what exactly is answered.
{_MADE}

The same as OpenAPI 3.1 is at `/schema/openapi.json`, and at `/schema` with a form for each request;
`gatebook openapi` prints it. Bodies are JSON in UTF-8 unless something else is said, and have
exactly the members described. Times are RFC 3339 in UTC with six decimals. Where an access token is
asked for, it stands in the header `Authorization: Bearer …`. Every answer has the header
`X-Request-Id`. Every refusal is [a problem](problems.md); below `/oauth` it is an error of OAuth in
its place. What `GET` answers, `HEAD` does, without the body.
{listed}{sections}
## Bodies

What the requests above take and answer.
{bodies}"""


def _operations(document: Json) -> Iterator[tuple[str, Json]]:
    """Each operation with what calls it, such as `POST /refresh`."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def _section(title: str, operation: Json, schemas: Json) -> str:
    parts = [f"\n## {title}\n", f"{_ended(operation['summary'])}\n"]
    description = " ".join(operation.get("description", "").split("\n"))
    parts += [f"{each.strip()}\n" for each in description.split("  ") if each.strip()]
    asked = [_SECURITY[name] for each in operation.get("security", ()) for name in each]
    if asked:
        optional = ", or none" if {} in operation["security"] else ""
        parts.append(f"Authentication: {', or '.join(dict.fromkeys(asked))}{optional}.\n")
    parts += _parameters(operation.get("parameters", ()))
    parts += _asked(operation.get("requestBody", {}).get("content", {}), schemas)
    parts.append(_answers(operation["responses"]))
    return "\n".join(parts)


def _ended(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _parameters(parameters: list[Json]) -> Iterator[str]:
    if parameters:
        yield "| parameter | in | what |\n| --- | --- | --- |\n" + "".join(
            f"| `{each['name']}`{'' if each.get('required') else ', optional'} | {each['in']} "
            f"| {_what(each['schema'], each.get('description', ''))} |\n"
            for each in parameters
        )


def _asked(content: Json, schemas: Json) -> Iterator[str]:
    for media_type in _BODIES:
        if media_type not in content:
            continue
        schema = content[media_type]["schema"]
        name = schema.get("$ref", "").rpartition("/")[2]
        form = " (a form)" if media_type != _BODIES[0] else ""
        linked = f" [`{name}`](#{anchor(name)})" if name else ""
        shape = _closed(schemas[name] if name else schema)
        yield f"Body{form}{':' if linked else ''}{linked}\n\n{_members(shape)}"


def _answers(responses: Json) -> str:
    rows = "".join(
        f"| {status} | {_answer(answer, int(status))} |\n" for status, answer in responses.items()
    )
    return f"| status | answer |\n| --- | --- |\n{rows}"


def _answer(answer: Json, status: int) -> str:
    content: Json = answer.get("content", {})
    codes = [
        _code(name)
        for each in content.values()
        for name in _names(each["schema"])
        if name.endswith(_PROBLEM)
    ]
    if codes:
        return ", ".join(f"[`{code}`](problems.md#{code})" for code in codes)
    shown = [_shown(media_type, each["schema"]) for media_type, each in content.items()]
    headers = [name for name in answer.get("headers", {}) if name in {"Link", "ETag"}]
    more = "".join(f"; header `{name}`" for name in headers)
    words = " or ".join(shown) or "no body"
    return words + more if status < 300 else f"{answer['description']}: {words}{more}"


def _shown(media_type: str, schema: Json) -> str:
    names = _names(schema)
    if names:
        return " or ".join(f"[`{name}`](#{anchor(name)})" for name in names)
    said = schema.get("description", "").rstrip(".")
    return f"`{media_type}`" + (f": {said}" if said else "")


def _names(schema: Json) -> list[str]:
    """The components that a schema refers to."""
    several = schema.get("oneOf", schema.get("anyOf", [schema]))
    return [each["$ref"].rpartition("/")[2] for each in several if "$ref" in each]


def _code(name: str) -> str:
    """The code of a problem, of its component's name."""
    spelled = name.removesuffix(_PROBLEM)
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in spelled).lstrip("_")


def _schema(name: str, schema: Json) -> str:
    said = schema.get("description", "")
    return f"\n### {name}\n" + (f"\n{said}\n" if said else "") + f"\n{_members(_closed(schema))}"


def _closed(schema: Json) -> Json:
    """A schema that says its members; of several, what the first one has and the others add."""
    if "properties" in schema:
        return schema
    several = [
        each for each in schema.get("oneOf", schema.get("anyOf", ())) if "properties" in each
    ]
    members: Json = {}
    for each in several:
        members |= each["properties"]
    required = set.intersection(*(set(each.get("required", ())) for each in several))
    return {"properties": members, "required": sorted(required)}


def _members(schema: Json) -> str:
    if not schema["properties"]:
        return "No members.\n"
    required = set(schema.get("required", ()))
    return "| member | what |\n| --- | --- |\n" + "".join(
        f"| `{name}`{'' if name in required else ', optional'} "
        f"| {_what(each, each.get('description', ''))} |\n"
        for name, each in schema["properties"].items()
    )


def _what(schema: Json, said: str) -> str:
    facts = [_kind(schema)]
    if "minimum" in schema and "maximum" in schema:
        facts.append(f"{schema['minimum']}–{schema['maximum']}")
    if "default" in schema:
        facts.append(f"default `{_json(schema['default'])}`")
    return f"{', '.join(facts)}. {said}".strip().replace("|", "\\|").replace("\n", " ")


def _json(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _kind(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[`{name}`](#{anchor(name)})"
    if "const" in schema:
        return f"`{_json(schema['const'])}`"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{each}`" for each in schema["enum"])
    if several := schema.get("oneOf", schema.get("anyOf")):
        return " or ".join(_kind(each) for each in several)
    if schema.get("format") == "date-time":
        return "time" + (" or null" if "null" in schema["type"] else "")
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    kinds = schema.get("type", "anything")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    return " or ".join(_KINDS.get(kind, str(kind)) for kind in kinds)
