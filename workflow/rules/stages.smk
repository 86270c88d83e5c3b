# Trainings of the encoder alone, before the runs that start from their result. As with runs, results
# go to a store that Snakemake does not own, and the fingerprint of configuration and code is part of
# the marker's name.


rule stage:
    input:
        data=ancient(STUDY.layout.prepared),
        before=lambda wildcards: [
            ancient(marker) for marker in STUDY.stages.before(wildcards.stage)
        ],
    output:
        STUDY.layout.root / "stages" / "{stage}-{fingerprint}.json",
    log:
        STUDY.layout.root / "logs" / "stages" / "{stage}-{fingerprint}.log",
    benchmark:
        STUDY.layout.root / "benchmarks" / "stages" / "{stage}-{fingerprint}.tsv"
    wildcard_constraints:
        stage="[^/]+",
        fingerprint="[0-9a-f]+",
    threads: STUDY.config.threads
    resources:
        **asked_of_a_machine(STUDY.config.threads),
    params:
        study=lambda wildcards, output: STUDY.arguments,
    message:
        "compute stage {wildcards.stage}"
    shell:
        "python -m weightwise.stages {wildcards.stage} --study {params.study} --log"
