"""Shape annotations: `Float[Tensor, "rays samples 3"]`.

They come from jaxtyping when it is installed (the test suite installs it and really checks them); the core does
without, and then an annotation is just the array type. Axis words have one meaning everywhere:

    rays, samples        a batch of rays, the samples along one
    points               3D points or query positions without ray structure
    edges                samples + 1, the ends of a ray's intervals
    levels, entries      of a hash grid
    channels, hidden     feature widths
    objects              identities of the object field, background first (the paper's L)
    views                pictures of a scene
    h, w                 a picture's rows and columns
    hypotheses           masks a decoder proposes for one prompt
    clicks               point prompts of one object in one view
    faces, vertices      of a mesh
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Float64, Int, Int64, UInt8
else:
    try:
        from jaxtyping import Bool, Float, Float32, Float64, Int, Int64, UInt8
    except ImportError:

        class _Unchecked:
            """`Kind[Array, "axes"]` without jaxtyping: the array type alone."""

            def __class_getitem__(cls, item):
                return item[0]

        Bool = Float = Float32 = Float64 = Int = Int64 = UInt8 = _Unchecked

__all__ = ["Bool", "Float", "Float32", "Float64", "Int", "Int64", "UInt8"]
