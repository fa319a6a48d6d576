# What the study would cost; nothing of it is spent.


localrules:
    plan,


rule plan:
    params:
        tables=plan.item_tables(),
    log:
        f"results/{study.study}/logs/plan.log",
    conda:
        "../../envs/scruple.yaml"
    message:
        "Planning {study.study}"
    script:
        "../../scripts/plan.py"
