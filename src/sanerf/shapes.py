"""Shape annotations: `Float[Tensor, "rays samples 3"]`.

They come from jaxtyping when it is installed (the test suite installs it and really checks them); the core does
without, and then an annotation is just the array type. Axis words have one meaning everywhere:

    rays, samples        a batch of rays, the samples along one
    edges                samples + 1, the ends of a ray's intervals
    looked, looked_edges     those of a ray's first look
    refined_edges            those that its second look places
    new_edges                those that divide a ray anew
    points               3D points or query positions without ray structure
    batch, axes          any number of axes, with a star
    references           rays to which others of a batch are compared (the paper's K)
    patches              small squares of pixels about one point, each in another view
    levels, entries      of a hash grid
    channels, features   values at a place, the values that an encoding gives
    parameters           of networks and grids, in one array
    geometry             channels that the density head hands to the colour head
    code                 channels that stand for a direction of sight
    objects              identities of the object field, background first (the paper's L)
    photos               photographs that structure from motion looks at
    words                typical features of them
    views, pixels        pictures of a scene, all their pixels one after the other
    latent               values at a point that several maps of features are made of
    rays_and_one         where the samples of each ray start, and where the last ray's end
    views_and_one        the same for the pixels of views
    cells_and_one        the same for the rays of cells
    directions           rays of one set of intrinsics, in camera axes
    h, w                 a picture's rows and columns
    mh, mw               those of a mask at a resolution of its own
    ch, cw               those of a cut-out
    rows, columns        of a lattice of pixels
    side                 cells or pixels along the edge of a cube or a square
    hypotheses           masks a decoder proposes for one prompt
    clicks               point prompts of one object in one view
    candidates           masks of one picture that are in question
    bytes                eight pixels each of a packed mask, or cells of a packed grid
    runs                 pixels in a row that are all in a mask or all not
    faces, vertices      of a mesh; vertices also of a polyline
    voxels               occupied cells of a regular grid
    cells                cells of the density grid, some or all of them
    nx, ny, nz           points of a lattice along each axis
    bx, by, bz           its blocks of cells

and inside of the segmenters' networks

    n, c                 prompts or pictures of a batch, channels
    q, k                 queries and keys of an attention
    maps                 prompts drawn as pictures
    ph, pw               rows and columns of a previous mask
    small                side of SAM's masks, a quarter of its input frame

A number behind h, w or c is another size of the same thing (h4 at stride 4), an underscore any length.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Float64, Int, Int64, UInt8, UInt16
else:
    try:
        from jaxtyping import Bool, Float, Float32, Float64, Int, Int64, UInt8, UInt16
    except ImportError:

        class _Unchecked:
            """`Kind[Array, "axes"]` without jaxtyping: the array type alone."""

            def __class_getitem__(cls, item):
                return item[0]

        Bool = Float = Float32 = Float64 = Int = Int64 = UInt8 = UInt16 = _Unchecked

__all__ = ["Bool", "Float", "Float32", "Float64", "Int", "Int64", "UInt8", "UInt16"]
