"""Secret values that must outlive the process."""

import hashlib
import json
import secrets
import string

from ratchet.local.json_types import Json, JsonObject

_PUNCTUATION = "!#$%&()*+,-./:;<=>?[]^_{|}~"


class SecretKeeper:
    """Gives a template secret the value it had before, as long as its template is the same."""

    def __init__(self, retained: dict[str, JsonObject]) -> None:
        self._retained = retained
        self.created: list[JsonObject] = []

    def value(self, name: str, specification: JsonObject) -> str:
        """The secret's value: retained, given by the template, or generated."""
        text = json.dumps(specification, sort_keys=True)
        fingerprint = hashlib.sha256(text.encode()).hexdigest()
        record = self._retained.get(name)
        if record is None or record.get("template") not in (fingerprint, None):
            record = {
                "service": "secretsmanager",
                "name": name,
                "template": fingerprint,
                "value": _new_value(specification),
            }
        self.created.append(record)
        value: str = record["value"]
        return value

    def others(self) -> list[JsonObject]:
        """Retained secrets that the template did not create."""
        names = {record["name"] for record in self.created}
        return [record for name, record in self._retained.items() if name not in names]


def _new_value(specification: JsonObject) -> str:
    if "SecretString" in specification:
        return str(specification["SecretString"])
    generate: JsonObject = specification.get("GenerateSecretString") or {}
    password = _password(generate)
    key = generate.get("GenerateStringKey")
    if key is None:
        return password
    template: Json = json.loads(generate.get("SecretStringTemplate") or "{}")
    return json.dumps({**template, key: password})


def _password(generate: JsonObject) -> str:
    groups = {
        "ExcludeLowercase": string.ascii_lowercase,
        "ExcludeUppercase": string.ascii_uppercase,
        "ExcludeNumbers": string.digits,
        "ExcludePunctuation": _PUNCTUATION,
    }
    excluded = set(generate.get("ExcludeCharacters") or "")
    alphabet = "".join(
        letters for flag, letters in groups.items() if not _is_true(generate.get(flag))
    )
    allowed = [letter for letter in alphabet if letter not in excluded]
    if _is_true(generate.get("IncludeSpace")):
        allowed.append(" ")
    return "".join(secrets.choice(allowed) for _ in range(int(generate.get("PasswordLength", 32))))


def _is_true(value: Json) -> bool:
    return str(value).lower() == "true"
