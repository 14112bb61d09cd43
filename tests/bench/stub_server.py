"""DynamoDB and a model as one small HTTP server: answers at once, so that what a client costs can be seen.

Run as `python -m tests.bench.stub_server`; prints its port, and ends with its parent or on SIGTERM. No conditions are
checked and no updates are applied: the bench's writes never meet one another.
"""

import json
import sys
import threading
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import PIPE, Popen
from typing import Any

from tests.bench.standard import FINAL, cycles_of_text, tool_call

MODEL_CYCLES = 25
Item = dict[str, Any]
_tables: defaultdict[tuple[str, str], dict[str, Item]] = defaultdict(dict)
_lock = threading.Lock()


@contextmanager
def stub_server() -> Iterator[str]:
    """The server in a process of its own; its address."""
    command = [sys.executable, "-m", "tests.bench.stub_server"]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def answer(operation: str, body: dict[str, Any]) -> dict[str, Any]:
    """What DynamoDB would say."""
    with _lock:
        match operation:
            case "PutItem":
                _put(body)
            case "TransactWriteItems":
                for write in body["TransactItems"]:
                    if "Put" in write:
                        _put(write["Put"])
            case "GetItem":
                return _get(body)
            case "Query":
                return _query(body)
    return {}


def _put(body: dict[str, Any]) -> None:
    item = body["Item"]
    _tables[body["TableName"], item["pk"]["S"]][item["sk"]["S"]] = item


def _get(body: dict[str, Any]) -> dict[str, Any]:
    item = _tables[body["TableName"], body["Key"]["pk"]["S"]].get(body["Key"]["sk"]["S"])
    return {} if item is None else {"Item": item}


def _query(body: dict[str, Any]) -> dict[str, Any]:
    values = body["ExpressionAttributeValues"]
    first = values.get(":first", {"S": ""})["S"]
    rows = _tables[body["TableName"], values[":pk"]["S"]]
    found = [rows[name] for name in sorted(rows) if name >= first]
    return {"Items": found, "Count": len(found), "ScannedCount": len(found)}


def complete(body: dict[str, Any]) -> dict[str, Any]:
    """What the model would say."""
    done = sum(message["role"] == "tool" for message in body["messages"])
    message: dict[str, Any] = {"role": "assistant", "content": FINAL}
    if done < MODEL_CYCLES:
        text, query, _ = cycles_of_text()[done]
        call = tool_call(done, query)
        function = {"name": call.name, "arguments": call.arguments}
        message["content"] = text
        message["tool_calls"] = [{"id": call.id, "type": "function", "function": function}]
    finish = "tool_calls" if done < MODEL_CYCLES else "stop"
    return {
        "id": f"chatcmpl-{done}",
        "object": "chat.completion",
        "created": 1_767_225_600,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 900 + 400 * done, "completion_tokens": 130, "total_tokens": 0},
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        target = self.headers.get("X-Amz-Target")
        found = answer(target.rpartition(".")[2], body) if target else complete(body)
        content = json.dumps(found).encode()
        lines = [
            "HTTP/1.1 200 OK",
            f"Content-Type: application/{'x-amz-json-1.0' if target else 'json'}",
            f"Content-Length: {len(content)}",
            f"x-amz-crc32: {zlib.crc32(content)}",
            "x-amzn-RequestId: 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123",
        ]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def main() -> None:
    """Serve until the parent is gone."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
