"""Measure the size and the loading time of a report of 100,000 responses with long texts.

    python bench/report.py --data FOLDER

The study has published BBQ items (three categories), four conditions and eight checkpoints. Answers
and reasonings of 150 words are random. The page is opened in a headless browser if one is
installed. The floor is an empty page in the same browser.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common import items_of, machine, study_of, write
import numpy as np
import pandas as pd

from scruple.analysis.metrics import COLUMNS
from scruple.analysis.verdicts import EFFECTS, EMERGENCE
from scruple.report.browse import MOST, browse
from scruple.report.write import Material, write_page
from scruple.figures.catalogue import CATALOGUE
from scruple.figures.results import Tables
from scruple.study.declaration import Timing
from scruple.study.model import Study

CONDITIONS = ["q", "q+if", "q+if+cot", "q+cot"]
CHECKPOINTS = 8


def answers(study: Study, items: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return a table of random responses for one checkpoint."""
    words = np.array(sorted({word for text in items["context"] for word in text.split()}))
    tables = []
    for condition in study.conditions:
        n = len(items)
        logs = np.log(rng.dirichlet(np.ones(3), size=n))
        thinks = condition.endswith("cot")
        tables.append(pd.DataFrame({
            "item_id": items["item_id"], "condition": condition,
            "wording": "" if condition == "q" else "a", "scoring": "letter", "order": 0,
            "sample": 0, "answer": logs.argmax(axis=1).astype(str), "target": "",
            **{f"logprob_{k}": logs[:, k] for k in range(3)}, "valid_mass": 1.0,
            "reasoning": [" ".join(rng.choice(words, 150)) for _ in range(n)] if thinks else None,
            "prompt_tokens": 100, "reasoning_tokens": 200 * thinks,
        }))  # fmt: skip
    return pd.concat(tables)


def opened(path: Path) -> dict[str, float]:
    """Return the seconds to open an empty page, to open the page and to filter its list.

    The result is empty if chromium or chromedriver is not installed.
    """
    chrome, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chrome is None or driver is None:
        return {}
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chrome
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        empty = _seconds(browser, "data:text/html,<html data-rows=1>")
        page = _seconds(browser, f"file://{path}")
        begin = time.monotonic()
        select = browser.find_element("id", "filter-condition")
        select.find_elements("tag name", "option")[3].click()
        return {"empty": empty, "page": page, "filter": time.monotonic() - begin}
    finally:
        browser.quit()


def _seconds(browser: Any, address: str) -> float:
    begin = time.monotonic()
    browser.get(address)
    while not browser.execute_script("return document.documentElement.dataset.rows"):
        time.sleep(0.01)
    return time.monotonic() - begin


def main() -> None:
    """Build and open the page, print the results and write them as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, help="folder with the published benchmark files")
    options.add_argument("--most", type=int, default=MOST)
    options.add_argument("--out", type=Path, default=Path("bench/results/report.json"))
    args = options.parse_args()
    benchmark = {"name": "bbq", "categories": ["Age", "Religion", "Sexual_orientation"]}
    checkpoints = [{"name": f"c{k}", "params": 10**k, "path": "x"} for k in range(1, 9)]
    family = {"name": "f", "primary_scoring": "letter", "checkpoints": checkpoints}
    study = study_of({**benchmark, "scoring": ["letter"]}, CONDITIONS, families=[family])
    items = items_of(study, args.data)
    rng = np.random.default_rng(1)
    with TemporaryDirectory() as name:
        folder = Path(name)
        items.to_parquet(folder / "items.parquet")
        files = {}
        for _, checkpoint in study.members():
            path = folder / f"{checkpoint}.parquet"
            answers(study, items, rng).to_parquet(path)
            files["f", checkpoint, "bbq"] = path
        begin = time.monotonic()
        browser = browse(study, {"bbq": folder / "items.parquet"}, files, args.most)
        packing = time.monotonic() - begin
        page = folder / "report.html"
        page.write_text(page_of(study, folder, browser), encoding="utf-8")
        result = {
            "responses": browser["rows"], "of": browser["all"], "packing_s": round(packing, 1),
            "page_mb": round(page.stat().st_size / 1e6, 1),
            "texts_mb": round(sum(map(len, browser["texts"])) / 1e6, 1), **opened(page),
        }  # fmt: skip
    print(json.dumps(result, indent=1))
    write(args.out, {**result, "machine": machine()})


def page_of(study: Study, folder: Path, browser: dict[str, Any]) -> str:
    """Return a page in which only the list of responses has content."""
    metrics, effects, verdicts = (
        pd.DataFrame(columns=columns) for columns in (COLUMNS, EFFECTS, EMERGENCE)
    )
    for name in ("emergence", "effects", "abilities", "curves", "sensitivity", "power"):
        (folder / f"{name}.csv").write_text("primary\n")
    blank = folder / "blank.svg"
    blank.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    figures = {entry.name: blank for entry in CATALOGUE}
    record = {"jobs": [], "written": "", "config_sha256": "", "seconds": 0.0}
    tables = Tables(study, metrics, effects, verdicts, pd.DataFrame(), {})
    return write_page(Material(tables, folder, figures, browser, Timing(), record))


if __name__ == "__main__":
    main()
