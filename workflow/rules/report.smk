# Tables, figures and responses → the report, one HTML page.


localrules:
    write_report,


rule write_report:
    input:
        tables=[
            f"results/{{study}}/{name}.csv"
            for name in (
                "metrics",
                "effects",
                "emergence",
                "abilities",
                "curves",
                "sensitivity",
                "power",
            )
        ],
        figures=[f"figures/{{study}}/{name}.svg" for name in figures],
        asked=plan.per_benchmark("results/{{study}}/items/{benchmark}.parquet"),
        responses=plan.per_job(
            "results/{{study}}/responses/{family}/{checkpoint}/{benchmark}.parquet"
        ),
        sums=plan.per_job(
            "results/{{study}}/sums/{family}/{checkpoint}/{benchmark}.parquet"
        ),
        declaration="results/{study}/declaration.json",
        provenance="results/{study}/provenance.json",
    output:
        "results/{study}/report.html",
    log:
        "results/{study}/logs/write_report.log",
    conda:
        "../../envs/scruple.yaml"
    params:
        version=5,
        jobs=plan.jobs(),
        unfinished=plan.unfinished(),
    message:
        "Writing the report of {wildcards.study}"
    script:
        "../../scripts/write_report.py"
