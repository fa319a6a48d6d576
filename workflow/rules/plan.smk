# Prints what the study would cost, without running it.


localrules:
    plan,


rule plan:
    log:
        f"results/{study.study}/logs/plan.log",
    conda:
        "../../envs/scruple.yaml"
    params:
        tables=plan.item_tables(),
    message:
        "Planning {study.study}"
    script:
        "../../scripts/plan.py"
