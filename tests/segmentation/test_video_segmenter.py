"""SAM 2 and EdgeTAM through transformers' video classes, with tiny random configurations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    EdgeTamVideoConfig,
    EdgeTamVideoModel,
    EdgeTamVisionConfig,
    Sam2HieraDetConfig,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam2VisionConfig,
)

from mvmodel.errors import PackError
from mvmodel.segmentation.protocols import VideoTracker
from mvmodel.segmentation.tracking import extract_masks
from mvmodel.segmentation.video_segmenter import VideoSegmenter

WIDTH = 128
"""Width of the model; it has to be larger than the memory's, which transformers expects to be 64."""
PROMPT_ENCODER = {"hidden_size": WIDTH, "image_size": 64, "patch_size": 16, "mask_input_channels": 8}
MASK_DECODER = {
    "hidden_size": WIDTH,
    "mlp_dim": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "iou_head_hidden_dim": 32,
    "iou_head_depth": 2,
}
MEMORY = {
    "image_size": 64,
    "memory_attention_hidden_size": WIDTH,
    "memory_attention_num_layers": 1,
    "memory_encoder_hidden_size": WIDTH,
    "memory_encoder_output_channels": 64,
    "mask_downsampler_embed_dim": WIDTH,
    "memory_fuser_embed_dim": WIDTH,
    "memory_fuser_intermediate_dim": 32,
    "memory_fuser_num_layers": 1,
    "memory_attention_rope_feat_sizes": [4, 4],
}


def build_edgetam() -> EdgeTamVideoModel:
    """EdgeTAM with its own backbone, RepViT-M1, which is small at 64x64."""
    torch.manual_seed(0)
    backbone = {
        "model_type": "timm_wrapper",
        "architecture": "repvit_m1",
        "num_classes": 2,
        "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    }
    vision = EdgeTamVisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[384, 192, 96, 48],
        fpn_hidden_size=WIDTH,
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
    )
    config = EdgeTamVideoConfig(
        vision_config=vision.to_dict(),
        prompt_encoder_config=PROMPT_ENCODER,
        mask_decoder_config=MASK_DECODER,
        memory_attention_mlp_hidden_size=32,
        memory_attention_rope_k_sizes=[2, 2],
        perceiver_resampler_num_latents=4,
        perceiver_resampler_num_latents_2d=4,
        perceiver_resampler_num_layers=1,
        perceiver_resampler_mlp_intermediate_size=64,
        **MEMORY,
    )
    return EdgeTamVideoModel(config)


def build_sam2() -> Sam2VideoModel:
    torch.manual_seed(0)
    backbone = Sam2HieraDetConfig(
        hidden_size=16,
        image_size=[64, 64],
        window_positional_embedding_background_size=[2, 2],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 1, 1, 1],
        window_size_per_stage=[4, 4, 4, 4],
        global_attention_blocks=[3],
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone.to_dict(),
        backbone_channel_list=[128, 64, 32, 16],
        fpn_hidden_size=WIDTH,
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
    )
    config = Sam2VideoConfig(
        vision_config=vision.to_dict(),
        prompt_encoder_config=PROMPT_ENCODER,
        mask_decoder_config=MASK_DECODER,
        memory_attention_feed_forward_hidden_size=32,
        **MEMORY,
    )
    return Sam2VideoModel(config)


BUILDERS = {"sam2": build_sam2, "edgetam": build_edgetam}


@pytest.fixture(scope="module", params=BUILDERS)
def segmenter(request: pytest.FixtureRequest) -> VideoSegmenter:
    return VideoSegmenter(BUILDERS[request.param]())


def clip(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames, and a mask in one of them."""
    mask = np.zeros((48, 80), bool)
    mask[10:30, 20:50] = True
    return np.random.default_rng(0).integers(0, 255, (frames, 48, 80, 3), dtype=np.uint8), mask


def propagate(segmenter: VideoSegmenter, frames: np.ndarray, start: int, mask: np.ndarray) -> Iterator[float]:
    """Scores after `start` by transformers' own iterator, with the whole clip in memory."""
    video = torch.stack([segmenter._preprocess(frame) for frame in frames])
    session = segmenter._session_class(video=video, dtype=torch.float32)
    prompt = (
        torch.nn.functional.interpolate(torch.from_numpy(mask).float()[None, None], (64, 64), mode="bilinear") >= 0.5
    )
    session.add_mask_inputs(session.obj_id_to_idx(1), start, prompt.float())
    session.obj_with_new_inputs = [1]
    with torch.no_grad():
        segmenter.model(session, frame_idx=start)
        for out in segmenter.model.propagate_in_video_iterator(session, start_frame_idx=start + 1):
            yield float(out.object_score_logits.sigmoid())


def test_tracking_gives_the_scores_of_transformers_own_iterator(segmenter: VideoSegmenter):
    frames, mask = clip(5)
    masks, scores = segmenter.track(frames, 1, mask)
    assert isinstance(segmenter, VideoTracker)
    assert masks.shape == (5, 48, 80) and np.array_equal(masks[1], mask)
    assert scores[2:] == pytest.approx(list(propagate(segmenter, frames, 1, mask)), abs=1e-4)
    assert 0 < scores[0] < 1, "tracked backward as well"


def test_what_is_kept_does_not_grow_with_the_clip(segmenter: VideoSegmenter, monkeypatch: pytest.MonkeyPatch):
    sessions = []
    open_session = segmenter._open_session
    monkeypatch.setattr(segmenter, "_open_session", lambda: sessions.append(open_session()) or sessions[-1])
    monkeypatch.setattr(segmenter.model.config, "max_object_pointers_in_encoder", 8)
    frames, mask = clip(14)
    segmenter.track(frames, 0, mask)
    for session in sessions:
        assert not session.processed_frames
        assert len(session.output_dict_per_obj[0]["non_cond_frame_outputs"]) <= 10


def count_bytes(value: object) -> int:
    """Bytes of all tensors in nested containers and in the session's own objects."""
    if isinstance(value, torch.Tensor):
        return value.untyped_storage().nbytes()
    if isinstance(value, dict):
        return sum(count_bytes(item) for item in value.values())
    if isinstance(value, list | tuple):
        return sum(count_bytes(item) for item in value)
    return count_bytes(vars(value)) if hasattr(value, "__dict__") and not isinstance(value, type) else 0


@pytest.mark.slow
def test_memory_is_flat_over_300_frames(segmenter: VideoSegmenter, monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    forget = segmenter._forget

    def forget_and_count(session: object, index: int, step: int) -> None:
        forget(session, index, step)
        sizes.append(count_bytes(session))

    monkeypatch.setattr(segmenter, "_forget", forget_and_count)
    frames, mask = clip(300)
    segmenter.track(frames, 0, mask)
    assert sizes[30] > 0 and sizes[299] == sizes[30], "what the session holds after 31 frames and after 300"


def test_prompts_and_the_whole_extraction_run(segmenter: VideoSegmenter):
    frames, mask = clip(3)
    encoding = segmenter.encode(frames)[0]
    for prompt in (
        {"point_coords": np.array([[10.0, 10.0]])},
        {"box": np.array([5.0, 5, 40, 30])},
        {"mask_prompt": mask},
    ):
        masks, scores = segmenter.predict(encoding, **prompt)
        assert masks.shape == (1, 48, 80) and scores.shape == (1,)
    with pytest.raises(ValueError, match="prompt is needed"):
        segmenter.predict(encoding)
    assert extract_masks(frames, segmenter).sequence.masks.shape == (3, 48, 80)


def test_a_folder_without_such_a_model_is_refused_by_name(tmp_path: Path):
    with pytest.raises(PackError, match=tmp_path.name):
        VideoSegmenter.from_pretrained(tmp_path)
