# Items × checkpoint → responses: one job asks one checkpoint everything about one benchmark. The
# tiny checkpoints of a family share a process, since starting one costs more than they do.


rule respond:
    input:
        table="results/{study}/items/{benchmark}.parquet",
        checkpoints="results/{study}/checkpoints/{family}/{checkpoint}.json",
    output:
        responses="results/{study}/responses/{family}/{checkpoint}/{benchmark}.parquet",
        records="results/{study}/responses/{family}/{checkpoint}/{benchmark}.json",
    log:
        "results/{study}/logs/respond/{family}/{checkpoint}/{benchmark}.log",
    benchmark:
        "results/{study}/logs/respond/{family}/{checkpoint}/{benchmark}.tsv"
    wildcard_constraints:
        family=plan.alone(),
    conda:
        f"../../envs/{plan.environment()}.yaml"
    threads: study.compute.threads
    resources:
        gpu=plan.gpus(),
    params:
        version=1,
        benchmark="{benchmark}",
        family="{family}",
        settings=lambda wildcards: plan.response_settings(
            wildcards.family, [wildcards.checkpoint], wildcards.benchmark
        ),
    message:
        "Asking {wildcards.checkpoint} about {wildcards.benchmark}"
    script:
        "../../scripts/respond.py"


for group in plan.groups():

    rule:
        name:
            f"respond_{group.name}"
        input:
            table=f"results/{study.study}/items/{group.benchmark}.parquet",
            checkpoints=group.paths(
                f"results/{study.study}/checkpoints/{{family}}/{{checkpoint}}.json"
            ),
        output:
            responses=group.paths(
                f"results/{study.study}/responses/{{family}}/{{checkpoint}}/{{benchmark}}.parquet"
            ),
            records=group.paths(
                f"results/{study.study}/responses/{{family}}/{{checkpoint}}/{{benchmark}}.json"
            ),
        log:
            f"results/{study.study}/logs/respond/{group.family}/{group.benchmark}.log",
        benchmark:
            f"results/{study.study}/logs/respond/{group.family}/{group.benchmark}.tsv"
        conda:
            f"../../envs/{plan.environment()}.yaml"
        threads: study.compute.threads
        resources:
            gpu=plan.gpus(),
        params:
            version=1,
            benchmark=group.benchmark,
            family=group.family,
            settings=plan.response_settings(
                group.family, group.checkpoints, group.benchmark
            ),
        message:
            f"Asking {len(group.checkpoints)} checkpoints of {group.family} about {group.benchmark}"
        script:
            "../../scripts/respond.py"
