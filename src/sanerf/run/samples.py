"""How a run's frozen field is sampled where something is learnt on it, and where the samples are kept."""

from dataclasses import replace
from pathlib import Path

from sanerf.adapters.hash_field import HashField
from sanerf.aggregate.sample_cache import SampleCache
from sanerf.fields.protocol import Field
from sanerf.fields.radiance import RadianceField
from sanerf.render.images import Renderer
from sanerf.run.folder import Run


def sample_cache(path: Path, field: Field) -> SampleCache | None:
    """The kept samples of a field; None where it is somebody's Python code: nobody knows what that depends on."""
    if type(field) is RadianceField:
        return SampleCache(path, repr(field.grid.levels))
    if type(field) is HashField:
        return SampleCache(path, repr(field.settings))
    return None


def training_renderer(run: Run, renderer: Renderer) -> Renderer:
    """A renderer that samples as densely as training does: a bank twice as dense costs twice the time, and exact masks
    taught the object field as much without (0.965 mean IoU on the bundled scene)."""
    sampling = run.config.sampling
    return replace(renderer, plan=replace(renderer.plan, samples=sampling.samples, refined=sampling.refined))
