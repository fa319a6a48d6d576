# Benchmark files → tables of items.


localrules:
    download_source,
    build_items,


rule download_source:
    output:
        "results/sources/{kind}/{source}/{file}",
    log:
        "results/logs/download_source/{kind}-{source}-{file}.log",
    wildcard_constraints:
        kind="[^/]+",
        source="[^/]+",
        file="[^/]+",
    conda:
        "../../envs/scruple.yaml"
    message:
        "Fetching {wildcards.file} of {wildcards.kind} ({wildcards.source})"
    script:
        "../../scripts/download_source.py"


rule build_items:
    input:
        lambda wildcards: plan.source_files(wildcards.benchmark),
    output:
        table="results/{study}/items/{benchmark}.parquet",
        left_out="results/{study}/items/{benchmark}.left_out.csv",
    log:
        "results/{study}/logs/build_items/{benchmark}.log",
    conda:
        "../../envs/scruple.yaml"
    params:
        version=3,
        settings=lambda wildcards: plan.item_settings(wildcards.benchmark),
    message:
        "Reading the items of {wildcards.benchmark}"
    script:
        "../../scripts/build_items.py"
