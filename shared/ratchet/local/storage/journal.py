"""The file that makes tables, objects and secrets outlive the process.

One JSON document a line, written and flushed before the caller gets its answer: it survives
kill -9 of the process (not a power cut: there is no fsync). At boot it is read, replayed, and
replaced by a snapshot, so it grows with one session, not for ever.
"""

import fcntl
import json
from pathlib import Path
from threading import Lock
from typing import IO

from ratchet.local.errors import LocalStackError
from ratchet.local.json_types import JsonObject

_FILE = "journal.jsonl"


class Journal:
    """An append-only list of records in a state directory that only one stack may use.

    Raises:
        LocalStackError: another local stack uses the directory, or it cannot be one.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / _FILE
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            self._lock_file: IO[str] = (state_dir / "lock").open("w")
        except OSError as exc:
            raise LocalStackError(
                f"{state_dir} cannot keep the state ({exc.strerror}): name a folder that can be written"
            ) from exc
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            self._lock_file.close()
            raise LocalStackError(f"another local stack uses {state_dir}: stop it first") from exc
        self._out: IO[bytes] | None = None
        self._lock = Lock()

    def read(self) -> list[JsonObject]:
        """All records; a torn last line, cut off by a crash, is dropped.

        Raises:
            LocalStackError: any other line is damaged.
        """
        if not self._path.exists():
            return []
        lines = self._path.read_bytes().split(b"\n")
        records: list[JsonObject] = []
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                records.append(json.loads(line))
            except ValueError as exc:
                if number == len(lines):
                    break
                raise LocalStackError(
                    f"{self._path}:{number} is damaged: restore the file or remove it"
                ) from exc
        return records

    def restart(self, records: list[JsonObject]) -> None:
        """Replaces the file by these records and opens it for appending."""
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as out:
            out.writelines(_line(record) for record in records)
        fresh.replace(self._path)
        self._out = self._path.open("ab", buffering=0)

    def append(self, record: JsonObject) -> None:
        """Writes one record; when this returns it survives the death of the process.

        Before restart() nothing is written: the template's own writes are not history.

        Raises:
            LocalStackError: the journal is closed.
        """
        with self._lock:
            if self._lock_file.closed:
                raise LocalStackError("the journal is closed: this write would be lost")
            if self._out is not None:
                self._out.write(_line(record))

    def close(self) -> None:
        """Closes the file and lets another stack use the directory."""
        with self._lock:
            self._lock_file.close()
            if self._out is not None:
                self._out.close()


def _line(record: JsonObject) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"
