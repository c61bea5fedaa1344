"""helm, kubeconform and Kubernetes' schemas, at pinned versions, installed once into the user's cache directory."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

HELM = "helm.sh/helm/v3/cmd/helm@v3.20.2"
KUBECONFORM = "github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0"
SCHEMAS = "kubernetes-validate==1.37.0"
SCHEMAS_SHA256 = "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9"
KUBERNETES = ("1.27.0", "1.37.0")
"""The oldest release that Chart.yaml allows, and the newest that the package knows."""

_SECONDS = 1500


@dataclass(frozen=True, slots=True)
class Tools:
    """Paths. `schemas` has a folder for each of KUBERNETES."""

    helm: Path
    kubeconform: Path
    schemas: Path


def obtain() -> Tools:
    """Raises LookupError with one sentence where something cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rendercast"
    return Tools(_program(cache, HELM), _program(cache, KUBECONFORM), _schemas(cache))


def _program(cache: Path, module: str) -> Path:
    path, _, version = module.partition("@")
    name = path.rpartition("/")[2]
    program = cache / f"{name}-{version}" / name
    if program.exists():
        return program
    if shutil.which("go") is None:
        raise LookupError(f"no Go, which {name} {version} is built with")
    partial = _partial(program.parent)
    _run(["go", "install", module], f"{name} {version} cannot be built", GOBIN=str(partial))
    return _finished(partial, program.parent) / name


def _schemas(cache: Path) -> Path:
    folder = cache / f"{SCHEMAS.replace('==', '-')}-{'-'.join(KUBERNETES)}"
    if folder.exists():
        return folder
    partial = _partial(folder)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", partial]
    _run([*map(str, command), SCHEMAS], "Kubernetes' schemas cannot be had")
    (wheel,) = partial.glob("*.whl")
    if sha256(wheel.read_bytes()).hexdigest() != SCHEMAS_SHA256:
        raise LookupError(f"{wheel.name} is another file than the one that is pinned")
    with zipfile.ZipFile(wheel) as archive:
        for version in KUBERNETES:
            (partial / version).mkdir()
            inside = f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict/"
            for name in archive.namelist():
                if name.startswith(inside):
                    found = _beside(json.loads(archive.read(name)))
                    (partial / version / name.removeprefix(inside)).write_text(json.dumps(found))
    wheel.unlink()
    return _finished(partial, folder)


def _beside(schema: dict) -> dict:
    """With references to the file beside it: by its `$id` it would look for them in the network."""
    schema.pop("$id", None)
    return json.loads(json.dumps(schema).replace('"/api/_definitions.json#', '"_definitions.json#'))


def _partial(folder: Path) -> Path:
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def _finished(partial: Path, folder: Path) -> Path:
    """Under its final name only when it is whole; another process may have been first."""
    try:
        partial.rename(folder)
    except OSError:
        shutil.rmtree(partial)
    return folder


def _run(command: list[str], words: str, **environment: str) -> None:
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LookupError(f"{words}: not within {_SECONDS} s") from None
    if done.returncode:
        raise LookupError(f"{words}: {(done.stderr.strip().splitlines() or ['no word why'])[-1]}")


if __name__ == "__main__":
    print(obtain())
