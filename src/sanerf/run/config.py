"""Configuration: nested frozen dataclasses, the same for library, command line and JSON on disk."""

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sanerf.aggregate.distill import DistillationConfig
from sanerf.aggregate.local_rays import RayPairConfig
from sanerf.aggregate.trust import TrustConfig
from sanerf.errors import UserError
from sanerf.fields.feature import FeatureConfig
from sanerf.fields.object import ObjectConfig
from sanerf.fields.radiance import RadianceConfig

T = TypeVar("T")


@dataclass(frozen=True)
class SamplingConfig:
    """How rays are sampled."""

    bins: int = 192
    """coarse intervals along a ray that look at the density grid"""
    samples: int = 16
    """intervals along a ray where the density is looked up, placed by the grid"""
    refined: int = 12
    """intervals along a ray that are rendered, placed by that density"""
    render_factor: float = 1.7
    """how many times more intervals look the density up in rendering than in training: at rest, few miss thin things"""
    render_refined_factor: float = 1.25
    """how many times more intervals are rendered then; 27 and 15 are a tenth faster than 24 and 18, and no worse"""
    grid_side: int = 128
    """cells of the density grid along an axis"""
    uniform: float = 0.2
    """share of the intervals that is spread evenly when training begins"""
    opacity_cap: float = 0.1
    """the most opacity that one coarse interval may claim"""


@dataclass(frozen=True)
class TrainingConfig:
    """How the radiance field is trained."""

    steps: int | None = 3000
    """optimisation steps; None where only the time is bounded"""
    rays: int = 2048
    """rays a step"""
    learning_rate: float = 1e-2
    """Adam's step size at the start"""
    final_learning_rate: float = 3e-4
    """Adam's step size at the end, reached exponentially"""
    exposure_learning_rate: float = 3e-2
    """Adam's step size for each view's exposure, falling as the field's; 0 takes all views' exposure as one"""
    exposure_delay: int = 400
    """steps before exposures are learnt: a field that knows nothing yet would be explained by them"""
    blurred_weight: float = 1.0
    """least weight of a view that is blurred next to its neighbours; 1 takes all views alike"""
    transients: bool = True
    """whether parts of views that contradict the others (people who walk by) count less"""
    transient_delay: int = 500
    """steps before they do: a field that knows nothing yet contradicts everything"""
    transient_error: float = 2.0
    """times the usual error of the views' parts above which one counts less"""
    distortion_weight: float = 2e-2
    """weight of the distortion loss, which pulls a ray's weights together and clears fog before cameras"""
    distortion_steps: int = 500
    """steps over which that weight rises from zero: in a field that knows nothing yet it would empty the space"""
    final_uniform: float = 0.05
    """share of the intervals that is spread evenly when training ends, reached exponentially, and in rendering"""
    grid_decay: float = 0.95
    """what remains of a density grid cell's value at each look into it"""
    checkpoint_seconds: float = 30.0
    """time between checkpoints"""


@dataclass(frozen=True)
class AggregateConfig:
    """How the object field is trained on the frozen radiance field."""

    steps: int = 300
    """optimisation steps for each set of masks"""
    added_steps: int = 100
    """the same where objects are added to a trained field"""
    revisions: int = 2
    """times that the field's own rendering prompts the decoder again"""
    settled: float = 2.0
    """mean IoU of new masks with those before from which on they are not revised again; above 1 the number decides"""
    refining_steps: int = 100
    """optimisation steps that refine a vote"""
    reviews: int = 1
    """times that masks without a decoder, from files, are held against the field, and it is fitted on without those
    that contradict it"""
    least_agreement: float = 0.5
    """a mask contradicts the field where its IoU with it is below this share of the median over its object's views"""
    rays: int = 8192
    """rays a step"""
    learning_rate: float = 1e-2
    """Adam's step size at the start"""
    weight_threshold: float = 1e-2
    """samples with a smaller compositing weight are dropped"""
    total_rays: int = 1_000_000
    """rays whose samples are computed once and kept, over all decoded views"""
    ray_pairs: RayPairConfig = field(default_factory=RayPairConfig)
    trust: TrustConfig = field(default_factory=TrustConfig)


@dataclass(frozen=True)
class RunConfig:
    """All that a run depends on besides the scene."""

    seed: int = 0
    """seed of every random choice"""
    downscale: int = 1
    """pictures are used at 1/downscale of their size"""
    radiance: RadianceConfig = field(default_factory=RadianceConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    object: ObjectConfig = field(default_factory=ObjectConfig)
    aggregate: AggregateConfig = field(default_factory=AggregateConfig)
    feature: FeatureConfig = field(default_factory=FeatureConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)


def to_json(config: Any) -> dict[str, Any]:
    """A dataclass as plain JSON values."""
    return dataclasses.asdict(config)


def from_json(kind: type[T], values: Any, where: str = "") -> T:
    """The dataclass `kind` from plain JSON values. Unknown keys, missing ones without a default and wrong types are a
    UserError that names the key."""
    if not isinstance(values, dict):
        raise UserError(f"{where or 'the configuration'} should be a JSON object, not {type(values).__name__}")
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)  # pyright: ignore[reportArgumentType]
    names = {f.name for f in fields}
    unknown = sorted(set(values) - names)
    if unknown:
        raise UserError(f"unknown key {where + unknown[0]!r}; known are {', '.join(sorted(names))}")
    needed = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    missing = [name for name in needed if name not in values]
    if missing:
        raise UserError(f"the key {where + missing[0]!r} is missing")
    out = {}
    for name, value in values.items():
        out[name] = _check(hints[name], value, f"{where}{name}")
    return kind(**out)


def _check(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_json(hint, value, where + ".")  # pyright: ignore[reportArgumentType]
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in typing.get_args(hint):
            return None
        hint = next(arm for arm in typing.get_args(hint) if arm is not type(None))
        origin = typing.get_origin(hint)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise UserError(f"{where} should be {' or '.join(map(repr, typing.get_args(hint)))}, not {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise UserError(f"{where} should be a list, not {value!r}")
        return tuple(_check(typing.get_args(hint)[0], entry, f"{where}[{i}]") for i, entry in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise UserError(f"{where} should be a JSON object, not {value!r}")
        return {key: _check(typing.get_args(hint)[1], entry, f"{where}.{key}") for key, entry in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and (not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)):
        raise UserError(f"{where} should be {hint.__name__}, not {value!r}")
    return value
