"""Cases of parametrised tests that take long, and whose shorter siblings stand for them in `make test`.

Measured: each takes more than half a minute of a processor. All of them run in `make test-all`.
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
)
"""The ends of their names."""
