"""Which photographs to match with which: all with all where they are few, else neighbours and look-alikes.

Look-alikes are found by VLAD descriptors (Jegou et al. 2010) of the photographs' own features: the sum of their
offsets from 64 typical features, so that no network and no vocabulary file is needed.
"""

from itertools import combinations

import numpy as np
from scipy.cluster.vq import kmeans2, vq

from sanerf.shapes import Float32, Int64

ALL_WITH_ALL = 60
"""Up to so many photographs every pair is matched: 1,770 pairs, some minutes on two cores."""
NEIGHBOURS = 5
"""Photographs after each one in order of name that it is matched with; and those 2, 4, 8, ... places on, up to 64."""
LOOK_ALIKES = 20
_WORDS = 64
_FEATURES_A_PHOTO = 300


def photo_pairs(descriptors: list[Float32[np.ndarray, "_ 128"]], seed: int) -> list[tuple[int, int]]:
    """Pairs of photographs (i < j), each once, in a fixed order; `descriptors` of each in order of name."""
    count = len(descriptors)
    if count <= ALL_WITH_ALL:
        return list(combinations(range(count), 2))
    steps = {*range(1, NEIGHBOURS + 1), *(2**k for k in range(7))}
    pairs = {(i, i + step) for i in range(count) for step in steps if i + step < count}
    for i, row in enumerate(_look_alikes(descriptors, seed)):
        pairs |= {(min(i, j), max(i, j)) for j in row.tolist() if j != i}
    return sorted(pairs)


def _look_alikes(descriptors: list[Float32[np.ndarray, "_ 128"]], seed: int) -> Int64[np.ndarray, "photos _"]:
    """The photographs most like each, by the cosine of their VLAD descriptors; itself among them.

    None where there are hardly any features.
    """
    generator = np.random.default_rng(seed)
    samples = [d[generator.permutation(len(d))[:_FEATURES_A_PHOTO]] for d in descriptors]
    if sum(map(len, samples)) < _WORDS:
        return np.zeros((len(descriptors), 0), np.int64)
    words, _ = kmeans2(np.concatenate(samples), _WORDS, iter=10, minit="++", seed=generator)  # pyright: ignore[reportCallIssue]
    vectors = np.stack([_vlad(sample, words.astype(np.float32)) for sample in samples])
    likeness = vectors @ vectors.T
    return np.argsort(-likeness, axis=1, kind="stable")[:, : LOOK_ALIKES + 1]


def _vlad(
    descriptors: Float32[np.ndarray, "features 128"], words: Float32[np.ndarray, "words 128"]
) -> Float32[np.ndarray, "_"]:
    """Unit vector of signed-square-rooted sums of offsets from the nearest word."""
    out = np.zeros_like(words)
    if len(descriptors):
        nearest, _ = vq(descriptors, words)
        np.add.at(out, nearest, descriptors - words[nearest])
    flat = np.sign(out).ravel() * np.sqrt(np.abs(out)).ravel()
    return flat / max(float(np.linalg.norm(flat)), 1e-12)
