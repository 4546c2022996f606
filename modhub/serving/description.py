"""What the service offers, as an OpenAPI document and as one page of HTML, without any script."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from typing import TYPE_CHECKING, Any, Final

from modhub.limits import MIB
from modhub.serving.library import HTMLResponse
from modhub.serving.tensors import NUMBERS, TEXTS
from modhub.spec.contract import input_text, range_text

if TYPE_CHECKING:
    from modhub.serving.bounds import ServingLimits
    from modhub.serving.served import ServedClassifier

_Schema = dict[str, Any]


def openapi(served: ServedClassifier, limits: ServingLimits, version: str) -> _Schema:
    """The OpenAPI 3.1 document of a service that has this classifier."""
    count = len(served.classes)
    about = (
        f"{served}: {', '.join(served.classes[:20])}{', ...' if count > 20 else ''}. It takes "
        f"{input_text(served.contract)} in {range_text(served.contract)}; pictures are fitted. At most "
        f"{limits.images} images and {limits.body / MIB:g} MiB a request."
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": f"modhub serve: {served.name}", "version": version, "description": about},
        "paths": _paths(served),
        "components": {
            "schemas": _schemas(served, limits),
            "responses": {
                "Error": {
                    "description": "Why not; 429 has Retry-After.",
                    "content": {"application/json": {"schema": _ref("Error")}},
                }
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _paths(served: ServedClassifier) -> _Schema:
    name = {**_parameter("name", "path"), "schema": {"type": "string", "enum": [served.name]}}
    version = {**_parameter("version", "path"), "schema": {"type": "string", "enum": [served.version]}}
    paths: dict[str, _Schema] = {
        "/": {"get": _get("Leads to /docs", "text/html")},
        "/predict": {"post": _predict(len(served.classes))},
        "/v2": {"get": _get("The server and its extensions")},
        "/v2/health/live": {"get": _get("Whether the server runs")},
        "/v2/health/ready": {"get": _get("Whether it answers; 503 while it stops", also=("503",))},
        "/v2/repository/index": {"post": _index()},
        "/metrics": {"get": _get("Metrics for Prometheus", "text/plain")},
        "/openapi.json": {"get": _get("This document")},
        "/docs": {"get": _get("This document as a page", "text/html")},
    }
    for change in ("load", "unload"):
        paths[f"/v2/repository/models/{{name}}/{change}"] = {"post": _refused_change(change), "parameters": [name]}
    for path, parameters in (("/v2/models/{name}", [name]), ("/v2/models/{name}/versions/{version}", [name, version])):
        paths[path] = {"get": _get("Inputs, outputs, classes"), "parameters": parameters}
        paths[f"{path}/ready"] = {"get": _get("Whether the model answers", also=("503",)), "parameters": parameters}
        paths[f"{path}/infer"] = {"post": _infer(), "parameters": parameters}
    return paths


def _predict(classes: int) -> _Schema:
    top = {
        **_parameter("top", "query", required=False),
        "schema": {"type": "integer", "minimum": 1, "maximum": classes, "default": 1},
        "description": "How many of the best classes each answer names.",
    }
    raw = {"schema": {"type": "string", "format": "binary"}}
    file = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": {"type": "array", "minItems": 1, "items": file}}}
    return {
        "summary": "Classify pictures",
        "description": "Files of a form, one picture as the body, or JSON. Pictures of any size are fitted.",
        "parameters": [top],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": {**form, "required": ["file"]}},
                "image/*": raw,
                "application/octet-stream": raw,
                "application/json": {"schema": _ref("Images")},
            },
        },
        "responses": _answers("Prediction", "400", "408", "413", "415", "429", "500", "503", "504"),
    }


def _infer() -> _Schema:
    length = {
        **_parameter("Inference-Header-Content-Length", "header", required=False),
        "schema": {"type": "integer", "minimum": 0},
        "description": "With binary tensors: the bytes of JSON in front of them.",
    }
    return {
        "summary": "Infer (Open Inference Protocol)",
        "description": "JSON, or JSON with tensors as bytes behind it (the binary tensor data extension).",
        "parameters": [length],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _ref("InferenceRequest")},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
        "responses": _answers("InferenceResponse", "400", "404", "408", "413", "415", "429", "500", "503", "504"),
    }


def _index() -> _Schema:
    ready = {"type": "object", "properties": {"ready": {"type": "boolean"}}}
    return {
        "summary": "The models that there are",
        "requestBody": {"content": {"application/json": {"schema": ready}}},
        "responses": _answers(None, "400", "408", "413", "429"),
    }


def _refused_change(change: str) -> _Schema:
    codes = ("400", "401", "421")
    return {
        "summary": f"Is refused: this server does not {change} models over HTTP",
        "responses": {code: {"$ref": "#/components/responses/Error"} for code in codes},
    }


def _get(summary: str, media: str = "application/json", also: tuple[str, ...] = ()) -> _Schema:
    content = {media: {"schema": {"type": "object"} if media.endswith("json") else {"type": "string"}}}
    found = {code: {"description": "Not now.", "content": content} for code in also}
    errors = {code: {"$ref": "#/components/responses/Error"} for code in ("401", "404", "421")}
    return {"summary": summary, "responses": {"200": {"description": "Yes.", "content": content}, **found, **errors}}


def _answers(schema: str | None, *errors: str) -> _Schema:
    found: _Schema = {} if schema is None else _ref(schema)
    content: _Schema = {"application/json": {"schema": found}}
    if schema == "InferenceResponse":
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    refused = {code: {"$ref": "#/components/responses/Error"} for code in ("401", "421", *errors)}
    return {"200": {"description": "The answer.", "content": content}, **refused}


def _schemas(served: ServedClassifier, limits: ServingLimits) -> _Schema:
    numbers = {"type": "array", "items": {"type": "number"}}
    text, number = {"type": "string"}, {"type": "number"}
    image = {
        "oneOf": [
            {"type": "string", "description": "Base64 of a PNG, JPEG or other picture, maybe as a data: URL."},
            {"type": "array", "items": {}, "description": "Nested lists: height x width x channels."},
        ]
    }
    many = {"type": "array", "items": image, "minItems": 1, "maxItems": limits.images}
    images = {"image": image, "images": many, "inputs": many}
    best = _object({"label": text, "probability": number, "margin": number, "module_score": number})
    answer = _object(
        {
            "image": text,
            "label": text,
            "positive": {"type": "boolean"},
            "top": {"type": "array", "items": best},
            "probabilities": numbers,
            "margins": numbers,
        }
    )
    tensor = {"name": text, "shape": {"type": "array", "items": {"type": "integer"}}, "datatype": text}
    kinds = {**text, "enum": [*NUMBERS, TEXTS]}
    parameters = {"type": "object"}
    data = {"data": {"type": "array", "items": {}}, "parameters": parameters}
    return {
        "Images": {"oneOf": [_object({key: value}) for key, value in images.items()]},
        "Prediction": _object(
            {
                "model": _object({"name": text, "version": text}),
                "classes": {"type": "array", "items": text, "examples": [served.classes[:5]]},
                "reject": {"type": "boolean"},
                "images": {"type": "array", "items": answer},
                "pictures": {"type": "object"},
            }
        ),
        "InferenceRequest": _object(
            {"inputs": {"type": "array", "items": _object({**tensor, "datatype": kinds}, data)}},
            {"id": text, "parameters": parameters, "outputs": {"type": "array", "items": _object({"name": text})}},
        ),
        "InferenceResponse": _object(
            {"model_name": text, "model_version": text, "outputs": {"type": "array", "items": _object(tensor, data)}},
            {"id": text},
        ),
        "Error": _object({"error": text, "kind": text, "hint": {"type": ["string", "null"]}}),
    }


def _object(required: _Schema, optional: _Schema | None = None) -> _Schema:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _parameter(name: str, where: str, *, required: bool = True) -> _Schema:
    return {"name": name, "in": where, "required": required}


_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 54rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 0; }
code, pre { font-family: ui-monospace, monospace; font-size: .9rem; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  border-radius: .4rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
.method { font-weight: 700; text-transform: uppercase; }
a { color: inherit; }
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def openapi_page(document: _Schema) -> HTMLResponse:
    """An OpenAPI document for people: its paths, what they take and answer, its schemas."""
    info = document["info"]
    parts = [f"<h1>{_safe(info['title'])}</h1><p>{_safe(info['description'])}</p>"]
    parts.append('<p>For programs: <a href="openapi.json">openapi.json</a>, <a href="metrics">metrics</a>.</p>')
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                parts.append(_operation(method, path, operation, methods.get("parameters", [])))
    parts += [
        f'<h2 id="{_safe(name)}">{_safe(name)}</h2><pre tabindex=0>{_safe(json.dumps(schema, indent=2))}</pre>'
        for name, schema in document["components"]["schemas"].items()
    ]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{_safe(info['title'])}</title><style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>"
    )
    policy = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'"
    return HTMLResponse(page, headers={"content-security-policy": policy})


def _operation(method: str, path: str, operation: _Schema, shared: list[_Schema]) -> str:
    rows = [
        f"<tr><th scope=row><code>{_safe(each['name'])}</code></th><td>{_safe(each['in'])}</td>"
        f"<td>{_safe(each.get('description', ''))}</td></tr>"
        for each in [*shared, *operation.get("parameters", [])]
    ]
    takes = operation.get("requestBody", {}).get("content", {})
    lines = [f"<h2><span class=method>{method}</span> <code>{_safe(path)}</code></h2>"]
    lines.append(f"<p>{_safe(operation['summary'])}. {_safe(operation.get('description', ''))}</p>")
    lines += [f"<table>{''.join(rows)}</table>"] if rows else []
    lines += [f"<p>Takes {', '.join(_media(each, takes[each]) for each in takes)}.</p>"] if takes else []
    answers = operation["responses"]
    good = answers.get("200", {}).get("content", {})
    given = f"{', '.join(_media(each, good[each]) for each in good)}; or " if good else ""
    lines.append(f"<p>Answers {given}{', '.join(code for code in answers if code != '200')}.</p>")
    return "".join(lines)


def _media(name: str, content: _Schema) -> str:
    reference = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    link = f' (<a href="#{_safe(reference)}">{_safe(reference)}</a>)' if reference else ""
    return f"<code>{_safe(name)}</code>{link}"


def _safe(text: str) -> str:
    return html.escape(text)
