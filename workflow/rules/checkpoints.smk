# Checkpoints → manifests. The weights stay in the hub's cache, their folder or their package.


localrules:
    fetch_checkpoint,


rule fetch_checkpoint:
    output:
        "results/{study}/checkpoints/{family}/{checkpoint}.json",
    log:
        "results/{study}/logs/fetch_checkpoint/{family}/{checkpoint}.log",
    conda:
        "../../envs/scruple.yaml"
    params:
        version=2,
        settings=lambda wildcards: plan.checkpoint_settings(
            wildcards.family, wildcards.checkpoint
        ),
    message:
        "Fetching checkpoint {wildcards.checkpoint} of {wildcards.family}"
    script:
        "../../scripts/fetch_checkpoint.py"
