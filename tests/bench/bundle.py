"""Section `bundle`: what step_executor's zip and layers hold, unzipped, bytecode included."""

import tempfile
from importlib.metadata import distribution
from pathlib import Path

from tests.bench.figures import Ratio, Section
from tests.bench.sandboxes import (
    LAYER_PACKAGES,
    LAYERS_OF,
    built_layers,
    closure,
    stage_only,
)

NAME = "bundle"
BAR_MB = 50.0
FUNCTION = "step_executor"
ARCHITECTURES = ("arm64", "x86_64")


def run() -> Section:
    """Weigh it for every architecture whose layers were built."""
    section = Section(NAME)
    with tempfile.TemporaryDirectory() as folder:
        code = size_of(stage_only(FUNCTION, Path(folder)))
    weighed = {}
    for architecture in ARCHITECTURES:
        layers = built_layers(architecture)
        if layers is not None:
            parts = {name: size_of(layers[name]) for name in LAYERS_OF[FUNCTION]}
            weighed[architecture] = {"code": code, **parts}
    if not weighed:
        section.say(
            "No layers were built with this Python (`make synth` builds them): taken from the environment."
        )
        weighed["estimate"] = {"code": code, **_estimated()}
    for name, parts in weighed.items():
        total = sum(parts.values())
        shares = ", ".join(f"{part} {size / 1e6:.1f}" for part, size in parts.items())
        section.say(f"{name}: {total / 1e6:.1f} MB unzipped ({shares}); 1 MB is 1,000,000 bytes.")
        section.figures[name] = dict(parts)
        what = f"bundle of {FUNCTION}, {name}"
        section.ratios.append(Ratio(what, total / 1e6, "the bar", BAR_MB, "MB", bar=1.0))
    return section


def size_of(folder: Path) -> int:
    """The bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _estimated() -> dict[str, int]:
    sizes: dict[str, int] = {}
    seen: set[str] = set()
    for layer in LAYERS_OF[FUNCTION]:
        packages = closure(LAYER_PACKAGES[layer]) - seen
        seen |= packages
        files = [file for name in packages for file in distribution(name).files or ()]
        found = [Path(str(file.locate())) for file in files]
        sizes[layer] = sum(path.stat().st_size for path in found if path.is_file())
    return sizes
