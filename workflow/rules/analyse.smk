# From the run store to tidy tables and statistics. The note among the outputs of each step says what
# it was made of; one that is not what the study asks for is removed before the workflow starts.


rule collect:
    input:
        # A partial report takes what the store has; the missing runs are rows of runs.parquet.
        [] if STUDY.partial else STUDY.markers,
        data=ancient(STUDY.layout.prepared),
    output:
        STUDY.layout.made("collect"),
        [
            STUDY.layout.tables / f"{name}.parquet"
            for name in ("scores", "runs", "costs")
        ],
    log:
        STUDY.layout.root / "logs" / "collect.log",
    params:
        study=lambda wildcards, output: STUDY.arguments,
    message:
        "collect the scores of all runs"
    shell:
        "python -m weightwise collect {params.study} 2> >(tee {log:q} >&2)"


rule tables:
    input:
        scores=rules.collect.output,
    output:
        STUDY.layout.made("tables"),
        [STUDY.layout.tables / f"{name}.parquet" for name in STUDY.analysis_tables],
    log:
        STUDY.layout.root / "logs" / "tables.log",
    params:
        study=lambda wildcards, output: STUDY.arguments,
    message:
        "analyse the scores"
    shell:
        "python -m weightwise tables {params.study} 2> >(tee {log:q} >&2)"
