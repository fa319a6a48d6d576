# Tables → figures.


localrules:
    plot_figure,


rule plot_figure:
    input:
        tables=[
            f"results/{{study}}/{name}.csv"
            for name in ("metrics", "effects", "emergence", "sensitivity")
        ],
        sums=plan.per_job(
            "results/{{study}}/sums/{family}/{checkpoint}/{benchmark}.parquet"
        ),
    output:
        png=report(
            "figures/{study}/{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels=lambda wildcards: {"figure": figures[wildcards.figure].title},
        ),
        svg="figures/{study}/{figure}.svg",
        pdf="figures/{study}/{figure}.pdf",
    log:
        "results/{study}/logs/plot_figure/{figure}.log",
    conda:
        "../../envs/scruple.yaml"
    params:
        version=3,
        jobs=plan.jobs(),
        caption=lambda wildcards: figures[wildcards.figure].caption,
        notes=notes_of(study, plan.unfinished()),
        unfinished=plan.unfinished(),
    message:
        "Drawing {wildcards.figure} of {wildcards.study}"
    script:
        "../../scripts/plot_figure.py"
