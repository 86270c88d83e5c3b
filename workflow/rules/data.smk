# Rows, token ids and the encoder of a study, checked and prepared once into a store that Snakemake
# does not own. The marker names them; where it names others than the study asks for, or they are
# gone, it is removed before the workflow starts (src/weightwise/reconcile.py): content decides, and
# no source is an input.


rule prepare:
    output:
        STUDY.layout.prepared,
    log:
        STUDY.layout.root / "logs" / "prepare.log",
    params:
        study=lambda wildcards, output: STUDY.arguments,
    message:
        f"prepare the data and the encoder of study {STUDY.config.name}"
    shell:
        "python -m weightwise prepare {params.study} --marker 2> >(tee {log:q} >&2)"
