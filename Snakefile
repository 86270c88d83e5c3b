# The study as a workflow. The contents:
#   data.smk     prepare     sources -> rows, token ids, encoder, facts of the data
#   stages.smk   stage       the encoder trained on other texts first, where runs start from that
#   train.smk    train       one job per run (or per pack of runs), into the run store
#   analyse.smk  collect     store -> scores;   tables: scores -> statistics
#   report.smk   figures     statistics -> SVG; report: everything -> one HTML file
#
# Which study: `snakemake` takes config.yaml, `snakemake --configfile workflow/studies/NAME.yaml`
# another one; `--config set='["seeds=[1]", "training.epochs=2"]'` overrides keys.
# Where: here, or as Slurm jobs by `snakemake --profile slurm` (docs/slurm.md).
# Targets: `all` (the report), `trained` (all runs), `prepared` (the data). They stand before the
# options: `snakemake trained --configfile FILE`. Behind --configfile Snakemake takes them for files.

from functools import partial

from snakemake.utils import min_version

from weightwise.workflow import open_study

min_version("9.27")

STUDY = open_study(config, workflow.configfiles)

if workflow.is_main_process:
    STUDY.let_go_on()
    STUDY.reconcile()

# Jobs run with the Python that runs Snakemake, be its environment activated or not.
shell.prefix(STUDY.shell_prefix)


# The resources of a training, of a stage or of a run, that uses so many CPUs.
asked_of_a_machine = partial(
    STUDY.training_resources, workflow.resource_settings.default_resources
)


include: "workflow/rules/data.smk"
include: "workflow/rules/stages.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/report.smk"


report: "workflow/report/workflow.rst"


localrules:
    all,
    trained,
    prepared,
    prepare,
    collect,
    tables,
    figures,
    report,


rule all:
    default_target: True
    input:
        STUDY.layout.report,
        STUDY.layout.made("report"),


rule trained:
    input:
        STUDY.markers,
        ancient(STUDY.layout.prepared),


rule prepared:
    input:
        STUDY.layout.prepared,


onstart:
    STUDY.begin(workflow)


onsuccess:
    STUDY.say_where_the_report_is()


onerror:
    STUDY.report_what_there_is(workflow)
