"""A synthesized template, asked in the words of the tests."""

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdk.synth import template_path

Resource = dict[str, Any]


@dataclass(frozen=True)
class Synthesized:
    """One cloud assembly."""

    out: Path
    document: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        document = json.loads(self.path.read_text(encoding="utf-8"))
        object.__setattr__(self, "document", document)

    @property
    def path(self) -> Path:
        return template_path(self.out)

    def of_type(self, kind: str) -> dict[str, Resource]:
        return {
            name: resource.get("Properties", {}) | {"_": resource}
            for name, resource in self.document["Resources"].items()
            if resource["Type"] == kind
        }

    def only(self, kind: str) -> Resource:
        (found,) = self.of_type(kind).values()
        return found

    def functions(self) -> dict[str, Resource]:
        """By the name of their folder."""
        found = self.of_type("AWS::Lambda::Function")
        return {f["Handler"].split(".")[1]: f for f in found.values()}

    def function_name(self, logical_id: str) -> str:
        return str(self.document["Resources"][logical_id]["Properties"]["Handler"].split(".")[1])

    def definition(self) -> dict[str, Any]:
        machine = self.only("AWS::StepFunctions::StateMachine")
        definition: dict[str, Any] = json.loads(machine["DefinitionString"])
        return definition

    def statements(self, role: str) -> list[dict[str, Any]]:
        """What a role may do, with actions and resources always in lists."""
        return [
            {"Action": listed(s["Action"]), "Resource": listed(s["Resource"])}
            for policy in self.of_type("AWS::IAM::Policy").values()
            if {"Ref": role} in policy["Roles"]
            for s in policy["PolicyDocument"]["Statement"]
        ]

    def role_of(self, function: str) -> str:
        return str(self.functions()[function]["Role"]["Fn::GetAtt"][0])

    def actions(self, function: str, service: str) -> set[str]:
        return {
            action.split(":")[1]
            for statement in self.statements(self.role_of(function))
            for action in statement["Action"]
            if action.startswith(f"{service}:")
        }

    def asset(self, resource: Resource, prop: str = "Code") -> Path:
        metadata = resource["_"].get("Metadata", {})
        if "aws:asset:path" in metadata:
            return self.out / str(metadata["aws:asset:path"])
        key = json.dumps(resource[prop]["S3Key"]).strip('"')
        return self.out / f"asset.{key}"

    def code_of(self, function: str) -> Path:
        """What a function's archive holds, unpacked as a sandbox has it."""
        folder = self.out / "unpacked" / function
        if not folder.exists():
            with zipfile.ZipFile(self.asset(self.functions()[function])) as archive:
                archive.extractall(folder)
        return folder


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
