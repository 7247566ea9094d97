"""Statistics of a file of liquid-argon events in CosmicTagger's layout, as docs/lartpc.md prints them. Needs h5py and numpy.

    python3 tests/sim/statistics.py FILE.h5
"""
import sys

import h5py
import numpy as np

file = h5py.File(sys.argv[1], "r")
images = file["/Data/sparse2d_sbndwire_group"]
labels = file["/Data/sparse2d_sbnd_cosmicseg_group"]
voxels, truth = images["voxels"][:], labels["voxels"][:]
assert (voxels["id"] == truth["id"]).all(), "labels are not those of the images"
pixels = float(np.prod(images["image_meta"][0]["number_of_voxels"]))
counts = images["voxel_extents"][:]["N"]
value, label = voxels["value"], truth["value"].astype(int)


def quantiles(numbers, shares, form="%.1f"):
    return " / ".join(form % q for q in np.percentile(numbers, shares))


def extent(part):
    """Length in columns of the pixels of one class in each plane, where there are any."""
    height = int(images["image_meta"][0]["number_of_voxels"][1])
    spans = []
    for row in labels["voxel_extents"][:]:
        piece = slice(int(row["first"]), int(row["first"] + row["N"]))
        columns = voxels["id"][piece][label[piece] == part] // height
        if len(columns):
            spans.append(int(columns.max() - columns.min()) + 1)
    return spans


print("| plane images | %d |" % len(counts))
print("| occupied pixels of a plane: least, mean, most | %d, %.0f, %d |" % (counts.min(), counts.mean(), counts.max()))
print("| occupancy: least, mean, most | %.2f, %.2f, %.2f %% |" % tuple(100 * c / pixels for c in (counts.min(), counts.mean(), counts.max())))
print("| value: least, median, mean, most | %.1f, %.1f, %.1f, %.0f |" % (value.min(), np.median(value), value.mean(), value.max()))
print("| value at 1 / 10 / 25 / 75 / 90 / 99 / 99.9 %% | %s |" % quantiles(value, [1, 10, 25, 75, 90, 99, 99.9]))
shares = np.bincount(label, minlength=3) / len(label)
print("| background, cosmic, neutrino among occupied pixels | %.1f, %.1f, %.1f %% |" % tuple(100 * s for s in shares))
for part, name in ((1, "cosmic"), (2, "neutrino")):
    print("| %s share of all pixels | %.3f %% |" % (name, 100 * (label == part).sum() / (pixels * len(counts))))
    print("| %s pixels in a plane at 10 / 50 / 90 %% | %s |" % (name, quantiles([(label[int(r["first"]):int(r["first"] + r["N"])] == part).sum() for r in labels["voxel_extents"][:]], [10, 50, 90], "%.0f")))
    print("| %s extent along the wires of a plane, columns, at 10 / 50 / 90 %% | %s |" % (name, quantiles(extent(part), [10, 50, 90], "%.0f")))
