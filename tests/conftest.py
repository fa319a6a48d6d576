"""Small real inputs: tiny checkpoints made on the spot, and a way to run the workflow."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault(
    "OMP_WAIT_POLICY", "passive"
)  # before torch: see scruple.workflow.graph.prepare_jobs

import pytest
import torch
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[1]
ITEMS = ROOT / "data" / "items" / "en"


CONTROL = ("test_control_study", "test_report")
"""Files whose tests look at one long run."""
LONGEST = (
    "control", "test_unfinished", "test_workflow", "test_hub", "test_shards", "test_resume",
    "test_config",
)  # fmt: skip
"""Groups of tests that take minutes: they start first, or one process waits for the other."""


def group_of(path):
    """Return the group of a test's file: tests of a group run in one process."""
    name = Path(path.split("::")[0]).stem
    return "control" if name in CONTROL else name


SLOW = {"test_resume", "test_report", "test_control_study", "test_coverage"}
"""Files of tests that take long by themselves or look at a long run."""


def is_fast(item):
    """Whether a test takes seconds: it runs no workflow and looks at no long run."""
    marked = any(item.get_closest_marker(name) for name in ("workflow", "slurm"))
    runs = {"project", "control_project"} & set(getattr(item, "fixturenames", ()))
    return not (marked or runs or Path(item.nodeid.split("::")[0]).stem in SLOW)


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their marks
def pytest_collection_modifyitems(items):
    """Mark fast tests, and bring the longest groups to the front."""
    for item in items:
        if is_fast(item):
            item.add_marker(pytest.mark.fast)
    order = {group: place for place, group in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(group_of(item.nodeid), len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Where tests run in several processes, keep a group together."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(nodeid)

    return Groups(config, log)


@pytest.fixture(scope="session")
def tokenizer():
    """A byte-level BPE tokenizer trained on the project's own prompts and items."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    texts = [path.read_text() for path in (ROOT / "data" / "prompts" / "en").glob("*.yaml")]
    texts += [path.read_text() for path in ITEMS.glob("*/*.jsonl")]
    texts += [path.read_text() for path in ITEMS.glob("winogender/*.tsv")]
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=trained, eos_token="<|endoftext|>")


@pytest.fixture(scope="session")
def make_checkpoint(tokenizer, tmp_path_factory):
    """Return a function that makes a random GPT-NeoX checkpoint of some width and depth."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def make(name, width, layers, window=1024):
        torch.manual_seed(width)
        config = GPTNeoXConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=2,
            max_position_embeddings=window,
            initializer_range=0.3,  # far from uniform, so that answers differ
            bos_token_id=0,
            eos_token_id=0,
        )
        model = GPTNeoXForCausalLM(config)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
        return folder / name, sum(p.numel() for p in model.parameters())

    return make


@pytest.fixture
def project(tmp_path):
    """A copy of the project in which studies can run without touching this one."""
    return copy_project(tmp_path / "project")


@pytest.fixture(scope="session")
def control_project(tmp_path_factory):
    """The embedded study, run once for all that look at it."""
    folder = copy_project(tmp_path_factory.mktemp("control") / "project")
    done = run_snakemake(folder, "--configfile", "studies/control.yaml")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def copy_project(target):
    """Copy what the workflow needs, and return the copy's folder."""
    target.mkdir()
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, target)
    for name in ("workflow", "scripts", "src", "data", "profiles", "studies", "envs"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def run_snakemake(project, *arguments, timeout=600, **variables):
    """Run snakemake in a project folder, with no way to any hub unless a variable says so."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(project / "src"),
        "HF_ENDPOINT": "http://127.0.0.1:9",  # nothing answers there
        "OMP_WAIT_POLICY": "passive",
        **variables,
    }
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *map(str, arguments)]
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=timeout
    )


def write_yaml(path, content):
    """Write a YAML file and return its path."""
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
