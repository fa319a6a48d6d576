# The study of config.yaml, with the config overrides given with --configfile: from the config to
# the figures and the report. The rules are in workflow/rules, in the order in which data flows.
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from scruple.control.members import EMBEDDED_SEED, STEPS, TWINS, members, shipped
from scruple.errors import ScrupleError
from scruple.figures.catalogue import figures_of
from scruple.responses.shards import PATTERN
from scruple.study.declaration import declared
from scruple.study.unfinished import notes_of
from scruple.workflow.claims import refuse_outdated, targets_of
from scruple.workflow.graph import Plan, prepare_jobs
from scruple.workflow.start import start

# config.yaml of the working directory if there is one, else that of the project
if Path("config.yaml").is_file():

    configfile: "config.yaml"

else:

    configfile: Path(workflow.basedir) / "config.yaml"


prepare_jobs()
try:
    plan = Plan(
        config,
        workflow.overwrite_configfiles,
        workflow.config_settings.config,
        lambda: workflow.is_main_process and workflow.local_exec,
    )
    refuse_outdated(plan.asking.claims(targets_of(sys.argv)))
except ScrupleError as error:
    raise WorkflowError(str(error)) from None

study = plan.study
figures = {entry.name: entry for entry in figures_of(study)}


include: "workflow/rules/data.smk"
include: "workflow/rules/checkpoints.smk"
include: "workflow/rules/responses.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/control.smk"


report: "workflow/report/study.rst"


wildcard_constraints:
    study=plan.one_of([study.study]),
    family=plan.one_of([family for family, _ in study.members()]),
    checkpoint=plan.one_of([checkpoint for _, checkpoint in study.members()]),
    benchmark=plan.one_of([benchmark.name for benchmark in study.benchmarks]),
    figure=plan.one_of(figures),


rule all:
    default_target: True
    input:
        f"results/{study.study}/report.html",
        [plan.figure(name) for name in figures],


onstart:
    todo = list(workflow.dag.needrun_jobs())
    try:
        start(
            plan,
            [(job.rule.name, job.wildcards_dict, job.output) for job in todo],
            workflow.deployment_settings.deployment_method,
            workflow.global_resources.get("gpu").value,
            workflow.executor_plugin.name,
            {job.resources.get("slurm_partition") for job in todo} - {None},
            workflow.local_exec,
        )
    except ScrupleError as error:
        raise WorkflowError(str(error)) from None


onerror:
    if told := plan.advice(workflow.main_snakefile):
        print(told, file=sys.stderr)
