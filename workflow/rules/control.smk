# The control family, trained from scratch. `snakemake control_family` trains one seed of both twins
# and compares it with the checkpoints in data/control. `snakemake control_families` makes all
# checkpoints and tables that are shipped there.

FAMILY = Path("results/control-family")


localrules:
    compare_control,
    control_family,
    control_families,


rule control_family:
    input:
        "results/control-family/comparison.csv",


rule control_families:
    input:
        [f"{member.folder(FAMILY)}/check.csv" for member in members()],
        [
            f"{member.folder(FAMILY, step)}/truth.csv"
            for member, step in shipped()
            if member.seed == EMBEDDED_SEED
        ],


rule train_control:
    output:
        [
            f"results/control-family/{{twin}}/seed-{{seed}}/d{{width}}/step{step}/{name}"
            for step in STEPS
            for name in ("model.safetensors", "config.json", "tokenizer.json")
        ],
    log:
        "results/control-family/logs/train/{twin}/seed-{seed}/d{width}.log",
    wildcard_constraints:
        twin=plan.one_of(TWINS),
        seed=r"\d+",
        width=r"\d+",
    conda:
        "../../envs/scruple.yaml"
    params:
        version=1,
    message:
        "Training the {wildcards.twin} twin, seed {wildcards.seed}, width {wildcards.width}"
    script:
        "../../scripts/train_control.py"


rule measure_control:
    input:
        "results/control-family/{twin}/seed-{seed}/d{width}/step{step}/model.safetensors",
    output:
        "results/control-family/{twin}/seed-{seed}/d{width}/step{step}/{effort}.csv",
    log:
        "results/control-family/logs/measure/{twin}/seed-{seed}/d{width}/step{step}-{effort}.log",
    wildcard_constraints:
        twin=plan.one_of(TWINS),
        effort="check|truth",
    conda:
        "../../envs/scruple.yaml"
    params:
        version=1,
    message:
        "Measuring the {wildcards.twin} twin, seed {wildcards.seed}, width {wildcards.width} ({wildcards.effort})"
    script:
        "../../scripts/measure_control.py"


rule compare_control:
    input:
        tables=[
            f"{member.folder(FAMILY)}/check.csv"
            for member in members((EMBEDDED_SEED,))
        ],
    output:
        "results/control-family/comparison.csv",
    log:
        "results/control-family/logs/compare.log",
    conda:
        "../../envs/scruple.yaml"
    message:
        "Comparing the trained checkpoints with those in data/control"
    script:
        "../../scripts/compare_control.py"
