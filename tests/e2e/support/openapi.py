# SPDX-License-Identifier: MIT
"""Holds each answer of a hub against the description that the hub gives of itself."""

import copy
import json
import re
import time
import urllib.parse

import jsonschema

from .api import Api

# What HTTP asks for, whatever the path: described once, as "default".
GENERIC = {408, 417, 431, 505}


def strict(schema):
    """An answer may have nothing that is not described: clients ignore it, this does not."""
    if isinstance(schema, dict):
        schema = {key: strict(value) for key, value in schema.items()}
        if "properties" in schema and "type" in schema:
            schema.setdefault("additionalProperties", False)
    elif isinstance(schema, list):
        schema = [strict(item) for item in schema]
    return schema


class Description:
    def __init__(self, document):
        self.document = document
        self.strict = strict(copy.deepcopy(document))
        self.seen = set()  # (method, path template, status)

    def operations(self):
        return {(method.upper(), path) for path, methods in self.document["paths"].items() for method in methods}

    def find(self, method, path):
        """The template that the path is of, the one with fewer parameters first."""
        path = path.partition("?")[0]
        for template in sorted(self.document["paths"], key=lambda template: template.count("{")):
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path):
                methods = self.document["paths"][template]
                return template, methods.get({"HEAD": "get"}.get(method, method.lower()))
        return None, None

    def _resolve(self, value):
        while "$ref" in value:
            at = self.strict
            for part in value["$ref"][2:].split("/"):
                at = at[part]
            value = at
        return value

    def validate(self, schema, value):
        root = {**schema, "components": self.strict["components"]}
        jsonschema.Draft202012Validator(root).validate(value)

    def check_request(self, operation, path, body):
        """A request that was accepted is one that is described."""
        for name, value in urllib.parse.parse_qsl(path.partition("?")[2]):
            declared = [self._resolve(parameter) for parameter in operation.get("parameters", [])]
            schema = next(p["schema"] for p in declared if p["in"] == "query" and p["name"] == name)
            self.validate(schema, int(value) if self._resolve(schema).get("type") == "integer" else value)
        if "requestBody" in operation:
            self.validate(strict(operation["requestBody"]["content"]["application/json"]["schema"]), json.loads(body))

    def check(self, method, path, body, answer):
        template, operation = self.find(method, path)
        if operation is None:
            wanted = "not_found" if template is None else "method_not_allowed"
            assert answer.code == wanted, (method, path, answer.status, answer.body)
            operation = {"responses": {str(answer.status): {"$ref": "#/components/responses/" + {
                404: "NotFound", 405: "MethodNotAllowed"}[answer.status]}}}
        status = str(answer.status)
        if status not in operation["responses"]:
            assert answer.status in GENERIC, f"{method} {path} answers {status}, which is not described"
            status = "default"
        described = self._resolve(operation["responses"][status])
        for name, header in described.get("headers", {}).items():
            header = self._resolve(header)
            assert name.lower() in answer.headers, f"{method} {path}: no {name}"
            value = answer.headers[name.lower()]
            assert value and re.search(header["schema"].get("pattern", ""), value)
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in described["content"]
        if kind == "application/json" and method != "HEAD":
            self.validate(described["content"][kind]["schema"], answer.json)
        if answer.status < 300 and method != "HEAD":
            self.check_request(operation, path, body)
        self.seen.add((method, template, answer.status))


class CheckedApi(Api):
    """Requests whose answers are checked as they come."""

    def __init__(self, node, description=None, key=None):
        super().__init__(node, key)
        self.description = description or Description(Api.call(self, "GET", "/v1/openapi.json").json)

    patient = True  # waits when it asks too often

    def call(self, method, path, body=None, headers=(), arguments=(), url=None):
        text = json.dumps(body) if body is not None and not isinstance(body, str) else body
        answer = super().call(method, path, text, headers, arguments, url)
        while answer.status == 429 and self.patient:
            time.sleep(int(answer.headers["retry-after"]))
            answer = super().call(method, path, text, headers, arguments, url)
        self.description.check(method, path, text, answer)
        return answer

    def as_nobody(self):
        return CheckedApi(self.node, self.description, key="")
