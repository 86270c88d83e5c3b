# Rows, token ids and the encoder of a study, checked and prepared once.


rule prepare:
    input:
        sources=STUDY.source_files,
        code=STUDY.preparation_code,
    output:
        checks=STUDY.layout.checks,
        examples=[STUDY.layout.examples(task) for task in STUDY.config.tasks],
        tokens=[STUDY.layout.tokens(task) for task in STUDY.config.tasks],
        stages=[STUDY.layout.stage_tokens(stage) for stage in STUDY.config.stages],
    log:
        STUDY.layout.root / "logs" / "prepare.log",
    params:
        definition=STUDY.data_definition,
        study=lambda wildcards, output: STUDY.arguments,
    message:
        f"prepare the data and the encoder of study {STUDY.config.name}"
    shell:
        "python -m weightwise prepare {params.study} 2> >(tee {log:q} >&2)"
