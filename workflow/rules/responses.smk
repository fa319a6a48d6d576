# Items × checkpoint → responses. One job asks one checkpoint all trials of one benchmark. Long jobs
# are split by items into shards, which are gathered at the end. The tiny checkpoints of a family
# share a process, because starting one takes longer than asking them.

alone = plan.resources.rule()


localrules:
    gather_shards,


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
        family=plan.asking.at_once(),
    priority: alone.priority
    group:
        alone.group
    conda:
        f"../../envs/{plan.environment()}.yaml"
    threads: study.compute.threads
    resources:
        gpu=alone.gpus,
        mem_mb=alone.memory,
        runtime=alone.minutes,
        nodes=1,
    params:
        version=2,
        benchmark="{benchmark}",
        family="{family}",
        settings=lambda wildcards: plan.response_settings(
            wildcards.family, [wildcards.checkpoint], wildcards.benchmark
        ),
    message:
        "Asking {wildcards.checkpoint} about {wildcards.benchmark}"
    script:
        "../../scripts/respond.py"


rule respond_shard:
    input:
        table="results/{study}/items/{benchmark}.parquet",
        checkpoints="results/{study}/checkpoints/{family}/{checkpoint}.json",
    output:
        responses=temp(
            "results/{study}/shards/{family}/{checkpoint}/{benchmark}/{shard}.parquet"
        ),
        records=temp(
            "results/{study}/shards/{family}/{checkpoint}/{benchmark}/{shard}.json"
        ),
    log:
        "results/{study}/logs/respond/{family}/{checkpoint}/{benchmark}/{shard}.log",
    benchmark:
        "results/{study}/logs/respond/{family}/{checkpoint}/{benchmark}/{shard}.tsv"
    wildcard_constraints:
        shard=PATTERN,
    priority: alone.priority
    conda:
        f"../../envs/{plan.environment()}.yaml"
    threads: study.compute.threads
    resources:
        gpu=alone.gpus,
        mem_mb=alone.memory,
        runtime=alone.minutes,
        nodes=1,
    params:
        version=2,
        benchmark="{benchmark}",
        family="{family}",
        settings=lambda wildcards: plan.response_settings(
            wildcards.family, [wildcards.checkpoint], wildcards.benchmark
        ),
    message:
        "Asking {wildcards.checkpoint} about {wildcards.benchmark}, {wildcards.shard}"
    script:
        "../../scripts/respond.py"


rule gather_shards:
    input:
        # not needed for gathering: inputs, so that new items or a new manifest trigger a rerun
        table="results/{study}/items/{benchmark}.parquet",
        checkpoints="results/{study}/checkpoints/{family}/{checkpoint}.json",
        responses=lambda wildcards: plan.asking.shards(
            "results/{study}/shards/{family}/{checkpoint}/{benchmark}/{shard}.parquet",
            wildcards,
        ),
        records=lambda wildcards: plan.asking.shards(
            "results/{study}/shards/{family}/{checkpoint}/{benchmark}/{shard}.json",
            wildcards,
        ),
    output:
        responses="results/{study}/responses/{family}/{checkpoint}/{benchmark}.parquet",
        records="results/{study}/responses/{family}/{checkpoint}/{benchmark}.json",
    log:
        "results/{study}/logs/gather_shards/{family}/{checkpoint}/{benchmark}.log",
    wildcard_constraints:
        family=plan.asking.in_shards(),
    conda:
        "../../envs/scruple.yaml"
    params:
        version=2,
        settings=lambda wildcards: plan.response_settings(
            wildcards.family, [wildcards.checkpoint], wildcards.benchmark
        ),
    message:
        "Gathering the shards of {wildcards.checkpoint} about {wildcards.benchmark}"
    script:
        "../../scripts/gather_shards.py"


for group in plan.asking.groups():
    shared = plan.resources.rule(group.places())

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
        priority: shared.priority
        conda:
            f"../../envs/{plan.environment()}.yaml"
        threads: study.compute.threads
        resources:
            gpu=shared.gpus,
            mem_mb=shared.memory,
            runtime=shared.minutes,
            nodes=1,
        params:
            version=2,
            benchmark=group.benchmark,
            family=group.family,
            settings=plan.response_settings(
                group.family, group.checkpoints, group.benchmark
            ),
        message:
            f"Asking {len(group.checkpoints)} checkpoints of {group.family} about {group.benchmark}"
        script:
            "../../scripts/respond.py"
