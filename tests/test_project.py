"""The project around the code: what importing costs, the import contract, versions and pins."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import scorch

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN_TIME = {"llvmlite", "numba", "numpy", "scipy", "torch"}


def canonical(name: str) -> str:
    """The spelling of a distribution's name that compares equal (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required(requirement: str) -> str:
    """The name in a requirement: "torch>=2.13" gives "torch", "scorch[cli]" gives "scorch"."""
    return canonical(re.split(r"[^\w.-]", requirement, maxsplit=1)[0])


def pins() -> dict[str, str]:
    """The lines of constraints.txt as name -> version."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonical(name): version for name, version in pairs}


@pytest.mark.smoke
@pytest.mark.parametrize("module", ["numba", "llvmlite", "torch._dynamo"])
def test_import_is_light(module: str) -> None:
    # A process of its own: other tests of this one have imported the compiler.
    program = f"import sys, scorch; sys.exit({module!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr or f"`import scorch` pulled in {module}"


@pytest.mark.smoke
def test_version_is_one() -> None:
    assert scorch.__version__ == PROJECT["project"]["version"]


def test_installed_version_is_this_one() -> None:
    try:
        installed = metadata.version("scorch")
    except metadata.PackageNotFoundError:
        pytest.skip("scorch is imported from its folder, not installed")
    assert installed == PROJECT["project"]["version"]


def test_run_time_dependencies_are_five() -> None:
    assert {required(line) for line in PROJECT["project"]["dependencies"]} == RUN_TIME


def test_every_dependency_is_pinned() -> None:
    extras = PROJECT["project"]["optional-dependencies"].values()
    names = {required(line) for extra in extras for line in extra} | RUN_TIME
    assert names - {"scorch"} <= pins().keys()


def test_pins_resolve_on_other_machines() -> None:
    # A local suffix (+cpu) or a file address exists on the machine that wrote it and nowhere else.
    assert [name for name, version in pins().items() if not re.fullmatch(r"[\w.]+", version)] == []


def test_this_run_uses_the_pinned_torch() -> None:
    if not (ROOT / ".venv" / ".dev").exists() or not Path(sys.prefix).samefile(ROOT / ".venv"):
        pytest.skip("not run by the environment of `make test`")
    assert metadata.version("torch").split("+")[0] == pins()["torch"]


def test_import_layers_are_in_the_order_of_the_design() -> None:
    contracts = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
    height = {
        name: number for number, layer in enumerate(contracts["layers"]["layers"]) for name in re.findall(r"\w+", layer)
    }
    design = [
        {"cli"},
        {"fairness", "evaluation"},
        {"nn", "testing", "array_api"},
        {"trace"},
        {"api"},
        {"tensor", "convert", "io", "functions", "ops"},
        {"autograd"},
        {"engine"},
        {"runtime"},
        {"emit"},
        {"schedule"},
        {"formats", "ir"},
        {"errors", "config"},
    ]
    # The contract has more modules than the design and may have more layers, but none the other way round.
    found = [{height[name] for name in layer} for layer in design]
    assert [len(each) for each in found] == [1] * len(design)
    assert [number for (number,) in found] == sorted(number for (number,) in found)


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("exec make test")


@pytest.mark.parametrize("target", ["demo", "test", "bench", "lint", "types", "fmt", "clean", "help"])
def test_make_has_the_targets_that_the_readme_names(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_submodules_load_when_named() -> None:
    program = "import scorch; scorch.nn.Linear; scorch.fairness.FORML; print('nn' in dir(scorch))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True", done.stderr
    with pytest.raises(AttributeError, match="'scorch' has no attribute 'nm'"):
        _ = scorch.nm
