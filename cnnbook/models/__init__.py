"""The networks, one file a paper. ``NETWORKS`` maps each name to its builder at the paper's input size."""

from cnnbook.models.alexnet import GROUPS as _ALEXNETS
from cnnbook.models.alexnet import alexnet
from cnnbook.models.dbn import dbn_classifier
from cnnbook.models.lenet import lenet5, lenet5_dense, lenet1989
from cnnbook.models.mcdnn import mcdnn_column, modern_column
from cnnbook.models.vgg import KERNELS as _VGGS
from cnnbook.models.vgg import vgg
from cnnbook.models.zfnet import zfnet

from functools import partial

NETWORKS = {
    "lenet1989": lenet1989, "lenet5": lenet5, "lenet5_dense": lenet5_dense, "mcdnn_column": mcdnn_column,
    **{name: partial(alexnet, name) for name in _ALEXNETS}, "zfnet": zfnet,
    **{name: partial(vgg, name) for name in _VGGS},
}  # fmt: skip

__all__ = [
    "NETWORKS", "alexnet", "dbn_classifier", "lenet5", "lenet5_dense", "lenet1989", "mcdnn_column", "modern_column", "vgg",
    "zfnet",
]  # fmt: skip
