"""Getting the object out: point clouds, meshes, cut-outs and masks as files, from arrays."""
