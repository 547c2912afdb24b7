"""The pages of `jaxcl --help` and `jaxcl train --help`: one screen each."""

EXAMPLES = """
examples:
  jaxcl train configs/quickstart.toml          an encoder of digits, in a minute
  jaxcl train configs/folder.toml --data.path photos --data.label ""
  jaxcl report runs/quickstart runs/folder     compares two runs
  jaxcl embed runs/folder --out photos.parquet
  jaxcl export runs/folder --to onnx --out encoder.onnx
  jaxcl explore runs/folder                    a map of its images, as a page

`jaxcl COMMAND --help` explains a command, `jaxcl train --help all` every field."""

TRAIN = """\
usage: jaxcl train CONFIG [--workdir DIR] [--FIELD VALUE ...]

Trains an encoder as a TOML file says, evaluates it and writes a report. The same
command continues a run that was stopped; with a larger --num-steps and a constant
schedule it continues a run that has ended.

examples:
  jaxcl train configs/quickstart.toml
  jaxcl train configs/quickstart.toml --objective.name dcl --workdir runs/dcl
  jaxcl train configs/folder.toml --data.path photos --data.table photos.csv

options:
  --workdir DIR     directory of the run; by default runs/<name of the config>
  --quiet           print errors only
  --json            print the report as JSON on standard output

Every field of a config is an option. Often used are:
  --seed                      of parameters, order of samples and augmentation
  --num-steps                 number of parameter updates
  --data.path                 a folder with your own images
  --data.table                a CSV, Parquet or JSONL file that describes them
  --data.label                column of the class; "" = none
  --data.domain               column of the domain, such as the hospital
  --data.test-splits          splits to evaluate on
  --data.batch-size           samples per step, over all devices
  --data.image-size           height and width of the images
  --augmentation.recipe       how views are made, such as simclr
  --model.encoder             such as convnet, resnet18 or vit_s
  --objective.name            the loss, such as nt_xent, supcon or y_aware
  --objective.temperature     divides the similarities
  --optimizer.learning-rate   peak learning rate

`jaxcl train --help all` explains every field."""
