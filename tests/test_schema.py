import json

import jsonschema
import pytest
import yaml
from conftest import ROOT

from scruple.study.schema import END, START, reference, write_schemas

FOLDER = ROOT / "workflow" / "schemas"
CONFIGS = [ROOT / "config.yaml", *sorted((ROOT / "studies").glob("*.yaml"))]


def test_schemas_are_those_of_the_models(tmp_path):
    write_schemas(tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_text() == (FOLDER / path.name).read_text()


def keys_of(schema):
    """Yield the path of every key with its description."""
    models = {"": schema, **schema.get("$defs", {})}
    for model, content in models.items():
        for key, field in content.get("properties", {}).items():
            yield f"{model}.{key}".lstrip("."), field.get("description", "")


@pytest.mark.parametrize("name", ["config", "family"])
def test_every_key_has_a_description(name):
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text())
    found = dict(keys_of(schema))
    assert len(found) > 25
    assert [key for key, description in found.items() if len(description) < 10] == []


def test_the_docs_list_every_key():
    page = (ROOT / "docs" / "config.md").read_text()
    assert page == page[: page.index(START)] + f"{START}\n\n{reference()}\n\n{END}\n"
    schema = json.loads((FOLDER / "config.schema.json").read_text())
    for path, _ in keys_of(schema):
        key = path.split(".")[-1]
        assert f".{key}` |" in page or f"| `{key}` |" in page


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_configs_conform_and_unknown_keys_do_not(path):
    schema = json.loads((FOLDER / "config.schema.json").read_text())
    config = yaml.safe_load(path.read_text())
    jsonschema.validate(config, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "conditons": ["q"]}, schema)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "data/families").glob("*.yaml")), ids=lambda p: p.stem
)
def test_families_conform(path):
    schema = json.loads((FOLDER / "family.schema.json").read_text())
    jsonschema.validate(yaml.safe_load(path.read_text()), schema)


def test_environment_states_the_pinned_versions():
    pinned = dict(
        line.split("==")
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if "==" in line
    )
    environment = yaml.safe_load((ROOT / "envs" / "scruple.yaml").read_text())
    listed = environment["dependencies"][-1]["pip"]
    assert len(listed) > 10
    for entry in listed:
        name, version = entry.split("==")
        assert pinned[name] == version
    assert pinned["torch"] == "2.13.0"
