"""Small real GGUF files, written with the gguf package as llama.cpp's converter writes them."""

import json

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, MLP = 64, 2, 2, 96


def write(path, tokenizer, quantised=gguf.GGMLQuantizationType.Q8_0, seed=0, add_bos=False, **more):
    """Write a random Llama with a tokenizer of tokenizers (byte-level BPE); return its parameters.

    `more` replaces or adds metadata; None leaves a key out. `architecture` may be qwen2, whose
    attention has biases and whose tokenizers transformers changes.
    """
    architecture = more.get("architecture", "llama")
    random = np.random.default_rng(seed)
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    words = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(words))
    if "file_type" not in more:
        writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    if "vocabulary" not in more:
        merges = [" ".join(pair) for pair in content["model"]["merges"]]
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_list(words)
        writer.add_token_types([3 if word == words[0] else 1 for word in words])
        writer.add_token_merges(merges)
        for add in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_pad_token_id):
            add(0)
        writer.add_add_bos_token(add_bos)
        writer.add_chat_template("{% for m in messages %}{{ m['content'] }}\n{% endfor %}")
    if more.get("split"):
        writer.add_uint16("split.count", more["split"])
    if more.get("type"):
        writer.add_type(more["type"])
    shapes = {"token_embd.weight": (len(words), WIDTH), "output_norm.weight": (WIDTH,)}
    for i in range(LAYERS):
        shapes |= {f"blk.{i}.attn_{name}.weight": (WIDTH, WIDTH) for name in "qkv"}
        if architecture == "qwen2":
            shapes |= {f"blk.{i}.attn_{name}.bias": (WIDTH,) for name in "qkv"}
        shapes |= {
            f"blk.{i}.attn_output.weight": (WIDTH, WIDTH),
            f"blk.{i}.ffn_gate.weight": (MLP, WIDTH), f"blk.{i}.ffn_up.weight": (MLP, WIDTH),
            f"blk.{i}.ffn_down.weight": (WIDTH, MLP), f"blk.{i}.attn_norm.weight": (WIDTH,),
            f"blk.{i}.ffn_norm.weight": (WIDTH,),
        }  # fmt: skip
    params = 0
    for name, shape in shapes.items():
        weights = random.normal(scale=0.3, size=shape).astype(np.float32)
        params += weights.size
        if len(shape) == 1:
            writer.add_tensor(name, np.abs(weights) + 0.5)
        else:
            data = gguf.quants.quantize(weights, quantised)
            writer.add_tensor(name, data, raw_dtype=quantised)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return params
