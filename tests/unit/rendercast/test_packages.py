"""Each package of ours is in the wheel, in the image, under mypy and under the import rules."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = sorted(each.parent.name for each in ROOT.glob("*/__init__.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_everywhere(package):
    assert package in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert package in PROJECT["tool"]["mypy"]["packages"]
    assert package in PROJECT["tool"]["importlinter"]["root_packages"]
    assert f"COPY {package} {package}\n" in (ROOT / "Dockerfile").read_text()
    assert f"!{package}\n" in (ROOT / ".dockerignore").read_text()
