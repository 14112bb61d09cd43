"""What the environment and a running `ratchet dev` tell the commands. Nothing else here reads them."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ratchet.cli.errors import CliError

API_URL = "RATCHET_API_URL"
API_KEY = "RATCHET_API_KEY"
MODEL_KEY = "OPENAI_API_KEY"
MODEL_URL = "OPENAI_BASE_URL"
DEV_FILE = Path(".ratchet") / "dev.json"


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """Where the API is and how to call it; without a key requests are signed with AWS credentials."""

    url: str
    key: str | None
    source: str
    aws_url: str = ""  # of the local AWS; "" for the real one
    region: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether the API runs on this machine."""
        return self.url.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]"))


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The real model's key and address, where the environment has them."""

    key: str | None
    base_url: str | None


@dataclass(frozen=True, slots=True)
class DevFile:
    """What `ratchet dev` leaves for the commands of other terminals while it runs."""

    api_url: str
    api_key: str
    pid: int
    aws_url: str = ""
    region: str = ""

    def write(self, folder: Path) -> Path:
        """Write the file, readable by its owner alone."""
        path = folder / DEV_FILE
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
        return path

    def remove(self, folder: Path) -> None:
        """Remove the file, unless another stack has put its own in the place."""
        if DevFile._read(folder) == self:
            (folder / DEV_FILE).unlink(missing_ok=True)

    @classmethod
    def find(cls, start: Path) -> "DevFile | None":
        """The file of a stack that is running, in `start` or the nearest folder above it."""
        for folder in (start, *start.parents):
            found = cls._read(folder)
            if found is not None and _is_running(found.pid):
                return found
        return None

    @classmethod
    def _read(cls, folder: Path) -> "DevFile | None":
        try:
            data = json.loads((folder / DEV_FILE).read_text(encoding="utf-8"))
            return cls(
                str(data["api_url"]),
                str(data["api_key"]),
                int(data["pid"]),
                str(data.get("aws_url", "")),
                str(data.get("region", "")),
            )
        except (OSError, ValueError, LookupError, TypeError):
            return None


def api_config(environ: Mapping[str, str] = os.environ, start: Path | None = None) -> ApiConfig:
    """The environment's API if it names one, else that of a running `ratchet dev`.

    Raises:
        CliError: there is neither.
    """
    url, key = environ.get(API_URL), environ.get(API_KEY) or None
    if url:
        return ApiConfig(url.rstrip("/"), key, API_URL)
    running = DevFile.find(start or Path.cwd())
    if running is None:
        raise CliError(
            "no API to talk to",
            f"Start the local stack with `ratchet dev`, or set {API_URL} and {API_KEY} "
            "to those of a deployment.",
        )
    where = (running.aws_url, running.region)
    return ApiConfig(running.api_url, key or running.api_key, "ratchet dev", *where)


def model_config(environ: Mapping[str, str] = os.environ) -> ModelConfig:
    """The real model, if there is a key for it."""
    return ModelConfig(environ.get(MODEL_KEY) or None, environ.get(MODEL_URL) or None)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
