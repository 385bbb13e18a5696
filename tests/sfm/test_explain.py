"""Why photographs found no place, and which are matched with which."""

from itertools import combinations

import numpy as np

from sanerf.sfm.explain import Photo, explanation, reasons
from sanerf.sfm.pairs import ALL_WITH_ALL, photo_pairs


def photo(name: str, *, sharpness=100.0, features=1000, matches=300, registered=False) -> Photo:
    return Photo(name, sharpness, features, matches, registered)


def test_each_photograph_without_a_place_has_its_most_likely_reason():
    photos = [photo(f"good{i}", registered=True) for i in range(5)]
    photos += [photo("shaken", sharpness=34.0, matches=3), photo("wall", features=90, matches=2)]
    photos += [photo("kitchen", matches=6), photo("corner", sharpness=36.0, matches=40), photo("garden", matches=14)]
    photos.append(Photo("torn", 0.0, 0, 0, registered=False, readable=False))
    assert reasons(photos) == {
        "are blurred": ["shaken"],
        "show too little structure (plain, dark or overexposed)": ["wall"],
        "share no features with the others": ["kitchen", "garden"],
        "overlap too little with those that were registered": ["corner"],
        "cannot be read": ["torn"],
    }
    assert explanation(photos) == (
        "5 of 11 photos registered; this one is blurred: shaken; "
        "this one shows too little structure (plain, dark or overexposed): wall; "
        "these 2 share no features with the others: kitchen, garden; "
        "this one overlaps too little with those that were registered: corner; "
        "this one cannot be read: torn"
    )


def test_where_none_is_registered_nothing_is_said_of_those_that_were():
    assert explanation([photo(name) for name in "abc"]) == (
        "0 of 3 photos registered; these 3 overlap too little with the others, or the camera stood still: a, b, c"
    )


def test_long_lists_are_cut_and_a_full_success_is_short():
    assert explanation([photo(str(i), registered=True) for i in range(3)]) == "3 of 3 photos registered"
    many = [photo("x", registered=True), *(photo(f"p{i}", matches=0) for i in range(8))]
    assert explanation(many).endswith("these 8 share no features with the others: p0, p1, p2, p3, p4, p5 and 2 more")


def test_few_photographs_are_matched_all_with_all():
    descriptors = [np.zeros((4, 128), np.float32)] * 5
    assert photo_pairs(descriptors, seed=0) == list(combinations(range(5), 2))


def test_of_many_neighbours_and_look_alikes_are_matched():
    """Photographs of twelve places, visited in turn: all pairs of a place are found, few others beyond neighbours."""
    generator = np.random.default_rng(0)
    places, visits = 12, 10
    count = places * visits
    assert count > ALL_WITH_ALL
    things = generator.uniform(0, 100, (places, 30, 128))
    descriptors = [(things[i % places] + generator.normal(0, 2, (30, 128))).astype(np.float32) for i in range(count)]
    pairs = set(photo_pairs(descriptors, seed=0))
    same_place = {(i, j) for i, j in combinations(range(count), 2) if i % places == j % places}
    assert len(same_place & pairs) >= 0.95 * len(same_place)
    assert all((i, i + step) in pairs for step in (1, 2, 3, 4, 5, 8, 16, 32, 64) for i in range(count - step))
    assert len(pairs) < 0.5 * count * (count - 1) / 2


def test_many_photographs_without_features_are_matched_with_neighbours_alone():
    pairs = photo_pairs([np.zeros((0, 128), np.float32)] * 70, seed=0)
    assert {j - i for i, j in pairs} == {1, 2, 3, 4, 5, 8, 16, 32, 64}
