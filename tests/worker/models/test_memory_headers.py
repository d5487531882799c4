"""What config.json and safetensors headers say of a model's size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.worker.models.sizes import GIB, LLAMA, folder, model, safetensors
from worker.contract.catalog import ByteSize, HubSource, Lora
from worker.models.facts import facts_of
from worker.models.headers import (
    HeaderError,
    KvShape,
    kv_shape,
    loaded_bytes,
    read_config,
    tensor_bytes,
    weights_by_type,
)

KIB = 1024
QWEN_7B = {
    "model_type": "qwen2",
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "hidden_size": 3584,
    "sliding_window": 131072,
    "use_sliding_window": False,
    "max_window_layers": 28,
}


@pytest.mark.parametrize(
    ("config", "full", "windowed", "window"),
    [
        pytest.param(LLAMA, 128 * KIB, 0, 0, id="Llama-3.1-8B"),
        pytest.param({**LLAMA, "model_type": "mistral", "sliding_window": None}, 128 * KIB, 0, 0, id="Mistral-v0.3"),
        pytest.param(QWEN_7B, 56 * KIB, 0, 0, id="Qwen2.5-7B"),
        pytest.param({**LLAMA, "model_type": "mistral", "sliding_window": 4096}, 0, 128 * KIB, 4096, id="Mistral-v0.1"),
        pytest.param(
            {**QWEN_7B, "use_sliding_window": True, "max_window_layers": 21},
            42 * KIB,
            14 * KIB,
            131072,
            id="Qwen window",
        ),
        pytest.param(
            {**LLAMA, "sliding_window": 512, "layer_types": ["sliding_attention", "full_attention"] * 16},
            64 * KIB,
            64 * KIB,
            512,
            id="by layer types",
        ),
        pytest.param(
            {**LLAMA, "sliding_window": 1024, "sliding_window_pattern": 6}, 20 * KIB, 108 * KIB, 1024, id="1 in 6"
        ),
        pytest.param(
            {**LLAMA, "layer_types": ["linear_attention"] * 24 + ["full_attention"] * 8}, 32 * KIB, 0, 0, id="hybrid"
        ),
        pytest.param({**LLAMA, "head_dim": 64}, 64 * KIB, 0, 0, id="own head size"),
        pytest.param({"n_layer": 12, "n_head": 12, "n_embd": 768}, 36 * KIB, 0, 0, id="GPT-2's names"),
        pytest.param(
            {"num_hidden_layers": 32, "num_attention_heads": 71, "hidden_size": 4544, "multi_query": True},
            8 * KIB,
            0,
            0,
            id="one KV head for all",
        ),
        pytest.param(
            {"num_hidden_layers": 27, "num_attention_heads": 16, "kv_lora_rank": 512, "qk_rope_head_dim": 64},
            27 * 576 * 2,
            0,
            0,
            id="MLA",
        ),
    ],
)
def test_kv_bytes_per_token_of_every_kind_of_attention(
    config: dict[str, Any], full: int, windowed: int, window: int
) -> None:
    assert kv_shape(config, 2) == KvShape(full, windowed, window)


def test_each_device_of_a_tensor_parallel_engine_holds_its_share_of_the_heads_but_never_less_than_one() -> None:
    shares = [shape.full // KIB for n in (1, 2, 8, 16) if (shape := kv_shape(LLAMA, 2, n)) is not None]
    assert shares == [128, 64, 16, 16]


def test_an_8_bit_cache_in_the_checkpoint_halves_it_and_float32_doubles_it() -> None:
    eight = {**LLAMA, "quantization_config": {"kv_cache_scheme": {"num_bits": 8, "type": "float"}}}
    assert kv_shape(eight, 2) == KvShape(64 * KIB)
    assert kv_shape(LLAMA, 4) == KvShape(256 * KIB)


@pytest.mark.parametrize(
    "config", [{}, {"num_hidden_layers": 2}, {"num_hidden_layers": "many", "num_attention_heads": 4, "head_dim": 8}]
)
def test_a_config_that_does_not_say_is_unknown_rather_than_guessed(config: dict[str, Any]) -> None:
    assert kv_shape(config, 2) is None


def test_a_windowed_layer_stops_growing_and_a_full_one_does_not() -> None:
    shape = KvShape(full=10, windowed=100, window=1000)
    assert shape.bytes_for(500) == 55_000
    assert shape.bytes_for(1_000_000) - shape.bytes_for(500_000) == 10 * 500_000


def test_the_text_model_of_a_multimodal_one_counts(tmp_path: Path) -> None:
    place = folder(tmp_path / "m", {"model_type": "vlm", "hidden_size": 1, "text_config": LLAMA})
    config = read_config(place)
    assert config is not None
    assert kv_shape(config, 2) == KvShape(128 * KIB)


# ── weights ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tensor_bytes_come_from_the_header_alone_whatever_the_files_size(tmp_path: Path) -> None:
    safetensors(tmp_path / "w.safetensors", {"a": ("BF16", 15 * GIB), "b": ("I32", GIB)})
    assert tensor_bytes(tmp_path / "w.safetensors") == {"BF16": 15 * GIB, "I32": GIB}


def test_floats_take_the_models_width_and_packed_integers_stay() -> None:
    assert loaded_bytes({"F32": 400, "BF16": 100, "I32": 50, "U8": 7}, 2) == 200 + 100 + 50 + 7
    assert loaded_bytes({"F16": 100}, 4) == 200


def test_a_second_copy_of_the_weights_is_not_counted(tmp_path: Path) -> None:
    for name in ("model-1", "model-2", "consolidated"):
        safetensors(tmp_path / f"{name}.safetensors", {"t": ("F16", 1000)})
    assert weights_by_type(tmp_path) == {"F16": 2000}
    index = {"weight_map": {"t": "model-1.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert weights_by_type(tmp_path) == {"F16": 1000}


def test_a_lone_consolidated_file_is_the_weights(tmp_path: Path) -> None:
    safetensors(tmp_path / "consolidated.safetensors", {"t": ("F16", 1000)})
    assert weights_by_type(tmp_path) == {"F16": 1000}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is no safetensors file"),
        (b"PK\x03\x04 a zip, say", "is no safetensors file"),
        ((50).to_bytes(8, "little") + b'{"a": ', "cut short"),
        ((2).to_bytes(8, "little") + b"[]", "another form"),
        ((8).to_bytes(8, "little") + b'{"a": 1}', "another form"),
    ],
)
def test_a_damaged_file_is_one_line_with_its_name_and_the_fix(tmp_path: Path, content: bytes, what: str) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(HeaderError, match=what) as raised:
        tensor_bytes(file)
    assert str(file) in str(raised.value)
    assert "fetch the model again" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_download_that_broke_off_is_noticed(tmp_path: Path) -> None:
    safetensors(tmp_path / "model.safetensors", {"a": ("F16", 1000)}, missing=1)
    with pytest.raises(HeaderError, match="is cut short"):
        tensor_bytes(tmp_path / "model.safetensors")


# ── facts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_speak_before_the_catalog(tmp_path: Path) -> None:
    folder(tmp_path / "tiny", LLAMA, w=("BF16", 4000))
    facts = facts_of(model(weights_bytes=ByteSize(4000), kv_bytes_per_token=ByteSize(128 * KIB)), tmp_path)
    assert (facts.weights, facts.weights_from, facts.kv, facts.kv_from) == (4000, "files", KvShape(128 * KIB), "files")
    assert facts.notes == ()


def test_the_catalog_speaks_where_there_are_no_files(tmp_path: Path) -> None:
    facts = facts_of(model(weights_bytes=ByteSize(4000), kv_bytes_per_token=ByteSize(512)), tmp_path)
    assert (facts.weights, facts.weights_from, facts.kv, facts.kv_from) == (4000, "catalog", KvShape(512), "catalog")


def test_the_download_stands_for_weights_nobody_stated(tmp_path: Path) -> None:
    sources = (HubSource("a/b", "main", download_bytes=ByteSize(5000)),)
    facts = facts_of(model(weights_bytes=ByteSize(0), sources=sources), tmp_path)
    assert (facts.weights, facts.kv) == (5000, None)


def test_a_catalog_that_disagrees_with_the_files_is_told_to_be_corrected(tmp_path: Path) -> None:
    folder(tmp_path / "tiny", {**LLAMA, "max_position_embeddings": 1024}, w=("BF16", 4000))
    facts = facts_of(model(weights_bytes=ByteSize(9000), kv_bytes_per_token=ByteSize(512)), tmp_path)
    assert facts.weights == 4000
    assert len(facts.notes) == 3
    assert "kv_bytes_per_token = 512 in the catalog, but its config.json says 131072" in facts.notes[0]
    assert "weights_bytes = 9000" in facts.notes[1]
    assert "max_model_len = 2048 is more than the 1024 it was made for" in facts.notes[2]


def test_damaged_files_become_a_note_and_the_stated_sizes_stand(tmp_path: Path) -> None:
    place = folder(tmp_path / "tiny", LLAMA)
    (place / "model.safetensors").write_bytes(b"not weights")
    facts = facts_of(model(weights_bytes=ByteSize(9000)), tmp_path)
    assert facts.weights == 9000
    assert str(place / "model.safetensors") in facts.notes[0]


def test_an_adapters_weights_are_its_own_and_it_has_no_cache(tmp_path: Path) -> None:
    place = folder(tmp_path / "tuned")
    safetensors(place / "adapter_model.safetensors", {"lora_A": ("F32", 4000)})
    facts = facts_of(model("tuned", sources=(), lora=Lora("tiny", path=str(place))), tmp_path)
    assert (facts.weights, facts.kv) == (2000, None)


@pytest.mark.parametrize(
    ("fields", "config", "few"),
    [
        ({"precision": "4-bit AWQ"}, None, True),
        ({"precision": "fp16"}, None, False),
        ({"precision": "4-bit weights (Q4_1)", "format": "gguf"}, None, False),
        ({"quantization": "gptq"}, None, True),
        ({}, {**LLAMA, "quantization_config": {"quant_method": "awq"}}, True),
    ],
)
def test_whether_weights_are_quantized_already(
    tmp_path: Path, fields: dict[str, object], config: dict[str, Any] | None, few: bool
) -> None:
    if config:
        folder(tmp_path / "tiny", config)
    assert facts_of(model(**fields), tmp_path).few_bits is few
