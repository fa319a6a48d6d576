# Items × checkpoint → responses: one job asks one checkpoint everything about one benchmark.


rule respond:
    input:
        table="results/{study}/items/{benchmark}.parquet",
        checkpoint="results/{study}/checkpoints/{family}/{checkpoint}.json",
    output:
        responses="results/{study}/responses/{family}/{checkpoint}/{benchmark}.parquet",
        record="results/{study}/responses/{family}/{checkpoint}/{benchmark}.json",
    log:
        "results/{study}/logs/respond/{family}/{checkpoint}/{benchmark}.log",
    benchmark:
        "results/{study}/logs/respond/{family}/{checkpoint}/{benchmark}.tsv"
    conda:
        "../../envs/scruple.yaml"
    threads: study.compute.threads
    resources:
        gpu=plan.gpus(),
    params:
        version=1,
        settings=lambda wildcards: plan.response_settings(
            wildcards.family, wildcards.checkpoint, wildcards.benchmark
        ),
    message:
        "Asking {wildcards.checkpoint} about {wildcards.benchmark}"
    script:
        "../../scripts/respond.py"
