"""The parts of the TensorFlow Lite schema (version 3) that files of models have.

Source: schema.fbs of TensorFlow Lite: operator codes, and per table of options the place, kind and
default of its fields. A kind in brackets is a vector.
"""

from __future__ import annotations

from typing import Any

# kind, number of the field, default
Field = tuple[str, int, Any]

# Operators by their code
OPERATORS: tuple[str, ...] = tuple(
    """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE
    EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D
    LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1
    RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM
    CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND
    SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
    BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM
    CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE
    SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW
    ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK
    REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR
    LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS
    WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
    NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM
    BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG
    REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL
    CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL
    BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD
    UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR
    RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE STABLEHLO_MULTIPLY
    STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE
    STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL
    STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL
    STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER
    STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH
    STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE
    STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL
    STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE
    DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT
    STABLEHLO_CBRT STABLEHLO_CASE
    """.split()
)

# Types of tensors by their code
TYPES: tuple[str, ...] = tuple(
    """
    float32 float16 int32 uint8 int64 string bool int16 complex64 int8 float64 complex128 uint64
    resource variant uint32 uint16 int4 bfloat16 int2 uint4 float8_e4m3fn float8_e5m2
    """.split()
)

ACTIVATIONS = ("", "relu", "relu_n1_to_1", "relu6", "tanh", "sign_bit")
SAME, VALID = 0, 1

# Options of operators, by the number of their table
OPTIONS: dict[int, dict[str, Field]] = {
    1: {  # Conv2DOptions
        "padding": ("i8", 0, 0),
        "stride_w": ("i32", 1, 0),
        "stride_h": ("i32", 2, 0),
        "activation": ("i8", 3, 0),
        "dilation_w": ("i32", 4, 1),
        "dilation_h": ("i32", 5, 1),
        "quantized_bias_type": ("i8", 6, 0),
    },
    2: {  # DepthwiseConv2DOptions
        "padding": ("i8", 0, 0),
        "stride_w": ("i32", 1, 0),
        "stride_h": ("i32", 2, 0),
        "depth_multiplier": ("i32", 3, 0),
        "activation": ("i8", 4, 0),
        "dilation_w": ("i32", 5, 1),
        "dilation_h": ("i32", 6, 1),
    },
    3: {  # ConcatEmbeddingsOptions
        "num_channels": ("i32", 0, 0),
        "num_columns_per_channel": ("[i32]", 1, ()),
        "embedding_dim_per_channel": ("[i32]", 2, ()),
    },
    4: {  # LSHProjectionOptions
        "type": ("i8", 0, 0),
    },
    5: {  # Pool2DOptions
        "padding": ("i8", 0, 0),
        "stride_w": ("i32", 1, 0),
        "stride_h": ("i32", 2, 0),
        "filter_width": ("i32", 3, 0),
        "filter_height": ("i32", 4, 0),
        "activation": ("i8", 5, 0),
    },
    6: {  # SVDFOptions
        "rank": ("i32", 0, 0),
        "activation": ("i8", 1, 0),
        "asymmetric_quantize_inputs": ("bool", 2, False),
    },
    7: {  # RNNOptions
        "activation": ("i8", 0, 0),
        "asymmetric_quantize_inputs": ("bool", 1, False),
    },
    8: {  # FullyConnectedOptions
        "activation": ("i8", 0, 0),
        "weights_format": ("i8", 1, 0),
        "keep_num_dims": ("bool", 2, False),
        "asymmetric_quantize_inputs": ("bool", 3, False),
        "quantized_bias_type": ("i8", 4, 0),
        "quant_spec": ("[u8]", 5, ()),
    },
    9: {  # SoftmaxOptions
        "beta": ("f32", 0, 0.0),
    },
    10: {  # ConcatenationOptions
        "axis": ("i32", 0, 0),
        "activation": ("i8", 1, 0),
    },
    11: {  # AddOptions
        "activation": ("i8", 0, 0),
        "pot_scale_int16": ("bool", 1, True),
    },
    12: {  # L2NormOptions
        "activation": ("i8", 0, 0),
    },
    13: {  # LocalResponseNormalizationOptions
        "radius": ("i32", 0, 0),
        "bias": ("f32", 1, 0.0),
        "alpha": ("f32", 2, 0.0),
        "beta": ("f32", 3, 0.0),
    },
    14: {  # LSTMOptions
        "activation": ("i8", 0, 0),
        "cell_clip": ("f32", 1, 0.0),
        "proj_clip": ("f32", 2, 0.0),
        "kernel_type": ("i8", 3, 0),
        "asymmetric_quantize_inputs": ("bool", 4, False),
    },
    15: {  # ResizeBilinearOptions
        "align_corners": ("bool", 2, False),
        "half_pixel_centers": ("bool", 3, False),
    },
    16: {  # CallOptions
        "subgraph": ("u32", 0, 0),
    },
    17: {  # ReshapeOptions
        "new_shape": ("[i32]", 0, ()),
    },
    18: {  # SkipGramOptions
        "ngram_size": ("i32", 0, 0),
        "max_skip_size": ("i32", 1, 0),
        "include_all_ngrams": ("bool", 2, False),
    },
    19: {  # SpaceToDepthOptions
        "block_size": ("i32", 0, 0),
    },
    20: {  # EmbeddingLookupSparseOptions
        "combiner": ("i8", 0, 0),
    },
    21: {  # MulOptions
        "activation": ("i8", 0, 0),
    },
    23: {  # GatherOptions
        "axis": ("i32", 0, 0),
        "batch_dims": ("i32", 1, 0),
    },
    27: {  # ReducerOptions
        "keep_dims": ("bool", 0, False),
    },
    28: {  # SubOptions
        "activation": ("i8", 0, 0),
        "pot_scale_int16": ("bool", 1, True),
    },
    29: {  # DivOptions
        "activation": ("i8", 0, 0),
    },
    30: {  # SqueezeOptions
        "squeeze_dims": ("[i32]", 0, ()),
    },
    31: {  # SequenceRNNOptions
        "time_major": ("bool", 0, False),
        "activation": ("i8", 1, 0),
        "asymmetric_quantize_inputs": ("bool", 2, False),
    },
    32: {  # StridedSliceOptions
        "begin_mask": ("i32", 0, 0),
        "end_mask": ("i32", 1, 0),
        "ellipsis_mask": ("i32", 2, 0),
        "new_axis_mask": ("i32", 3, 0),
        "shrink_axis_mask": ("i32", 4, 0),
        "offset": ("bool", 5, False),
    },
    35: {  # SplitOptions
        "num_splits": ("i32", 0, 0),
    },
    37: {  # CastOptions
        "in_data_type": ("i8", 0, 0),
        "out_data_type": ("i8", 1, 0),
    },
    40: {  # ArgMaxOptions
        "output_type": ("i8", 0, 0),
    },
    49: {  # TransposeConvOptions
        "padding": ("i8", 0, 0),
        "stride_w": ("i32", 1, 0),
        "stride_h": ("i32", 2, 0),
        "activation": ("i8", 3, 0),
        "quantized_bias_type": ("i8", 4, 0),
    },
    50: {  # SparseToDenseOptions
        "validate_indices": ("bool", 0, False),
    },
    55: {  # ShapeOptions
        "out_type": ("i8", 0, 0),
    },
    57: {  # ArgMinOptions
        "output_type": ("i8", 0, 0),
    },
    58: {  # FakeQuantOptions
        "min": ("f32", 0, 0.0),
        "max": ("f32", 1, 0.0),
        "num_bits": ("i32", 2, 0),
        "narrow_range": ("bool", 3, False),
    },
    59: {  # PackOptions
        "values_count": ("i32", 0, 0),
        "axis": ("i32", 1, 0),
    },
    61: {  # OneHotOptions
        "axis": ("i32", 0, 0),
    },
    64: {  # UnpackOptions
        "num": ("i32", 0, 0),
        "axis": ("i32", 1, 0),
    },
    69: {  # BidirectionalSequenceLSTMOptions
        "activation": ("i8", 0, 0),
        "cell_clip": ("f32", 1, 0.0),
        "proj_clip": ("f32", 2, 0.0),
        "merge_outputs": ("bool", 3, False),
        "time_major": ("bool", 4, True),
        "asymmetric_quantize_inputs": ("bool", 5, False),
    },
    70: {  # BidirectionalSequenceRNNOptions
        "time_major": ("bool", 0, False),
        "activation": ("i8", 1, 0),
        "merge_outputs": ("bool", 2, False),
        "asymmetric_quantize_inputs": ("bool", 3, False),
    },
    71: {  # UnidirectionalSequenceLSTMOptions
        "activation": ("i8", 0, 0),
        "cell_clip": ("f32", 1, 0.0),
        "proj_clip": ("f32", 2, 0.0),
        "time_major": ("bool", 3, False),
        "asymmetric_quantize_inputs": ("bool", 4, False),
        "diagonal_recurrent_tensors": ("bool", 5, False),
    },
    74: {  # ResizeNearestNeighborOptions
        "align_corners": ("bool", 0, False),
        "half_pixel_centers": ("bool", 1, False),
    },
    75: {  # LeakyReluOptions
        "alpha": ("f32", 0, 0.0),
    },
    77: {  # MirrorPadOptions
        "mode": ("i8", 0, 0),
    },
    79: {  # SplitVOptions
        "num_splits": ("i32", 0, 0),
    },
    80: {  # UniqueOptions
        "idx_out_type": ("i8", 0, 2),
    },
    87: {  # ReverseSequenceOptions
        "seq_dim": ("i32", 0, 0),
        "batch_dim": ("i32", 1, 0),
    },
    92: {  # IfOptions
        "then_subgraph_index": ("i32", 0, 0),
        "else_subgraph_index": ("i32", 1, 0),
    },
    93: {  # WhileOptions
        "cond_subgraph_index": ("i32", 0, 0),
        "body_subgraph_index": ("i32", 1, 0),
    },
    94: {  # DepthToSpaceOptions
        "block_size": ("i32", 0, 0),
    },
    101: {  # BatchMatMulOptions
        "adj_x": ("bool", 0, False),
        "adj_y": ("bool", 1, False),
        "asymmetric_quantize_inputs": ("bool", 2, False),
    },
    102: {  # CumsumOptions
        "exclusive": ("bool", 0, False),
        "reverse": ("bool", 1, False),
    },
    103: {  # CallOnceOptions
        "init_subgraph_index": ("i32", 0, 0),
    },
    106: {  # Conv3DOptions
        "padding": ("i8", 0, 0),
        "stride_d": ("i32", 1, 0),
        "stride_w": ("i32", 2, 0),
        "stride_h": ("i32", 3, 0),
        "activation": ("i8", 4, 0),
        "dilation_d": ("i32", 5, 1),
        "dilation_w": ("i32", 6, 1),
        "dilation_h": ("i32", 7, 1),
    },
    107: {  # HashtableOptions
        "table_id": ("i32", 0, 0),
        "key_dtype": ("i8", 1, 0),
        "value_dtype": ("i8", 2, 0),
    },
    111: {  # VarHandleOptions
        "container": ("text", 0, ""),
        "shared_name": ("text", 1, ""),
    },
    114: {  # RandomOptions
        "seed": ("i64", 0, 0),
        "seed2": ("i64", 1, 0),
    },
    115: {  # BucketizeOptions
        "boundaries": ("[f32]", 0, ()),
    },
    116: {  # GeluOptions
        "approximate": ("bool", 0, False),
    },
}
# The second union of options, which StableHLO has
OPTIONS_2: dict[int, dict[str, Field]] = {
    1: {  # StablehloConcatenateOptions
        "dimension": ("i64", 0, 0),
    },
    2: {  # StablehloBroadcastInDimOptions
        "broadcast_dimensions": ("[i64]", 0, ()),
    },
    3: {  # StablehloSliceOptions
        "start_indices": ("[i64]", 0, ()),
        "limit_indices": ("[i64]", 1, ()),
        "strides": ("[i64]", 2, ()),
    },
    4: {  # StablehloConvolutionOptions
        "window_strides": ("[i64]", 0, ()),
        "padding": ("[i64]", 1, ()),
        "lhs_dilation": ("[i64]", 2, ()),
        "rhs_dilation": ("[i64]", 3, ()),
        "window_reversal": ("[bool]", 4, ()),
        "input_batch_dimension": ("i64", 5, 0),
        "input_feature_dimension": ("i64", 6, 0),
        "input_spatial_dimensions": ("[i64]", 7, ()),
        "kernel_input_feature_dimension": ("i64", 8, 0),
        "kernel_output_feature_dimension": ("i64", 9, 0),
        "kernel_spatial_dimensions": ("[i64]", 10, ()),
        "output_batch_dimension": ("i64", 11, 0),
        "output_feature_dimension": ("i64", 12, 0),
        "output_spatial_dimensions": ("[i64]", 13, ()),
        "feature_group_count": ("i64", 14, 0),
        "batch_group_count": ("i64", 15, 0),
        "precision_config": ("[u32]", 16, ()),
    },
    5: {  # StablehloCustomCallOptions
        "call_target_name": ("text", 0, ""),
        "has_side_effect": ("bool", 1, False),
        "backend_config": ("text", 2, ""),
        "api_version": ("i32", 3, 0),
        "called_computations": ("[i32]", 4, ()),
        "custom_attributes": ("[u8]", 5, ()),
    },
    6: {  # StablehloReduceOptions
        "dimensions": ("[i64]", 0, ()),
        "body_subgraph_index": ("i32", 1, 0),
    },
    7: {  # StablehloScatterOptions
        "indices_are_sorted": ("bool", 0, False),
        "update_window_dims": ("[i64]", 1, ()),
        "inserted_window_dims": ("[i64]", 2, ()),
        "scatter_dims_to_operand_dims": ("[i64]", 3, ()),
        "index_vector_dim": ("i64", 4, 0),
        "unique_indices": ("bool", 5, False),
        "update_computation_subgraph_index": ("i32", 6, 0),
    },
    8: {  # StablehloCompareOptions
        "comparison_direction": ("u32", 0, 0),
        "compare_type": ("u32", 1, 0),
    },
    9: {  # StablehloDynamicSliceOptions
        "slice_sizes": ("[i64]", 0, ()),
    },
    10: {  # StablehloPadOptions
        "edge_padding_low": ("[i64]", 0, ()),
        "edge_padding_high": ("[i64]", 1, ()),
        "interior_padding": ("[i64]", 2, ()),
    },
    11: {  # StablehloIotaOptions
        "iota_dimension": ("i64", 0, 0),
    },
    12: {  # StablehloDotGeneralOptions
        "lhs_batching_dimensions": ("[i64]", 0, ()),
        "rhs_batching_dimensions": ("[i64]", 1, ()),
        "lhs_contracting_dimensions": ("[i64]", 2, ()),
        "rhs_contracting_dimensions": ("[i64]", 3, ()),
        "precision_config": ("[u32]", 4, ()),
    },
    13: {  # StablehloReduceWindowOptions
        "window_dimensions": ("[i64]", 0, ()),
        "window_strides": ("[i64]", 1, ()),
        "base_dilations": ("[i64]", 2, ()),
        "window_dilations": ("[i64]", 3, ()),
        "padding": ("[i64]", 4, ()),
        "body_subgraph_index": ("i32", 5, 0),
    },
    14: {  # StablehloSortOptions
        "dimension": ("i64", 0, 0),
        "is_stable": ("bool", 1, False),
        "comparator_subgraph_index": ("i32", 2, 0),
    },
    15: {  # StablehloWhileOptions
        "cond_subgraph_index": ("i32", 0, 0),
        "body_subgraph_index": ("i32", 1, 0),
    },
    16: {  # StablehloGatherOptions
        "offset_dims": ("[i64]", 0, ()),
        "collapsed_slice_dims": ("[i64]", 1, ()),
        "start_index_map": ("[i64]", 2, ()),
        "index_vector_dim": ("i64", 3, 0),
        "slice_sizes": ("[i64]", 4, ()),
        "indices_are_sorted": ("bool", 5, False),
    },
    17: {  # StablehloTransposeOptions
        "permutation": ("[i64]", 0, ()),
    },
    19: {  # StablehloRngBitGeneratorOptions
        "algorithm": ("i8", 0, 0),
    },
    20: {  # ReduceWindowOptions
        "reduce_function": ("i32", 0, 0),
    },
    21: {  # StableHLOCompositeOptions
        "name": ("text", 0, ""),
        "decomposition_subgraph_index": ("i32", 1, 0),
        "composite_attributes": ("[u8]", 2, ()),
        "composite_attributes_format": ("i8", 3, 0),
        "version": ("i32", 4, 0),
    },
    23: {  # StablehloCaseOptions
        "branch_subgraph_indices": ("[i32]", 0, ()),
    },
}
