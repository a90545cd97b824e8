"""The networks, one file a paper. ``NETWORKS`` maps each name to its builder at the paper's input size."""

from cnnbook.models.alexnet import alexnet
from cnnbook.models.dbn import dbn_classifier
from cnnbook.models.googlenet import googlenet
from cnnbook.models.lenet import lenet5, lenet5_dense, lenet1989
from cnnbook.models.mcdnn import mcdnn_column, modern_column
from cnnbook.models.nin import nin
from cnnbook.models.resnet import NETS as _RESNETS
from cnnbook.models.resnet import resnet
from cnnbook.models.vgg import vgg
from cnnbook.models.zfnet import zfnet

from functools import partial

_VARIANTS = {
    alexnet: ("alexnet", "alexnet_two_stream"),
    vgg: ("vgg11", "vgg13", "vgg16c", "vgg16", "vgg19"),
    nin: ("nin", "nin_cifar"),
    googlenet: ("googlenet", "googlenet_aux"),
    resnet: tuple(_RESNETS),
}

NETWORKS = {
    "lenet1989": lenet1989, "lenet5": lenet5, "lenet5_dense": lenet5_dense, "mcdnn_column": mcdnn_column,
    "zfnet": zfnet,
    **{name: partial(builder, name) for builder, names in _VARIANTS.items() for name in names},
}  # fmt: skip

__all__ = [
    "NETWORKS", "alexnet", "dbn_classifier", "googlenet", "lenet5", "lenet5_dense", "lenet1989", "mcdnn_column",
    "modern_column", "nin", "resnet", "vgg", "zfnet",
]  # fmt: skip
