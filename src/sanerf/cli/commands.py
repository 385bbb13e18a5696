"""All commands by name. A command is a frozen dataclass of options with a `run` method."""

from sanerf.cli.bench import Bench
from sanerf.cli.demo import Demo
from sanerf.cli.doctor import Doctor
from sanerf.cli.evaluate import Evaluate
from sanerf.cli.export import Export
from sanerf.cli.import_field import ImportField
from sanerf.cli.masks import Masks
from sanerf.cli.process import Process
from sanerf.cli.relink import Relink
from sanerf.cli.render import Render
from sanerf.cli.segment import Segment
from sanerf.cli.suggest import Suggest
from sanerf.cli.train import Train
from sanerf.cli.weights import Weights

COMMANDS = {
    "demo": Demo,
    "doctor": Doctor,
    "process": Process,
    "masks": Masks,
    "train": Train,
    "import-field": ImportField,
    "render": Render,
    "segment": Segment,
    "suggest": Suggest,
    "evaluate": Evaluate,
    "export": Export,
    "relink": Relink,
    "bench": Bench,
    "weights": Weights,
}
