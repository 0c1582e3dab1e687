"""What becomes of a forget set: identical images join it, and several requests make one."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from unmemorize import _arrays
from unmemorize.forget_set.choices import ForgetSet


def twins(forget_set: ForgetSet, images: ArrayLike) -> dict[int, list[int]]:
    """Examples that stay in the retain set although their image is, pixel for pixel, one of those to forget.

    What is in the retain set twice is not forgotten, not even by retraining.

    Args:
        forget_set: of rows of `images`.
        images: (n, ...) of the whole training set, any dtype.

    Returns:
        Row of an image to forget -> rows of its twins outside the forget set; those without a twin are not named.

    Raises:
        IndexError: ids out of range.

    O(n) memory beside the images. Example:
        >>> twins(ForgetSet.from_ids([0, 1], strata=1), np.array([[5, 5], [7, 7], [5, 5], [5, 6]]))
        {0: [2]}
    """
    pixels, _ = _arrays.to_numpy(images, "images")
    forget_set.check(len(pixels))
    same: dict[bytes, list[int]] = defaultdict(list)
    for row, image in enumerate(pixels):
        same[hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()].append(row)
    inside = set(forget_set.ids.tolist())
    found: dict[int, list[int]] = {}
    for rows in same.values():
        outside = [row for row in rows if row not in inside]
        if outside and len(outside) < len(rows):
            found[next(row for row in rows if row in inside)] = outside
    return found


def with_twins(
    forget_set: ForgetSet, images: ArrayLike, labels: ArrayLike | None = None, *, but: Collection[int] = ()
) -> ForgetSet:
    """`forget_set` and the twins of its images, each in the stratum and with the score of the image that it equals.

    Args:
        forget_set: of rows of `images`.
        images: (n, ...) of the whole training set.
        labels: (n,) of the whole training set, where the forget set knows those of its own: a twin may have another.
        but: rows that do not join, as another request has them.

    Raises:
        ValueError: labels are needed.

    Example:
        >>> images = np.array([[5, 5], [7, 7], [5, 5], [5, 6]])
        >>> with_twins(ForgetSet.from_ids([0, 1], strata=1), images).ids
        array([0, 1, 2])
    """
    found = {row: [twin for twin in rows if twin not in but] for row, rows in twins(forget_set, images).items()}
    if not any(found.values()):
        return forget_set
    if forget_set.labels is not None and labels is None:
        raise ValueError("labels: the twins' are needed; give those of the whole training set")
    place = {row: at for at, row in enumerate(forget_set.ids.tolist())}
    added = np.array([twin for rows in found.values() for twin in rows])
    like = np.array([place[row] for row, rows in found.items() for _ in rows])
    ids, strata = np.concatenate([forget_set.ids, added]), np.append(forget_set.strata, forget_set.strata[like])
    order = np.lexsort((ids, strata))
    known = None if labels is None else _arrays.integers(labels, "labels", "(n,)")
    return replace(
        forget_set,
        ids=ids[order],
        strata=strata[order],
        scores=None if forget_set.scores is None else np.append(forget_set.scores, forget_set.scores[like])[order],
        labels=None if forget_set.labels is None or known is None else known[ids[order]],
        rule={**forget_set.rule, "twins": sorted(added.tolist())},
    )


def merged(forget_sets: Sequence[ForgetSet]) -> ForgetSet:
    """Several requests as one forget set, each a stratum; a single one is what it was.

    Raises:
        ValueError: an example is in two requests, or they are of different data.

    Example:
        >>> merged([ForgetSet.from_ids(ids, strata=1) for ids in ([7, 3], [5])])
        ForgetSet(3 of unknown examples: request 1 2, request 2 1)
    """
    first, *others = forget_sets
    if not others:
        return first
    if len({(one.data_hash, one.n) for one in forget_sets}) > 1:
        raise ValueError("forget sets: expected all of one data set")
    for k, one in enumerate(forget_sets):
        twice = np.intersect1d(one.ids, np.concatenate([np.empty(0, np.int64), *(e.ids for e in forget_sets[:k])]))
        if len(twice):
            what = f"{len(twice)} of {len(one)} examples are in an earlier one, the first is row {twice[0]}"
            raise ValueError(f"request {k + 1}: {what}")
    labels = [one.labels[np.argsort(one.ids)] for one in forget_sets if one.labels is not None]
    return ForgetSet(
        ids=np.concatenate([np.sort(one.ids) for one in forget_sets]),
        strata=np.repeat(np.arange(len(forget_sets)), [len(one) for one in forget_sets]),
        names=tuple(f"request {k + 1}" for k in range(len(forget_sets))),
        labels=np.concatenate(labels) if len(labels) == len(forget_sets) else None,
        rule={"by": "requests", "of": [one.hash for one in forget_sets]},
        n=first.n,
        data_hash=first.data_hash,
    )
