"""Every public layer and function of this package; importing it registers the layers by their names."""

from .analysis.conv_matrix import convolution_matrix, convolution_offset
from .analysis.cost import costs
from .analysis.dilation_check import check_dilation_rates
from .analysis.receptive_field import receptive_fields, unit_support
from .convolutional.deformable_conv import DeformableConv2D, deformable_convolution
from .convolutional.dilated_conv import DilatedConv1D, DilatedConv2D, DilatedConv3D
from .convolutional.filter_bank import (
    FilterBank2D,
    FilterInitializer,
    filter_kernel,
    gaussian_kernel,
    laplacian_of_gaussian_kernel,
)
from .convolutional.fourier_conv import FourierConv1D, FourierConv2D, FourierConv3D
from .convolutional.locally_connected import (
    LocallyConnected1D,
    LocallyConnected2D,
    convert_keras2_weights,
    load_keras2_weights,
)
from .convolutional.low_rank import low_rank_kernels
from .convolutional.low_rank_conv import LowRankConv2D
from .convolutional.tiled_conv import TiledConv1D, TiledConv2D, TiledConv3D
from .convolutional.unshared_conv import UnsharedConv1D, UnsharedConv2D, UnsharedConv3D
from .normalization.batch_normalization import FusedBatchNormalization
from .normalization.local_contrast import (
    DivisiveNormalization1D,
    DivisiveNormalization2D,
    DivisiveNormalization3D,
    LocalContrastNormalization1D,
    LocalContrastNormalization2D,
    LocalContrastNormalization3D,
    SubtractiveNormalization1D,
    SubtractiveNormalization2D,
    SubtractiveNormalization3D,
)
from .normalization.local_response import LocalResponseNormalization
from .pooling.adaptive_pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D,
    AdaptiveLpPooling1D,
    AdaptiveLpPooling2D,
    AdaptiveLpPooling3D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D,
)
from .pooling.channel_pooling import ChannelLpPooling, Maxout
from .pooling.gem_pooling import (
    GeMPooling1D,
    GeMPooling2D,
    GeMPooling3D,
    GlobalGeMPooling1D,
    GlobalGeMPooling2D,
    GlobalGeMPooling3D,
)
from .pooling.lp_pooling import L2Pooling1D, L2Pooling2D, L2Pooling3D, LpPooling1D, LpPooling2D, LpPooling3D
from .pooling.pyramid_pooling import SpatialPyramidPooling1D, SpatialPyramidPooling2D, SpatialPyramidPooling3D
from .pooling.subsampling import Subsampling2D
from .pooling.weighted_pooling import (
    WeightedAveragePooling1D,
    WeightedAveragePooling2D,
    WeightedAveragePooling3D,
    WeightedLpPooling1D,
    WeightedLpPooling2D,
    WeightedLpPooling3D,
)

__all__ = [
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveLpPooling1D",
    "AdaptiveLpPooling2D",
    "AdaptiveLpPooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "ChannelLpPooling",
    "DeformableConv2D",
    "DilatedConv1D",
    "DilatedConv2D",
    "DilatedConv3D",
    "DivisiveNormalization1D",
    "DivisiveNormalization2D",
    "DivisiveNormalization3D",
    "FilterBank2D",
    "FilterInitializer",
    "FourierConv1D",
    "FourierConv2D",
    "FourierConv3D",
    "FusedBatchNormalization",
    "GeMPooling1D",
    "GeMPooling2D",
    "GeMPooling3D",
    "GlobalGeMPooling1D",
    "GlobalGeMPooling2D",
    "GlobalGeMPooling3D",
    "L2Pooling1D",
    "L2Pooling2D",
    "L2Pooling3D",
    "LocalContrastNormalization1D",
    "LocalContrastNormalization2D",
    "LocalContrastNormalization3D",
    "LocalResponseNormalization",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "LowRankConv2D",
    "LpPooling1D",
    "LpPooling2D",
    "LpPooling3D",
    "Maxout",
    "SpatialPyramidPooling1D",
    "SpatialPyramidPooling2D",
    "SpatialPyramidPooling3D",
    "Subsampling2D",
    "SubtractiveNormalization1D",
    "SubtractiveNormalization2D",
    "SubtractiveNormalization3D",
    "TiledConv1D",
    "TiledConv2D",
    "TiledConv3D",
    "UnsharedConv1D",
    "UnsharedConv2D",
    "UnsharedConv3D",
    "WeightedAveragePooling1D",
    "WeightedAveragePooling2D",
    "WeightedAveragePooling3D",
    "WeightedLpPooling1D",
    "WeightedLpPooling2D",
    "WeightedLpPooling3D",
    "check_dilation_rates",
    "convert_keras2_weights",
    "convolution_matrix",
    "convolution_offset",
    "costs",
    "deformable_convolution",
    "filter_kernel",
    "gaussian_kernel",
    "laplacian_of_gaussian_kernel",
    "load_keras2_weights",
    "low_rank_kernels",
    "receptive_fields",
    "unit_support",
]
