"""COLMAP scenes on disk, written by pycolmap: synthetic models with observations, and pictures that go with them."""

from pathlib import Path

from scene_writer import write_picture

WIDTH, HEIGHT = 1024, 768
SHRUNK = 32
"""The pictures are this much smaller than the calibration, as a scene's `images_32` would be."""

# Focal lengths give 120 degrees across perspective pictures and some 170 across fisheye ones (corner to corner).
MODELS = {
    "SIMPLE_PINHOLE": [300.0, 510.0, 380.0],
    "PINHOLE": [300.0, 310.0, 510.0, 380.0],
    "SIMPLE_RADIAL": [700.0, 510.0, 380.0, -0.1],
    "RADIAL": [700.0, 510.0, 380.0, -0.1, 0.02],
    "OPENCV": [700.0, 710.0, 510.0, 380.0, -0.1, 0.02, 0.002, -0.003],
    "FULL_OPENCV": [700.0, 710.0, 510.0, 380.0, 0.1, -0.05, 0.002, -0.003, 0.02, 0.04, -0.01, 0.005],
    "SIMPLE_FISHEYE": [435.0, 510.0, 380.0],
    "FISHEYE": [435.0, 440.0, 510.0, 380.0],
    "SIMPLE_RADIAL_FISHEYE": [400.0, 510.0, 380.0, 0.05],
    "RADIAL_FISHEYE": [420.0, 510.0, 380.0, 0.05, -0.01],
    "OPENCV_FISHEYE": [420.0, 425.0, 510.0, 380.0, 0.05, -0.02, 0.01, -0.003],
    "THIN_PRISM_FISHEYE": [430.0, 435.0, 510.0, 380.0, 0.05, -0.02, 0.001, -0.002, 0.003, -0.001, 0.002, -0.001],
    "RAD_TAN_THIN_PRISM_FISHEYE": [
        *(420.0, 425.0, 510.0, 380.0, -0.03, 0.1, -0.06, 0.01, 0.002, -0.0005),
        *(0.001, -0.002, 0.0003, -0.0002, 0.0004, -0.0001),
    ],
    "FOV": [380.0, 385.0, 510.0, 380.0, 0.9],
    "SIMPLE_DIVISION": [500.0, 510.0, 380.0, -0.3],
    "DIVISION": [500.0, 510.0, 510.0, 380.0, 0.1],
    "EUCM": [420.0, 425.0, 510.0, 380.0, 0.6, 1.1],
}
"""Parameters of a strong lens for each camera model of COLMAP that looks ahead."""


def write_colmap(
    root: Path, model: str = "SIMPLE_RADIAL", *, text: bool = False, pictures: bool = True, cameras: int = 1
):
    """`sparse/0` of a synthetic model with two rigs of that many cameras, and its pictures; returns the model.

    3D points have their true observations in every picture that sees them.
    """
    import pycolmap

    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig = 2, cameras, 4
    options.num_points3D, options.num_points2D_without_point3D = 60, 3
    options.camera_width, options.camera_height = WIDTH, HEIGHT
    options.camera_model_id = getattr(pycolmap.CameraModelId, model)
    options.camera_params = MODELS[model]
    pycolmap.set_random_seed(0)
    reconstruction = pycolmap.synthesize_dataset(options)
    folder = root / "sparse" / "0"
    folder.mkdir(parents=True)
    (reconstruction.write_text if text else reconstruction.write_binary)(folder)
    if pictures:
        for image in reconstruction.images.values():
            write_picture(root / "images" / image.name, WIDTH // SHRUNK, HEIGHT // SHRUNK)
    return reconstruction
