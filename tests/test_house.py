"""The library stays in order: nothing imports upward, and reading the Snakefile stays cheap."""

import ast
import json
import subprocess
import sys

import pytest
from conftest import ROOT

LIBRARY = ROOT / "src" / "scruple"
FLOORS = (
    ("errors", "texts"),
    ("files", "progress", "statistics"),
    ("study",),
    ("prompts", "fetch", "machine"),
    ("benchmarks", "checkpoints"),
    ("engines",),
    ("responses",),
    ("analysis", "costs"),
    ("figures", "control"),
    ("report",),
    ("workflow",),
    ("cli",),
)
"""Packages and modules from the ground up, as docs/design.md lists them."""
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}


def imports_of(path):
    """Yield the room and line of everything that a file imports from the library."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "scruple":
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scruple."):
            names = [node.module.split(".")[1]]
        elif isinstance(node, ast.Import):
            modules = (alias.name.split(".") for alias in node.names)
            names = [module[1] for module in modules if module[0] == "scruple" and module[1:]]
        else:
            continue
        yield from ((name, node.lineno) for name in names)


def test_nothing_imports_upward():
    upward = []
    for path in sorted(LIBRARY.rglob("*.py")):
        place = path.relative_to(LIBRARY)
        room = place.parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for name, line in imports_of(path):
            assert name in LEVEL, f"{name} has no floor: add it to FLOORS and docs/design.md"
            if name != room and LEVEL[name] >= LEVEL[room] and (room, name) != ("files", "errors"):
                upward.append(f"{place}:{line} imports {name}")
    assert not upward


def test_the_floors_are_those_of_the_tree_and_of_its_page():
    rooms = {path.name.removesuffix(".py") for path in LIBRARY.iterdir()}
    assert rooms - {"__init__", "__pycache__"} == set(LEVEL)
    page = (ROOT / "docs" / "design.md").read_text()
    assert not [name for name in LEVEL if f"`{name}" not in page]


HEAVY = ("torch", "transformers", "pandas", "numpy", "scipy", "matplotlib", "pyarrow", "seaborn")
READ = """
import json, sys
from pathlib import Path
from scruple.study.model import read_yaml
%s
plan = Plan(read_yaml(Path("config.yaml")))
figures_of(plan.study), declared(plan.study), plan.jobs(), plan.asking.groups()
print(json.dumps([name for name in %r if name in sys.modules]))
"""


def test_reading_the_snakefile_loads_nothing_heavy():
    """Of what it imports and asks; snakemake itself loads pandas, which is not ours to change."""
    lines = (ROOT / "Snakefile").read_text().splitlines()
    imports = [line for line in lines if line.startswith("from scruple")]
    assert len(imports) > 5
    code = READ % ("\n".join(imports), HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.py")), ids=lambda p: p.stem)
def test_a_script_is_an_import_and_a_call(script):
    body = [node for node in ast.parse(script.read_text()).body if not isinstance(node, ast.Expr)]
    assert [type(node) for node in body] == [ast.ImportFrom]
    assert body[0].module == f"scruple.workflow.steps.{script.stem}"
    assert script.read_text().endswith("\nrun(snakemake)\n")
