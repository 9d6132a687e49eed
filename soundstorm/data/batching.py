"""Batches of items of similar length, for everything that runs a network over a list."""

from collections.abc import Iterator, Sequence


def batch_by_length(lengths: Sequence[float], budget: float, *, sort: bool = True) -> Iterator[list[int]]:
    """Items whose padded batch (number of items x longest item) is at most ``budget``.

    Args:
        lengths: of each item, in any unit.
        budget: in the same unit; an item that is longer is a batch of its own.
        sort: the shortest first, which pads least; otherwise in the order given.

    Yields:
        Indices of the items of each batch; every item is in one of them.
    """
    batch: list[int] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__) if sort else range(len(lengths)):
        longest = max(longest, lengths[index])
        if batch and longest * (len(batch) + 1) > budget:
            yield batch
            batch, longest = [], lengths[index]
        batch.append(index)
    if batch:
        yield batch
