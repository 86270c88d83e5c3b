# Figures and the HTML report, and the same figures for `snakemake --report`.


rule figures:
    input:
        scores=rules.collect.output,
        tables=rules.tables.output,
    output:
        made=STUDY.layout.made("figures"),
        index=STUDY.layout.figures / "index.json",
        kinds=[
            report(
                directory(STUDY.layout.figures / kind),
                patterns=["{name}.svg"],
                caption=f"../report/{kind}.rst",
                category="Figures",
                subcategory=kind,
            )
            for kind in STUDY.figure_kinds
        ],
    log:
        STUDY.layout.root / "logs" / "figures.log",
    params:
        study=lambda wildcards, output: STUDY.arguments,
    message:
        "draw the figures"
    shell:
        "python -m weightwise figures {params.study} 2> >(tee {log:q} >&2)"


rule report:
    input:
        scores=rules.collect.output,
        tables=rules.tables.output,
        figures=rules.figures.output,
        stages=[] if STUDY.partial else STUDY.stages.markers,
    output:
        made=STUDY.layout.made("report"),
        page=report(
            STUDY.layout.report, caption="../report/report.rst", category="Results"
        ),
    log:
        STUDY.layout.root / "logs" / "report.log",
    params:
        study=lambda wildcards, output: STUDY.arguments,
        reports=lambda wildcards, output: STUDY.layout.reports,
        partial="--partial" if STUDY.partial else "",
    message:
        "write the report"
    shell:
        "python -m weightwise report {params.study} --reports {params.reports:q} {params.partial} 2> >(tee {log:q} >&2)"
