from dataclasses import dataclass
from sanerf.cli.console import CommonOptions
@dataclass(frozen=True)
class Demo(CommonOptions):
    """x"""
    def run(self): pass
