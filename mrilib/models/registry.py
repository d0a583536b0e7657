"""Networks and losses by name. Reading the names imports nothing; a new one is one function and one line here.

A backbone is `function(x, width) -> feature map` on Keras tensors (batch, y, x, channel); a loss is
`function(*, smoothing, class_weights, gamma) -> loss(truth, predicted)`.
"""

BACKBONES = {
    "small": "mrilib.models.own:small",
    "alexnet": "mrilib.models.own:alexnet",
    "resnet18": "mrilib.models.own:resnet18",
    "vgg16": "mrilib.models.applications:vgg16",
    "resnet50": "mrilib.models.applications:resnet50",
    "mobilenet": "mrilib.models.applications:mobilenet",
    "mobilenetv2": "mrilib.models.applications:mobilenetv2",
    "efficientnetb0": "mrilib.models.applications:efficientnetb0",
    "densenet121": "mrilib.models.applications:densenet121",
    "lenet": "mrilib.models.own:lenet",
}
LOSSES = {
    "ce": "mrilib.models.losses:cross_entropy",
    "weighted-ce": "mrilib.models.losses:weighted_cross_entropy",
    "focal": "mrilib.models.losses:focal",
}
VOXEL_LOSSES = {  # of label maps: `function(exclusive) -> loss(truth, predicted)`; any sum of them
    "ce": "mrilib.models.voxel_losses:cross_entropy",
    "weighted-ce": "mrilib.models.voxel_losses:weighted_cross_entropy",
    "dice": "mrilib.models.voxel_losses:dice",
    "iou": "mrilib.models.voxel_losses:iou",
    "focal": "mrilib.models.voxel_losses:focal",
    "tversky": "mrilib.models.voxel_losses:tversky",
}
HEADS = {
    "mean": "mrilib.models.heads:mean",
    "mean-max": "mrilib.models.heads:mean_max",
    "mirror": "mrilib.models.heads:mirror",
}
