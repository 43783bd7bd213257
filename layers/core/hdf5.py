"""What an HDF5 file of weights must not hold: data of other files, code, or far more numbers than it has bytes for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["hdf5_problems"]

_MOST_OBJECTS = 200_000
_BUILT_IN_FILTERS = {1, 2, 3, 4, 5, 6, 32000}
"""Deflate, shuffle, Fletcher, SZIP, N-bit, scale and offset, and h5py's LZF; any other is looked for as a plug-in."""
_SMALL, _EXPANSION = 2**28, 1000
"""Data sets of up to so many bytes are read whatever they take in the file; of larger ones, so many times that."""


def hdf5_problems(file: Any) -> Iterator[str]:
    """Find what reading an HDF5 file would reach outside of it, or blow up. No data are read.

    HDF5 links groups and data sets to other files, without a word to whoever reads them; and a data set may be said to
    be of any size while the file holds none of it. Soft links are not followed: what they name is in the file.

    Args:
        file: an open `h5py.File`.

    Yields:
        A line for each: where it is, and what it is.

    Example:
        >>> import h5py, io
        >>> with h5py.File(io.BytesIO(), "w") as file:
        ...     file["weights"] = [1.0, 2.0]
        ...     file["more"] = h5py.ExternalLink("/etc/passwd", "/")
        ...     print(*hdf5_problems(file))
        /more: is a link into another file, /etc/passwd
    """
    import h5py  # Keras's own dependency

    seen: set[int] = set()
    waiting = [file["/"]]
    while waiting:
        group = waiting.pop()
        for name in group:
            place = f"{group.name.rstrip('/')}/{name}"
            try:
                link = group.get(name, getlink=True)
            except TypeError:
                yield f"{place}: is a link of an unknown kind"
                continue
            if isinstance(link, h5py.ExternalLink):
                yield f"{place}: is a link into another file, {link.filename}"
            elif isinstance(link, h5py.HardLink):
                found = group[name]
                address = int(h5py.h5o.get_info(found.id).addr)
                if address in seen:
                    continue  # linked twice, or in a circle
                seen.add(address)
                if len(seen) > _MOST_OBJECTS:
                    yield f"{place}: the file has more than {_MOST_OBJECTS:,} groups and data sets"
                    return
                if isinstance(found, h5py.Group):
                    waiting.append(found)
                elif isinstance(found, h5py.Dataset):
                    yield from (f"{place}: {problem}" for problem in _of_data(found))


def _of_data(data: Any) -> Iterator[str]:
    if data.external:
        yield f"its values are in another file, {data.external[0][0]}"
    if data.is_virtual:
        yield f"its values are in other files, {data.virtual_sources()[0].file_name}"
    plan = data.id.get_create_plist()
    filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
    if strange := [code for code in filters if code not in _BUILT_IN_FILTERS]:
        yield f"its values are read by filter {strange[0]}, a plug-in of HDF5"
    claimed, stored = (data.size or 0) * data.dtype.itemsize, data.id.get_storage_size()
    if claimed > max(_SMALL, _EXPANSION * stored) and not (data.external or data.is_virtual):
        yield f"is said to have {claimed:,} bytes, of which the file holds {stored:,}"
