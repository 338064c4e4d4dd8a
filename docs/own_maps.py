"""Maps of somebody else's method, for ``miso-gen score``: Captum's saliency of a network that anybody could have written.

python docs/own_maps.py STORE MAPS [SCENARIO]
"""

import sys
from pathlib import Path

import captum.attr
import numpy as np
import torch

from miso_gen import open_dataset

store, maps, scenario = sys.argv[1], Path(sys.argv[2]), (sys.argv[3:] or ["evp"])[0]
dataset = open_dataset(store)
torch.manual_seed(0)
features = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 5, padding=2), torch.nn.Tanh(), torch.nn.AdaptiveAvgPool2d(1))
model = torch.nn.Sequential(features, torch.nn.Flatten(), torch.nn.Linear(4, 2)).eval()
method = captum.attr.Saliency(model)
for row in dataset.table.query("scenario == @scenario and split == 'test'").itertuples():
    image = torch.from_numpy(dataset[row.image_id].image[...] / 255).float()[None]
    relevance = method.attribute(image.requires_grad_(), target=int(row.label))
    file = maps / f"{row.image_id}.npy"
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, relevance.sum(1)[0].numpy().astype("float32"))
