"""The benchmarks, one module each."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from scruple.benchmarks.base import BenchmarkModule
from scruple.study.kinds import KINDS


def benchmark_module(kind: str) -> BenchmarkModule:
    """Import and return the module that implements a kind of benchmark."""
    module: Any = import_module(KINDS[kind].module or f"scruple.benchmarks.{kind}")
    return module
