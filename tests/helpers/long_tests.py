"""Cases of parametrised tests that take long, and whose shorter siblings stand for them in `make test`.

All of them run in `make test-all`.
"""

from __future__ import annotations

__all__ = ["LONG"]

LONG = (
    "test_killed_training.py::test_a_killed_training_ends_with_the_same_bits[1-detection]",
    "test_killed_training.py::test_a_killed_training_ends_with_the_same_bits[1-segmentation]",
    "test_determinism.py::test_the_same_seed_gives_the_same_bits[short]",
    "test_base_conv.py::test_graph_equals_eager_with_sizes_unknown_and_one_trace[TiledConv2D]",
    "test_base_conv.py::test_graph_equals_eager_with_sizes_unknown_and_one_trace[TiledConv3D]",
    "test_tiled.py::test_a_large_image_in_pieces_of_several_sizes[dilated]",
    "test_tiled.py::test_a_large_image_in_pieces_of_several_sizes[unet]",
    "test_tiled.py::test_a_large_image_in_pieces_of_several_sizes[aspp]",
    "test_every_way.py::test_outputs_become_answers_and_outputs_again[detector]",
    "test_every_way.py::test_outputs_become_answers_and_outputs_again[segmenter]",
    "test_evaluate_card.py::test_a_card_gets_what_it_lacks[detector-scattered-precision_recall]",
    "test_evaluate_card.py::test_a_card_gets_what_it_lacks[segmenter-painted-calibration]",
    "test_segmentation.py::test_a_network_of_a_coarser_stride_is_exported_too",
    "test_fourth_task.py::test_it_is_verified_by_every_way_in_the_service_among_them",
    "test_sessions.py::test_nothing_of_an_upload_remains_when_its_session_is_gone[Evidence]",
    "test_sessions.py::test_nothing_of_an_upload_remains_when_its_session_is_gone[Feature maps]",
    "test_sessions.py::test_nothing_of_an_upload_remains_when_its_session_is_gone[Receptive field]",
    "test_base_conv.py::test_gradients_in_float64_are_the_finite_differences[TiledConv3D]",
    "test_base_conv.py::test_saved_model_round_trip[False-DilatedConv3D]",
    "test_base_conv.py::test_saved_model_round_trip[True-DilatedConv3D]",
    "test_base_conv.py::test_low_precision[bfloat16-TiledConv3D]",
    "test_base_conv.py::test_low_precision[mixed_float16-TiledConv3D]",
    "test_pooling_contract.py::test_trains_in_a_graph_with_one_trace[WeightedLpPooling3D]",
    "test_pooling_contract.py::test_trains_in_a_graph_with_one_trace[SpatialPyramidPooling3D]",
    "test_pooling_contract.py::test_trains_in_a_graph_with_one_trace[LpPooling3D]",
    "test_pooling_contract.py::test_trains_in_a_graph_with_one_trace[WeightedAveragePooling3D]",
    "test_conv_ops.py::test_one_channel_and_an_output_one_wide[3-strides0-True]",
    "test_lp_pooling.py::test_saved_model_and_sizes_known_only_at_run_time[True-1]",
    "test_lp_pooling.py::test_saved_model_and_sizes_known_only_at_run_time[True-2]",
    "test_classification.py::test_every_convolution_goes_the_whole_way[dilated]",
    "test_classification.py::test_every_convolution_goes_the_whole_way[unshared]",
    "test_tiled.py::test_pieces_give_what_the_whole_gives[0.61-unet tiled]",
    "test_tiled.py::test_pieces_give_what_the_whole_gives[1.0-unet tiled]",
    "test_tiled.py::test_pieces_give_what_the_whole_gives[1.0-unet l2]",
    "test_tiled.py::test_pieces_give_what_the_whole_gives[1.0-unet stride 2]",
    "test_tiled.py::test_pieces_give_what_the_whole_gives[1.0-unet learned upsampling]",
    "test_tiled.py::test_pieces_give_what_the_whole_gives[1.0-aspp]",
    "test_tiled.py::test_pieces_give_what_the_whole_gives[1.0-dilated]",
    "test_tiled.py::test_pieces_give_what_the_whole_gives[1.0-fcn head 32]",
    "test_loop.py::test_two_devices_learn_what_one_learns[muon]",
    "test_segmentation.py::test_a_segmentation_of_today_is_written_in_other_formats[litert]",
    "test_litert.py::test_half_the_bits_take_half_the_room[detection]",
    "test_litert.py::test_half_the_bits_take_half_the_room[segmentation]",
    "test_rebuild.py::test_a_model_written_anew_answers_as_before[segmenter]",
    "test_cross_check.py::test_every_way_in_gives_the_answer_for_the_pixels[by_tensorflow_alone-segmentation]",
    "test_global_options.py::test_a_gpu_that_is_not_there_is_refused_before_anything_is_computed[serve digits]",
    "test_shipped.py::test_a_process_with_only_tensorflow_gives_the_same_answers[digit-segmentation/1]",
    "test_archive.py::test_a_bomb_takes_no_more_memory_than_what_is_taken_of_it[bzip2 that says it is small]",
    "test_archive.py::test_a_bomb_takes_no_more_memory_than_what_is_taken_of_it[LZMA that says it is small]",
    "test_portable_graph.py::test_a_segmentation_answers_the_same[0.6-2-1]",
    "test_tiling.py::test_the_logits_of_a_piece_are_those_of_the_whole[tiled-dilated]",
)
"""The ends of their names."""
