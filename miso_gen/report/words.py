"""The words of a report, for a reader who has not read the papers. Text only."""

from __future__ import annotations

from typing import Final

#: What makes a label true -> a sentence.
EVIDENCE: Final = {
    "pixel": "The values of the object's own pixels make the label true: any part of the object tells the class.",
    "object": "The object that is there, and what it looks like, makes the label true.",
    "contour": "The outline of the object makes the label true; its inside is the same in all classes.",
    "arrangement": "How parts lie to each other makes the label true; no part alone tells the class.",
    "absence": "In one class something is missing. Its images have no evidence that a map could point at.",
}

#: Metric -> what it means.
PLAIN: Final = {
    "f-beta": "How well the marked area and the evidence match. Marking too much costs more than missing some.",
    "dice": "How well the marked area and the evidence match: twice what they share, over the sum of both areas.",
    "jaccard": "What the marked area and the evidence share, over all that either of them covers.",
    "overlap": "What the marked area and the evidence share, over the smaller of the two. A few right pixels are enough for 1.",
    "sensitivity": "Share of the evidence that was marked. Marking everything gives 1, so read it beside specificity.",
    "specificity": "Share of all that is no evidence that was left unmarked. Marking nothing gives 1.",
    "difference": "Share of the image where the marked area and the evidence differ.",
    "mae": "Mean distance of the map's values from the truth (1 on evidence, 0 elsewhere). Depends on the scale of the map.",
    "ssim": "How alike map and truth look in small windows. 1 is the same picture.",
    "e-measure": "How well the marked area matches the evidence, both in place and in size.",
    "s-measure": "How alike map and truth are in structure: as objects, and part by part.",
    "weighted-f": "F-measure in which errors far from the evidence count more.",
    "scag-dist": "Distance between the shapes of the marked area and the evidence, wherever they lie. 0 is the same shape.",
    "auroc": "Chance that a pixel with evidence has a higher value in the map than one without. 0.5 is a coin.",
    "average-precision": "Of the pixels marked at some threshold, how many are evidence, averaged over all thresholds.",
    "pointing-game": "Whether the highest point of the map lies on evidence: 1 or 0 for each image.",
    "point-localization": "Whether the highest point of the map lies on evidence: 1 or 0 for each image.",
    "relevance-mass": "Share of all that the map says that falls on evidence.",
    "relevance-rank": "Of the K highest pixels, the share that is evidence, where K pixels are evidence.",
    "top-k-intersection": "Of the k highest pixels, the share that is evidence.",
    "froc": "Share of the objects that are found, while few places without any are marked.",
    "object-recall": "Share of the objects that the marked area touches.",
    "five-band-accuracy": "Share of the pixels whose band (against, none, object, evidence) is right.",
}  # fmt: skip

#: Metric of classification -> what it means, and what chance gives.
CLASSIFICATION_WORDS: Final = {
    "accuracy": ("Share of right answers.", "one over the number of classes, if classes are equally frequent"),
    "balanced_accuracy": ("Mean share of right answers over the classes.", "one over the number of classes"),
    "auroc": ("Chance that a case of class 1 gets a higher score than one of class 0.", "0.5"),
    "auprc": ("Area under precision over recall.", "about the share of class 1"),
    "ap": ("Average precision: mean of precision over steps of recall.", "about the share of class 1"),
    "average_precision": ("Mean of precision over steps of recall.", "about the share of class 1"),
    "f1": ("Twice the right answers for class 1, over the sum of those said and those true.", "depends on the classes"),
}  # fmt: skip

NULL_WORDS: Final = {
    "random": "noise",
    "constant": "the same value everywhere",
    "center": "a bright spot in the middle, whatever the image",
    "edges": "edges of the image, whatever the network",
    "input": "the image itself",
}  # fmt: skip

#: Kind of a map -> what it is.
KINDS: Final = {
    "pixel": "one value for each pixel",
    "ssm": "patch scores of pixel relevance, stitched (saliency score map)",
    "sam": "patch scores of attention, stitched (attention score map)",
    "ppm": "which class the network gives to each patch, stitched (patch prediction map)",
    "pcm": "how sure the network is of each patch, stitched (patch confidence map)",
    "heatmap": "map that the network computes itself",
    "patch": "one value for each patch",
}  # fmt: skip

TERMS: Final = (
    ("map", "What an explainer returns: a number for each pixel (or cell of a grid), higher where it sees more evidence."),
    ("explainer", "A method that makes such a map from a network and an image."),
    ("evidence", "The pixels that make the label true. They are known exactly, because the images were rendered."),
    ("truth", "The map of evidence. Level 1 is all of the object, level 2 is what tells the classes apart."),
    ("mask", "A map made black and white by a binariser: marked or not."),
    ("null explainer", "A map that knows nothing of the network. A method that is not better has shown nothing."),
    ("oracle", "The truth itself, scored like any map: the ceiling. Where it is low, the binariser is to blame, not the maps."),
    ("between chance and oracle", "(score - best null) / (oracle - best null): 0 % is no better than a null explainer, 100 % is "
     "as good as the truth itself. Below 0 % it is worse than a null explainer."),
    ("interval", "Range that holds the true mean with 95 % confidence, if images like these were drawn again."),
    ("n", "Number of images that a mean is over. Images where a score is undefined are left out."),
    ("shortcut", "Something beside the evidence that gives the label away. A network may have learned it instead."),
    ("patch, cell", "Networks that read patches see squares of the image, one after the other. Half a patch is a cell."),
)  # fmt: skip
