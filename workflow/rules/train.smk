# The runs. Results go to the run store, which Snakemake does not own; a job declares markers only.
# The fingerprint of a run's configuration and code is part of its marker's name, so a change makes
# exactly the runs due that it changes, and packing (runs_per_job) makes none due.

# Their dates decide nothing: a marker that is not true of the present data, code and stages is
# removed before the workflow starts.
TRAIN = (
    "python -m weightwise.train {output:q} --study {params.study} --log "
    "--side-by-side {params.side_by_side}"
)
if STUDY.config.runs_per_job == 1:

    rule train:
        input:
            data=ancient(STUDY.layout.prepared),
            start=lambda wildcards: [
                ancient(start)
                for start in STUDY.stages.starts(
                    STUDY.layout.root
                    / "done"
                    / f"{wildcards.run}-{wildcards.fingerprint}.json"
                )
            ],
        output:
            STUDY.layout.root / "done" / "{run}-{fingerprint}.json",
        log:
            STUDY.layout.root / "logs" / "{run}-{fingerprint}.log",
        benchmark:
            STUDY.layout.root / "benchmarks" / "{run}-{fingerprint}.tsv"
        wildcard_constraints:
            run=".+/seed-[0-9-]+",
            fingerprint="[0-9a-f]+",
        threads: STUDY.config.threads
        resources:
            **asked_of_a_machine(STUDY.config.threads),
        params:
            study=lambda wildcards, output: STUDY.arguments,
            side_by_side=lambda wildcards, output: 1,
        message:
            "train {wildcards.run}"
        shell:
            TRAIN

else:

    for number, pack in enumerate(STUDY.packs, start=1):

        rule:
            name:
                f"train_{number}"
            input:
                data=ancient(STUDY.layout.prepared),
                start=[
                    ancient(start)
                    for start in sorted(
                        {
                            start
                            for marker in pack
                            for start in STUDY.stages.starts(marker)
                        }
                    )
                ],
            output:
                pack,
            log:
                STUDY.logs[number - 1],
            benchmark:
                STUDY.layout.root
                / "benchmarks"
                / f"pack-{pack[0].stem}-{len(pack)}.tsv"
            # Seed by seed: a first complete picture comes early.
            priority: len(STUDY.packs) - number
            threads: STUDY.config.threads * min(STUDY.config.runs_side_by_side, len(pack))
            resources:
                **asked_of_a_machine(
                    STUDY.config.threads
                    * min(STUDY.config.runs_side_by_side, len(pack))
                ),
            params:
                study=lambda wildcards, output: STUDY.arguments,
                # By a function of the output: how runs are packed makes nothing due.
                side_by_side=lambda wildcards, output: STUDY.config.runs_side_by_side,
            message:
                f"train pack {number} of {len(STUDY.packs)} ({len(pack)} runs)"
            shell:
                TRAIN
