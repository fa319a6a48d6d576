"""Write the page: verdicts, charts, figures, tables, single responses and provenance."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import vl_convert
from markupsafe import Markup

from scruple import texts
from scruple.figures.catalogue import figures_of
from scruple.figures.results import Tables
from scruple.figures.scaling import size_lines
from scruple.figures.style import called, look_of
from scruple.report.charts import bias_charts, effect_charts
from scruple.report.prompts import complete_prompts
from scruple.report.sentences import overview, verdicts
from scruple.study.declaration import Timing
from scruple.study.unfinished import notes_of, told

_TABLES = {
    "emergence": (
        "family", "axis", "stage", "benchmark", "condition", "metric", "margin", "reference",
        "runs", "verdict", "above", "at_most", "reason",
    ),
    "effects": (
        "family", "checkpoint", "params", "stage", "step", "benchmark", "condition", "reference",
        "effect", "ci_low", "ci_high", "p_value", "p_adjusted", "status", "reason",
    ),
    "abilities": (
        "family", "benchmark", "condition", "follows_above", "follows_at_most", "follows",
        "corrects_above", "corrects_at_most", "corrects", "order",
    ),
    "curves": (
        "family", "stage", "benchmark", "condition", "metric", "model", "against", "p_value",
        "reason",
    ),
    "sensitivity": (
        "family", "checkpoint", "benchmark", "condition", "effect", "lowest", "highest", "n_ways",
        "sd_wording", "sd_order", "sd_items",
    ),
    "power": (
        "family", "checkpoint", "benchmark", "condition", "status", "effect", "n_clusters",
        "clusters_to_show", "items_to_show", "clusters_to_exclude", "items_to_exclude",
    ),
}  # fmt: skip
"""Table of the page → its columns; titles and captions are in `texts.TABLES`."""


_NUMBERS = {
    "effect", "ci_low", "ci_high", "value", "p_value", "p_adjusted", "lowest", "highest",
    "sd_wording", "sd_order", "sd_items", "margin", "above", "at_most", "params", "step",
    "follows_above", "follows_at_most", "corrects_above", "corrects_at_most", "n_clusters",
    "clusters_to_show", "items_to_show", "clusters_to_exclude", "items_to_exclude",
}  # fmt: skip
"""Columns of numbers, which are shortened; all other cells are shown unchanged."""
_BIAS = ("family", "checkpoint", "params", "stage", "step", "benchmark", "condition", "metric",
         "subset", "value", "ci_low", "ci_high", "n_items", "n_clusters")  # fmt: skip


@dataclass(frozen=True)
class Material:
    """The content of the page.

    Attributes:
        tables: the study's tables.
        folder: the study's results folder, with the CSV files of _TABLES.
        figures: name of a figure → its SVG file.
        browser: the output of `browse`.
        declared: when the declaration was recorded, relative to the responses.
        provenance: the provenance record.
    """

    tables: Tables
    folder: Path
    figures: Mapping[str, Path]
    browser: Mapping[str, Any]
    declared: Timing
    provenance: Mapping[str, Any]


def write_page(material: Material) -> str:
    """Return the HTML of the whole page, which loads no external resources."""
    tables = material.tables
    study = tables.study
    scripts = [_datatables(), _vega(), _page("report.js")]
    scripts = [script.replace("</script", "<\\/script") for script in scripts]
    primary = tables.emergence["primary"].astype(bool)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined,
                                     trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    charts = bias_charts(tables) + effect_charts(tables)
    drawn = {value["condition"] for chart in charts for value in chart["values"]}
    effects = tables.primary_effects().drop_duplicates(
        ["family", "checkpoint", "benchmark", "condition"]
    )
    statuses = effects["status"].value_counts()
    return environment.from_string(_page("report.html.j2")).render(
        t=texts.PAGE,
        study=study.study,
        version=version("scruple"),
        policy=_policy(scripts),
        styles=Markup(_bundled("dt_bundle.css") + _page("report.css")),
        families=len({family for family, _, _ in tables.sums}),
        checkpoints=len({key[:2] for key in tables.sums}),
        responses=material.browser["all"],
        unfinished=told(study, tables.unfinished),
        notes=_notes(notes_of(study, {})),
        declared={
            "text": str(material.declared),
            "late": material.declared.late,
        },
        verdicts=verdicts(tables.emergence),
        overview=overview(tables.emergence, study.conditions),
        count=int(primary.sum()),
        others=int((~primary).sum()),
        runs=int(tables.emergence["runs"].max()) if len(tables.emergence) else 1,
        statuses=list(statuses.items()),
        lines=size_lines(tables),
        conditions=[
            {"name": called(name), "color": look_of(name, study.conditions)[0]}
            for name in study.conditions
            if called(name) in drawn
        ],
        figures=[
            {
                "name": entry.name,
                "title": entry.title,
                "caption": entry.caption,
                "data": base64.b64encode(material.figures[entry.name].read_bytes()).decode(),
            }
            for entry in figures_of(study)
        ],
        tables=[*_tables(material.folder), _bias(tables)],
        browser=material.browser,
        prompts=complete_prompts(material.provenance["prompts"]),
        facts=_facts(material.provenance),
        record=json.dumps(
            {key: value for key, value in material.provenance.items() if key != "prompts"}, indent=1
        ),
        charts=Markup(_data(charts)),
        packed=Markup(_data(material.browser)),
        script_texts=Markup(_data(texts.PAGE_SCRIPT)),
        scripts=[Markup(script) for script in scripts],
    )


def _page(name: str) -> str:
    return files("scruple.report").joinpath("page", name).read_text(encoding="utf-8")


def _bundled(name: str) -> str:
    return files("itables").joinpath("html", name).read_text(encoding="utf-8")


def _vega() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one plain script."""
    bundle: Any = vl_convert.javascript_bundle  # its type hints require arguments that are optional
    return str(bundle())


def _datatables() -> str:
    """Convert the ES module of DataTables, which itables ships, to a plain script."""
    source = _bundled("dt_bundle.js")
    exported = re.search(r"export\s*\{([^}]*)\}\s*;?", source)
    name = re.search(r"([\w$]+) as default", exported[1]) if exported else None
    if exported is None or name is None:
        raise RuntimeError("the table library of the package itables is not as it was")
    body = source[: exported.start()] + f"window.DataTable={name[1]};"
    return f"(()=>{{{body}{source[exported.end() :]}}})();"


def _policy(scripts: Sequence[str]) -> str:
    """Return the content security policy: only the page's own scripts, and no network access."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data:; font-src data:; base-uri 'none'; form-action 'none'"
    )


def _data(content: Any) -> str:
    """Return JSON that is safe inside a script element, since it contains no `<`."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _notes(notes: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"families": ", ".join(name for name in notes if notes[name] == text), "text": text}
        for text in dict.fromkeys(notes.values())
    ]


def _bias(tables: Tables) -> dict[str, Any]:
    """Return the values in the charts of bias as a table."""
    pieces = [
        tables.rows(benchmark.name, *tables.measure(benchmark.name))
        for benchmark in tables.study.benchmarks
    ]
    table = pd.concat(pieces)[list(_BIAS)].astype(object)
    shown = table.where(table.notna(), "").astype(str)
    for number in _NUMBERS & set(_BIAS):
        shown[number] = shown[number].map(_short)
    return {
        **texts.TABLES["bias"]._asdict(),
        "columns": _BIAS,
        "rows": shown.to_numpy().tolist(),
    }


def _tables(folder: Path) -> list[dict[str, Any]]:
    found = []
    for name, columns in _TABLES.items():
        table = pd.read_csv(folder / f"{name}.csv", keep_default_na=False, dtype=str)
        if "primary" in table:
            table = table[table["primary"] == "True"]
        if table.empty:
            continue
        shown = table[list(columns)].copy()
        for number in _NUMBERS & set(columns):
            shown[number] = shown[number].map(_short)
        rows = shown.to_numpy().tolist()
        found.append({**texts.TABLES[name]._asdict(), "columns": columns, "rows": rows})
    return found


def _short(cell: str) -> str:
    """Round a decimal number to four significant digits; return any other text unchanged."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    if "." not in cell and "e" not in cell:
        return cell
    return f"{number:.0f}" if number.is_integer() and abs(number) < 1e15 else f"{number:.4g}"


def _facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the main facts of the provenance record as (label, value)."""
    jobs = record["jobs"]
    facts = {
        "written": str(record["written"]),
        "config": str(record["config_sha256"]),
        "checkpoints": str(len({(job["family"], job["checkpoint"]) for job in jobs})),
        "quantised": ", ".join(
            dict.fromkeys(texts.QUANTISED.format(**job) for job in jobs if job.get("quantisation"))
        ),
        "read": f"{sum(job['prompt_tokens'] for job in jobs):,}",
        "sampled": f"{sum(job['reasoning_tokens'] for job in jobs):,}",
        "seconds": texts.SECONDS.format(seconds=record["seconds"]),
    }
    return [(texts.FACTS[name], value) for name, value in facts.items() if value]
