"""Who is next to whom: nearest neighbours, Delaunay bonds, Voronoi cells and the hexatic order of each object.

What lies outside the field is not seen. A bond or cell counts as `complete` where no object out there, wherever it were, could
change it: every circle through the corners of the Delaunay triangles about the object is empty by definition, and here lies
in the field as a whole. Large cells are less often complete; each object that is counts with the inverse of the chance that its
circles, which fill a box of w x h, fall into a field of W x H: W H / ((W - w) (H - h)) (Miles 1974; Lantuejoul 1978).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import Delaunay, QhullError, cKDTree

from morphoscope.calibration import Calibration
from morphoscope.errors import UsageError
from morphoscope.physics.points import Field, Points, points

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Weights = Literal["equal", "side"]
SLACK = 1e-9
LENGTHS = ("nearest", "to_edge")


class Mesh(NamedTuple):
    """The Delaunay triangulation of n points, its m bonds and n Voronoi cells.

    `bond` (m, 2) the two points, smaller number first; `sure` (m,) whether the bond is there whatever lies outside; `side` (m,)
    the length of the side the two cells share (nan at the hull); `area` (n,) of the cells; `complete` (n,) whether cell and bonds
    are those of the whole plane; `weight` (n,) of those in means, 0 for others. Areas and sides of cells that are not complete
    mean nothing.
    """

    bond: Ints
    sure: Flags
    side: Array
    area: Array
    complete: Flags
    weight: Array


def mesh(xy: Array, size: Array) -> Mesh:
    """Triangulate points (n, 2) in a field from (0, 0) to `size` (2,).

    Without three points that are not on a line there are no bonds. Where four or more points lie on one circle, as in a square
    lattice, one of several right triangulations is taken; their cells are the same.
    """
    n = len(xy)
    try:
        corner = np.asarray(Delaunay(xy).simplices, dtype=np.int64) if n >= 3 else np.empty((0, 3), np.int64)
    except QhullError:
        corner = np.empty((0, 3), np.int64)
    at = xy[corner]  # (t, 3, 2)
    opposite = np.roll(at, -1, axis=1) - np.roll(at, -2, axis=1)  # the side that faces each corner
    square = (opposite**2).sum(axis=2)
    first, second = np.roll(at, -1, axis=1) - at, np.roll(at, -2, axis=1) - at
    cross = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        cot = (first * second).sum(axis=2) / np.abs(cross)
        share = square * cot / 8  # what the triangle gives to the cells of both ends of that side
        low, high = _circles(at, square * cot, cross)
    inside = ((low >= -SLACK * size.max()) & (high <= size + SLACK * size.max())).all(axis=1)
    ends = np.stack([np.roll(corner, -1, axis=1), np.roll(corner, -2, axis=1)], axis=2).reshape(-1, 2)
    area: Array = np.bincount(ends.T.ravel(), np.tile(share.ravel(), 2), minlength=n).astype(float)
    lies, number = np.unique(np.sort(ends, axis=1) @ np.array([n, 1]), return_inverse=True)
    bond = np.stack([lies // max(n, 1), lies % max(n, 1)], axis=1)
    twice = np.bincount(number, minlength=len(bond)) == 2
    side: Array = np.bincount(number, (np.sqrt(square) * cot).ravel() / 2, minlength=len(bond)).astype(float)
    sure = np.bincount(number, np.repeat(inside, 3), minlength=len(bond)) > 0
    complete = np.bincount(corner.ravel(), np.repeat(~inside, 3), minlength=n) == 0
    complete[bond[~twice].ravel()] = False
    complete &= np.bincount(corner.ravel(), minlength=n) > 0
    weight = np.where(complete, _weight(corner, low, high, size, n), 0.0)
    return Mesh(bond, sure, np.where(twice, np.maximum(side, 0), np.nan), area, complete, weight)


def _circles(at: Array, weight: Array, cross: Array) -> tuple[Array, Array]:
    """Boxes, from (t, 2) to (t, 2), of the circles through the corners (t, 3, 2); `weight` (t, 3) are barycentric coordinates."""
    centre = (at * weight[..., None]).sum(axis=1) / weight.sum(axis=1)[:, None]
    radius = np.sqrt(((at[:, 0] - centre) ** 2).sum(axis=1))[:, None]
    flat = ~(np.abs(cross[:, :1]) > 0)
    return np.where(flat, -np.inf, centre - radius), np.where(flat, np.inf, centre + radius)


def _weight(corner: Ints, low: Array, high: Array, size: Array, n: int) -> Array:
    """Inverse of the chance (n,) that all circles of a point lie in the field, wherever the field is laid."""
    near, far = np.full((n, 2), np.inf), np.full((n, 2), -np.inf)
    for k in range(3):
        np.minimum.at(near, corner[:, k], low)
        np.maximum.at(far, corner[:, k], high)
    room = np.maximum(1 - (far - near) / size, SLACK)
    return np.asarray(1 / room.prod(axis=1))


def neighbourhood(
    objects: pd.DataFrame,
    calibration: Calibration,
    *,
    field: Field,
    symmetry: int = 6,
    weights: Weights = "equal",
) -> pd.DataFrame:
    """Nearest neighbour, Voronoi cell and bond order of each object.

    psi_k = sum_j w_j exp(i k theta_j) over the Delaunay neighbours j, weights of sum 1 (Nelson & Halperin 1979): |psi_6| is 1
    in a hexagonal lattice.

    Args:
        objects: see `points.points`.
        calibration: without a scale the nm columns are null.
        field: see `points.points`.
        symmetry: k; 6 for hexagonal order, 4 for square.
        weights: `equal`, or `side`: by the length of the Voronoi side between the two, which does not jump as a neighbour comes
            or goes (Mickel et al. 2013, doi 10.1063/1.4774084). Where points lie on one circle, as in a square lattice, only
            `side` is unique.

    Returns:
        The index of `objects`, null outside of the field: `nearest_px`, `nearest_nm` distance to the nearest neighbour (null for
        an object alone); `to_edge_px`, `to_edge_nm` that to the edge of the field, beyond which a nearer one could hide;
        `n_neighbours` Delaunay neighbours; `psi` = |psi_k| and `psi_angle_deg` the direction of the nearest axis,
        counter-clockwise from the x axis as seen, 0 to 360 / k; `complete` and its `weight` in means (see above);
        `cell_area_px`, `cell_area_nm2` of the Voronoi cell, null where not complete. Other columns of objects that are not
        complete hold what is seen in the field.

    Raises:
        UsageError: an impossible symmetry or weight.
    """
    if symmetry < 1 or weights not in ("equal", "side"):
        raise UsageError(f"wanted a symmetry of at least 1 and equal or side as weights, got {symmetry} and {weights}")
    names = ("nearest_px", "to_edge_px", "n_neighbours", "psi", "psi_angle_deg", "cell_area_px", "weight", "complete")
    found = np.full((len(objects), len(names)), np.nan)
    for made in points(objects, calibration, field=field):
        net = mesh(made.xy, made.size)
        psi = bond_order(made, net, symmetry=symmetry, weights=weights)
        angle = np.rad2deg(np.angle(psi)) / symmetry % (360 / symmetry)
        count = np.bincount(net.bond.ravel(), minlength=len(made.xy))
        cell = np.where(net.complete, net.area, np.nan)
        angle[~(np.abs(psi) > 0)] = np.nan
        values = (nearest(made.xy), made.to_edge, count, np.abs(psi), angle, cell, net.weight, net.complete)
        found[made.row] = np.stack(values, axis=1)
    table = pd.DataFrame(found, index=objects.index, columns=list(names))
    size = calibration.mean_pixel_nm
    table = table.assign(**{f"{name}_nm": table[f"{name}_px"] * size for name in LENGTHS})
    table["cell_area_nm2"] = table["cell_area_px"] * size**2
    return table.astype({"n_neighbours": "Int64"}).assign(complete=table["complete"] == 1)


def nearest(xy: Array) -> Array:
    """Distance (n,) of each point (n, 2) to its nearest neighbour; nan for a point alone."""
    if len(xy) < 2:
        return np.full(len(xy), np.nan)
    return np.asarray(cKDTree(xy).query(xy, k=2)[0][:, 1])


def bond_order(made: Points, net: Mesh, *, symmetry: int = 6, weights: Weights = "equal") -> NDArray[np.complex128]:
    """psi_k (n,) of each point, angles counter-clockwise as seen; nan without a neighbour. See `neighbourhood`."""
    n, bond = len(made.xy), net.bond
    apart = made.xy[bond[:, 1]] - made.xy[bond[:, 0]]
    turn = np.exp(1j * symmetry * np.arctan2(-apart[:, 1], apart[:, 0]))
    back = turn * (-1.0) ** symmetry
    weight = np.ones(len(bond)) if weights == "equal" else np.nan_to_num(net.side)
    both = np.concatenate([bond[:, 0], bond[:, 1]])
    total = np.bincount(both, np.r_[weight, weight], minlength=n)
    parts = np.concatenate([turn * weight, back * weight])
    psi = np.bincount(both, parts.real, minlength=n) + 1j * np.bincount(both, parts.imag, minlength=n)
    return np.asarray(np.divide(psi, total, out=np.full(n, np.nan + 0j), where=total > 0))


def bonds(objects: pd.DataFrame, calibration: Calibration, *, field: Field) -> pd.DataFrame:
    """The Delaunay bonds of each frame.

    Args:
        objects: see `points.points`.
        calibration: without a scale `length_nm` is null.
        field: see `points.points`.

    Returns:
        A row per bond: `frame`, `first` and `second` the index of the two objects, `length_px`, `length_nm`, `complete`: the
        bond is there whatever lies outside of the field.
    """
    parts = []
    for made in points(objects, calibration, field=field):
        net = mesh(made.xy, made.size)
        i, j = net.bond.T
        length = np.sqrt(((made.xy[i] - made.xy[j]) ** 2).sum(axis=1))
        ends = {name: objects.index[made.row[k]] for name, k in (("first", i), ("second", j))}
        parts.append(pd.DataFrame({"frame": made.frame, **ends, "length_px": length, "complete": net.sure}))
    columns = {"frame": "int64", "first": objects.index.dtype, "second": objects.index.dtype}
    empty = pd.DataFrame({"frame": [], "first": [], "second": [], "length_px": [], "complete": []})
    table = pd.concat(parts, ignore_index=True) if parts else empty.astype({**columns, "length_px": float, "complete": bool})
    table.insert(4, "length_nm", table["length_px"] * calibration.mean_pixel_nm)
    return table
