"""What `cdk synth` wrote: the template and the assets it refers to."""

import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ratchet.local.errors import LocalStackError
from ratchet.local.json_types import JsonObject


@dataclass(frozen=True, slots=True)
class _Asset:
    path: Path
    is_directory: bool


class CloudAssembly:
    """A cdk.out folder, read for one stack.

    Raises:
        LocalStackError: the folder does not hold that stack.
    """

    def __init__(self, folder: Path, *, stack_name: str, work_dir: Path) -> None:
        self._folder = folder
        self._work_dir = work_dir
        path = folder / f"{stack_name}.template.json"
        if not path.is_file():
            found = sorted(p.name.removesuffix(".template.json") for p in _templates(folder))
            raise LocalStackError(
                f"no stack {stack_name!r} in {folder}; it holds {found or 'none'}: run `cdk synth`"
            )
        self.template: JsonObject = json.loads(path.read_text())
        self._assets = dict(_read_assets(folder))

    def code_dir(self, key: str) -> Path:
        """The unpacked code of a function asset; a copy, so that cdk.out stays as synthesized.

        Raises:
            LocalStackError: no such asset.
        """
        target = self._work_dir / Path(key).stem
        if not target.exists():
            asset = self._asset(key)
            if asset.is_directory:
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(asset.path, target, ignore=ignore)
            else:
                with zipfile.ZipFile(asset.path) as archive:
                    archive.extractall(target)
        return target

    def inline_code_dir(self, name: str, source: str) -> Path:
        """A folder with this source as index.py (Code.ZipFile)."""
        target = self._work_dir / f"inline-{name}"
        target.mkdir(exist_ok=True)
        (target / "index.py").write_text(source)
        return target

    def text(self, key: str) -> str:
        """The content of a file asset."""
        return self._asset(key).path.read_text()

    def _asset(self, key: str) -> _Asset:
        asset = self._assets.get(key)
        if asset is None or not asset.path.exists():
            raise LocalStackError(f"asset {key} is not in {self._folder}: run `cdk synth` again")
        return asset


def _templates(folder: Path) -> list[Path]:
    return list(folder.glob("*.template.json")) if folder.is_dir() else []


def _read_assets(folder: Path) -> list[tuple[str, _Asset]]:
    assets = []
    for manifest in sorted(folder.glob("*.assets.json")):
        for entry in json.loads(manifest.read_text()).get("files", {}).values():
            source = folder / entry["source"]["path"]
            is_directory = entry["source"].get("packaging") == "zip" and source.is_dir()
            asset = _Asset(source, is_directory)
            assets += [(d["objectKey"], asset) for d in entry["destinations"].values()]
    return assets
