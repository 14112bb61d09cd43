"""Builds small cdk.out look-alikes: a template, assets, and an assets manifest."""

import json
import textwrap
from pathlib import Path
from typing import Any

STACK = "Small"
Json = Any


class Assembly:
    """A cdk.out folder under construction."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.resources: dict[str, Json] = {}
        self.outputs: dict[str, Json] = {}
        self.parameters: dict[str, Json] = {}
        self.conditions: dict[str, Json] = {}

    def add(self, logical_id: str, kind: str, **properties: Json) -> Json:
        self.resources[logical_id] = {"Type": kind, "Properties": properties}
        return {"Ref": logical_id}

    def output(self, name: str, value: Json) -> None:
        self.outputs[name] = {"Value": value}

    def function(self, logical_id: str, handler: str, **properties: Json) -> Json:
        properties.setdefault("Timeout", 20)
        self.add(
            logical_id,
            "AWS::Lambda::Function",
            Handler=handler,
            Runtime="python3.12",
            Role="arn:aws:iam::123456789012:role/any",
            Code={"S3Bucket": {"Fn::Sub": "assets-${AWS::AccountId}"}, "S3Key": "code.zip"},
            **properties,
        )
        return att(logical_id, "Arn")

    def machine(self, logical_id: str, definition: Json) -> Json:
        return self.add(
            logical_id,
            "AWS::StepFunctions::StateMachine",
            RoleArn="arn:aws:iam::123456789012:role/any",
            DefinitionString=definition
            if isinstance(definition, dict) and "Fn::Join" in definition
            else json.dumps(definition),
        )

    def write(self, code: str) -> Path:
        source = self.folder / "asset.code"
        source.mkdir(parents=True, exist_ok=True)
        (source / "handlers.py").write_text(textwrap.dedent(code))
        asset = {
            "source": {"path": "asset.code", "packaging": "zip"},
            "destinations": {"here": {"bucketName": "assets", "objectKey": "code.zip"}},
        }
        manifest = {"version": "1", "files": {"code": asset}}
        (self.folder / f"{STACK}.assets.json").write_text(json.dumps(manifest))
        template = {
            "Parameters": self.parameters,
            "Conditions": self.conditions,
            "Resources": self.resources,
            "Outputs": self.outputs,
        }
        (self.folder / f"{STACK}.template.json").write_text(json.dumps(template))
        return self.folder


def att(logical_id: str, name: str) -> Json:
    return {"Fn::GetAtt": [logical_id, name]}


def join(*parts: Json) -> Json:
    return {"Fn::Join": ["", list(parts)]}
