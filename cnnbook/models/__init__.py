"""The networks, one file a paper. ``NETWORKS`` maps each name to its builder at the paper's input size."""

from cnnbook.models.alexnet import alexnet
from cnnbook.models.bn_inception import bn_inception
from cnnbook.models.convnext import convnext
from cnnbook.models.dbn import dbn_classifier
from cnnbook.models.densenet import densenet
from cnnbook.models.dqn import dqn
from cnnbook.models.efficientnet import efficientnet
from cnnbook.models.fast_cifar import fast_cifar
from cnnbook.models.fcn import fcn
from cnnbook.models.googlenet import googlenet
from cnnbook.models.inception import inception
from cnnbook.models.kimcnn import kimcnn
from cnnbook.models.lenet import lenet5, lenet5_dense, lenet1989
from cnnbook.models.mcdnn import mcdnn_column, modern_column
from cnnbook.models.mobilenet_v1 import mobilenet_v1
from cnnbook.models.mobilenet_v2 import mobilenet_v2
from cnnbook.models.mobilenet_v3 import mobilenet_v3
from cnnbook.models.nasnet import nasnet
from cnnbook.models.nin import nin
from cnnbook.models.preact_resnet import preact_resnet
from cnnbook.models.resnet import resnet
from cnnbook.models.resnext import resnext
from cnnbook.models.se_resnet import se_resnet
from cnnbook.models.squeezenet import squeezenet
from cnnbook.models.unet import unet
from cnnbook.models.vgg import vgg
from cnnbook.models.xception import xception
from cnnbook.models.zfnet import zfnet

from functools import partial

_VARIANTS = {
    alexnet: ["alexnet", "alexnet_two_stream"],
    vgg: ["vgg11", "vgg13", "vgg16c", "vgg16", "vgg19"],
    zfnet: ["zfnet"],
    nin: ["nin", "nin_cifar"],
    googlenet: ["googlenet", "googlenet_aux"],
    bn_inception: ["bn_inception"],
    inception: ["inception_v2", "inception_v2_aux", "inception_v3", "inception_v3_aux"],
    resnet: ["plain18", "plain34", *(f"resnet{n}" for n in (18, 34, 50, 101, 152)),
             *(f"{kind}{n}_cifar" for n in (20, 32, 44, 56, 110) for kind in ("plain", "resnet")), "resnet1202_cifar"],
    preact_resnet: [*(f"preact_resnet{n}" for n in (18, 34, 50, 101, 152, 200)),
                    *(f"preact_resnet{n}_cifar" for n in (20, 56, 110, 164, 1001))],
    resnext: ["resnext50", "resnext101"],
    se_resnet: ["se_resnet50", "se_resnet101", "se_resnet152"],
    densenet: ["densenet121", "densenet169", "densenet201"],
    squeezenet: ["squeezenet"],
    xception: ["xception"],
    mobilenet_v1: ["mobilenet_v1"],
    mobilenet_v2: ["mobilenet_v2"],
    mobilenet_v3: ["mobilenet_v3_small", "mobilenet_v3_large"],
    efficientnet: [f"efficientnet_b{n}" for n in range(8)],
    nasnet: ["nasnet_mobile"],
    convnext: [f"convnext_{size}" for size in ("tiny", "small", "base", "large")],
    fast_cifar: ["fast_cifar"],
    unet: ["unet"],
    fcn: ["fcn32s", "fcn16s", "fcn8s"],
    dqn: ["dqn", "dqn_2013"],
}  # fmt: skip

NETWORKS = {
    "lenet1989": lenet1989, "lenet5": lenet5, "lenet5_dense": lenet5_dense, "mcdnn_column": mcdnn_column,
    **{name: partial(builder, name) for builder, names in _VARIANTS.items() for name in names},
    "mobilenet_v3": mobilenet_v3,  # the large one
    "kimcnn_rand": kimcnn,
    **{f"kimcnn_{kind}": partial(kimcnn, f"kimcnn_{kind}", vectors="random")
       for kind in ("static", "nonstatic", "multichannel")},
}  # fmt: skip

__all__ = [
    "NETWORKS", "alexnet", "bn_inception", "convnext", "dbn_classifier", "densenet", "dqn", "efficientnet",
    "fast_cifar", "fcn", "googlenet", "inception", "kimcnn", "lenet5", "lenet5_dense", "lenet1989", "mcdnn_column",
    "mobilenet_v1", "mobilenet_v2", "mobilenet_v3", "modern_column", "nasnet", "nin", "preact_resnet", "resnet",
    "resnext", "se_resnet", "squeezenet", "unet", "vgg", "xception", "zfnet",
]  # fmt: skip
