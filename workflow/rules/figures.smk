# Metrics → figures.


localrules:
    plot_scaling,


rule plot_scaling:
    input:
        "results/{study}/metrics.csv",
    output:
        png=report(
            "figures/{study}/scaling.png",
            caption="../report/scaling.rst",
            category="Figures",
            labels={"figure": "scaling"},
        ),
        svg="figures/{study}/scaling.svg",
        pdf="figures/{study}/scaling.pdf",
    log:
        "results/{study}/logs/plot_scaling.log",
    conda:
        "../../envs/scruple.yaml"
    params:
        version=2,
        conditions=list(study.conditions),
        wording=study.wordings[0],
        kinds={benchmark.name: benchmark.kind for benchmark in study.benchmarks},
        scoring={family.name: family.primary_scoring for family in study.families},
        notes={family.name: family.note for family in study.families if family.note},
    message:
        "Drawing the scaling figure of {wildcards.study}"
    script:
        "../../scripts/plot_scaling.py"
