"""Where the local AWS listens, and clients for it."""

import os
from functools import cache
from threading import Lock
from typing import Any, cast

import boto3
from botocore.config import Config
from botocore.session import Session as CoreSession

ACCESS_KEY = "local"
SECRET_KEY = "local"


class Endpoint:
    """Address, region and account of one local stack; hands out one boto3 client per service."""

    def __init__(self, url: str, *, region: str, account: str) -> None:
        self.url = url
        self.region = region
        self.account = account
        self._clients: dict[str, Any] = {}
        self._lock = Lock()

    def client(self, service: str) -> Any:
        """The shared boto3 client of this service."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._new_client(service)
            return self._clients[service]

    def _new_client(self, service: str) -> Any:
        config = Config(
            retries={"total_max_attempts": 1},
            max_pool_connections=64,
            connect_timeout=10,
            read_timeout=900,
            parameter_validation=False,
        )
        return _session().client(
            service, region_name=self.region, endpoint_url=self.url, config=config
        )

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a regional resource of this account."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def close(self) -> None:
        """Closes the connections of all clients."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()


@cache
def _session() -> Any:
    """One session for the process: it holds the parsed service models, which are slow to load."""
    # The user's own profile and endpoints must not leak into the local stack.
    core = CoreSession(
        {
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )
    session = boto3.Session(
        aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, botocore_session=core
    )
    return cast(Any, session)
