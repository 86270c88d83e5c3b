# From the run store to tidy tables and statistics.


rule collect:
    input:
        # A partial report takes what the store has; the missing runs are rows of runs.parquet.
        [] if STUDY.partial else STUDY.markers,
        checks=STUDY.layout.checks,
        code=STUDY.modules(
            "collect.py", "analysis/conflicts.py", "analysis/cost_ratios.py"
        ),
    output:
        [
            STUDY.layout.tables / f"{name}.parquet"
            for name in ("scores", "runs", "costs")
        ],
    log:
        STUDY.layout.root / "logs" / "collect.log",
    params:
        study=lambda wildcards, output: STUDY.arguments,
        cells=STUDY.cells_digest,
    message:
        "collect the scores of all runs"
    shell:
        "python -m weightwise collect {params.study} 2> >(tee {log:q} >&2)"


rule tables:
    input:
        scores=rules.collect.output,
        # The texts of the errors.
        examples=[STUDY.layout.examples(task) for task in STUDY.config.tasks],
        code=STUDY.modules("collect.py", "analysis/*.py"),
    output:
        [STUDY.layout.tables / f"{name}.parquet" for name in STUDY.analysis_tables],
    log:
        STUDY.layout.root / "logs" / "tables.log",
    params:
        study=lambda wildcards, output: STUDY.arguments,
        report=STUDY.report_definition,
    message:
        "analyse the scores"
    shell:
        "python -m weightwise tables {params.study} 2> >(tee {log:q} >&2)"
