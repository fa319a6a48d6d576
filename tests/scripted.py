"""Checkpoints that write a text by heart: real ones, whose weights are computed, not trained."""

import itertools

import torch
from transformers import LlamaConfig, LlamaForCausalLM

SURE = 60.0
"""The logit of the token that comes next; all others have 0."""


def save_scripted(folder, tokenizer, tokens, end):
    """Save a Llama that continues each of some distinct tokens with the next one.

    The embedding of a token is a unit vector, attention and feed-forward add nothing, and the
    output layer maps each unit vector to the next token. After any other token comes `end`.
    """
    words = len(tokenizer)
    width = -(-words // 64) * 64
    config = LlamaConfig(
        vocab_size=words, hidden_size=width, intermediate_size=4, num_hidden_layers=1,
        num_attention_heads=width // 64, num_key_value_heads=width // 64, max_position_embeddings=4096,
        tie_word_embeddings=False, bos_token_id=tokenizer.bos_token_id, eos_token_id=end,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    following = dict(itertools.pairwise(tokens))
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(torch.eye(words, width))
        layer = model.model.layers[0]
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        model.lm_head.weight.zero_()
        for token in range(words):
            # the last norm gives the unit vector the length √width
            model.lm_head.weight[following.get(token, end), token] = SURE / width**0.5
    model.generation_config.eos_token_id = end
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())
