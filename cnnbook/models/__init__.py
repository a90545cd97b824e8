"""The networks, one file a paper. ``NETWORKS`` maps each name to its builder at the paper's input size."""

from cnnbook.models.dbn import dbn_classifier
from cnnbook.models.lenet import lenet5, lenet5_dense, lenet1989
from cnnbook.models.mcdnn import mcdnn_column, modern_column

NETWORKS = {"lenet1989": lenet1989, "lenet5": lenet5, "lenet5_dense": lenet5_dense, "mcdnn_column": mcdnn_column}

__all__ = ["NETWORKS", "dbn_classifier", "lenet5", "lenet5_dense", "lenet1989", "mcdnn_column", "modern_column"]
