"""Structure from motion: photographs or a video to a posed scene, through pycolmap."""
