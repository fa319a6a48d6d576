# Responses → metrics and sums → effects and verdicts. Also the declaration and the provenance.


localrules:
    declare,
    measure,
    collect_metrics,
    find_effects,
    write_provenance,


rule declare:
    output:
        "results/{study}/declaration.json",
    log:
        "results/{study}/logs/declare.log",
    conda:
        "../../envs/scruple.yaml"
    params:
        version=2,
        declared=declared(study),
    message:
        "Declaring margins and primary measures of {wildcards.study}"
    script:
        "../../scripts/declare.py"


rule measure:
    input:
        table="results/{study}/items/{benchmark}.parquet",
        responses="results/{study}/responses/{family}/{checkpoint}/{benchmark}.parquet",
    output:
        metrics="results/{study}/metrics/{family}/{checkpoint}/{benchmark}.csv",
        sums="results/{study}/sums/{family}/{checkpoint}/{benchmark}.parquet",
    log:
        "results/{study}/logs/measure/{family}/{checkpoint}/{benchmark}.log",
    wildcard_constraints:
        family=plan.asking.alone(),
    conda:
        "../../envs/scruple.yaml"
    params:
        version=6,
        benchmark="{benchmark}",
        language=lambda wildcards: plan.language(wildcards.benchmark),
        family="{family}",
        places=lambda wildcards: plan.places(wildcards.family, [wildcards.checkpoint]),
    message:
        "Measuring {wildcards.checkpoint} on {wildcards.benchmark}"
    script:
        "../../scripts/measure.py"


for group in plan.asking.groups():

    rule:
        name:
            f"measure_{group.name}"
        input:
            table=f"results/{study.study}/items/{group.benchmark}.parquet",
            responses=group.paths(
                f"results/{study.study}/responses/{{family}}/{{checkpoint}}/{{benchmark}}.parquet"
            ),
        output:
            metrics=group.paths(
                f"results/{study.study}/metrics/{{family}}/{{checkpoint}}/{{benchmark}}.csv"
            ),
            sums=group.paths(
                f"results/{study.study}/sums/{{family}}/{{checkpoint}}/{{benchmark}}.parquet"
            ),
        log:
            f"results/{study.study}/logs/measure/{group.family}/{group.benchmark}.log",
        localrule: True
        conda:
            "../../envs/scruple.yaml"
        params:
            version=6,
            benchmark=group.benchmark,
            language=plan.language(group.benchmark),
            family=group.family,
            places=plan.places(group.family, group.checkpoints),
        message:
            f"Measuring {len(group.checkpoints)} checkpoints of {group.family} on {group.benchmark}"
        script:
            "../../scripts/measure.py"


rule collect_metrics:
    input:
        plan.per_job("results/{{study}}/metrics/{family}/{checkpoint}/{benchmark}.csv"),
    output:
        report(
            "results/{study}/metrics.csv",
            caption="../report/metrics.rst",
            category="Tables",
            labels={"table": "metrics"},
        ),
    log:
        "results/{study}/logs/collect_metrics.log",
    conda:
        "../../envs/scruple.yaml"
    message:
        "Collecting the metrics of {wildcards.study}"
    script:
        "../../scripts/collect_metrics.py"


rule find_effects:
    input:
        declaration="results/{study}/declaration.json",
        sums=plan.per_job(
            "results/{{study}}/sums/{family}/{checkpoint}/{benchmark}.parquet"
        ),
    output:
        effects=report(
            "results/{study}/effects.csv",
            caption="../report/effects.rst",
            category="Tables",
            labels={"table": "effects"},
        ),
        emergence=report(
            "results/{study}/emergence.csv",
            caption="../report/emergence.rst",
            category="Tables",
            labels={"table": "emergence"},
        ),
        curves=report(
            "results/{study}/curves.csv",
            caption="../report/curves.rst",
            category="Tables",
            labels={"table": "curves"},
        ),
        sensitivity=report(
            "results/{study}/sensitivity.csv",
            caption="../report/sensitivity.rst",
            category="Tables",
            labels={"table": "sensitivity"},
        ),
        abilities=report(
            "results/{study}/abilities.csv",
            caption="../report/abilities.rst",
            category="Tables",
            labels={"table": "abilities"},
        ),
        power=report(
            "results/{study}/power.csv",
            caption="../report/power.rst",
            category="Tables",
            labels={"table": "power"},
        ),
    log:
        "results/{study}/logs/find_effects.log",
    conda:
        "../../envs/scruple.yaml"
    params:
        version=4,
        controls=plan.controls(),
        jobs=plan.jobs(),
        unfinished=plan.unfinished(),
    message:
        "Finding the effects and verdicts of {wildcards.study}"
    script:
        "../../scripts/find_effects.py"


rule write_provenance:
    input:
        tables=plan.per_benchmark("results/{{study}}/items/{benchmark}.parquet"),
        left_out=plan.per_benchmark("results/{{study}}/items/{benchmark}.left_out.csv"),
        checkpoints=plan.per_checkpoint(
            "results/{{study}}/checkpoints/{family}/{checkpoint}.json"
        ),
        records=plan.per_job(
            "results/{{study}}/responses/{family}/{checkpoint}/{benchmark}.json"
        ),
    output:
        "results/{study}/provenance.json",
    log:
        "results/{study}/logs/write_provenance.log",
    conda:
        "../../envs/scruple.yaml"
    params:
        version=2,
        study=plan.plain(),
        unfinished=plan.unfinished(),
    message:
        "Recording the provenance of {wildcards.study}"
    script:
        "../../scripts/write_provenance.py"
