"""Write the golden items of a release: `python -m tests.golden.write 0.1.0`. Once per release, never again."""

import base64
import json
import sys
from pathlib import Path
from typing import Any

from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import DynamoDbBench
from tests.golden.tasks import AGENT, TASKS, script
from tests.unit.shared.app.world import World

HERE = Path(__file__).parent


def main(release: str) -> None:
    folder = HERE / release
    folder.mkdir()  # an existing release is history
    with mocked_aws():
        for name, golden in TASKS.items():
            bench = DynamoDbBench()
            world = World(AGENT, chat=script, kept=(bench.store, bench.clock))
            ref = world.submitted(
                goal="Summarize the documents: a, ü and the large one.", user_id="ann"
            )
            golden.leave(world, ref)
            kept = {"items": bench.items(), "payloads": payloads(bench)}
            text = json.dumps(kept, indent=1, default=encoded, ensure_ascii=False)
            (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
            bench.close()


def payloads(bench: DynamoDbBench) -> dict[str, bytes]:
    return {
        key: bench.s3.get_object(Bucket=bench.bucket, Key=key)["Body"].read()
        for key in bench.payload_keys()
    }


def encoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    raise TypeError(type(value).__name__)


if __name__ == "__main__":
    main(sys.argv[1])
