"""Tiny models with random weights, one of each architecture family for which the K-way engine is proven."""

from typing import Any

VOCABULARY, PAD = 64, 0
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": PAD,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.2,
}
GROUPED: dict[str, Any] = {"num_key_value_heads": 2, "head_dim": 8}
WINDOW: dict[str, Any] = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}
GPT2: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}

SHARING: dict[str, dict[str, Any]] = {
    "llama": GROUPED,
    "mistral": GROUPED | {"sliding_window": 4},
    "mixtral": GROUPED | {"num_local_experts": 4},
    "qwen2": GROUPED,
    "qwen3": GROUPED,
    "qwen3_moe": GROUPED | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    "gemma": GROUPED,
    "gemma2": GROUPED | WINDOW | {"query_pre_attn_scalar": 8},
    "gemma3_text": GROUPED | WINDOW | {"query_pre_attn_scalar": 8},
    "phi": {"num_key_value_heads": 2},
    "phi3": GROUPED,
    "smollm3": GROUPED | {"no_rope_layers": [1, 0]},
    "olmo2": GROUPED,
    "stablelm": GROUPED,
    "starcoder2": GROUPED,
    "granite": GROUPED | {"logits_scaling": 3.0},
    "cohere": GROUPED | {"logit_scale": 0.3},
    "glm4": GROUPED,
    "exaone4": GROUPED | WINDOW,
    "gpt2": GPT2,
    "gpt_neox": {},
    "gptj": GPT2 | {"rotary_dim": 4},
    "gpt_bigcode": GPT2,
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "bloom": {"n_layer": 2, "n_head": 4},
    "falcon": {"alibi": False, "num_kv_heads": 2, "new_decoder_architecture": True},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2},
}
NOT_SHARING: dict[str, dict[str, Any]] = {
    "mamba": {"state_size": 4},
    "mamba2": {"state_size": 4, "num_heads": 4, "head_dim": 16, "n_groups": 1, "expand": 2},
    "qwen3_next": GROUPED | {"layer_types": ["linear_attention", "full_attention"]},
    "lfm2": GROUPED | {"layer_types": ["conv", "full_attention"]},
    "llama4_text": GROUPED | {"attention_chunk_size": 4},
}
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": {},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 8},
    "deberta-v2": {},
    "electra": {"embedding_size": 32},
}
FAMILIES = SHARING | NOT_SHARING | ENCODERS


def configured(family: str, **more: Any) -> Any:  # noqa: ANN401
    from transformers import AutoConfig

    return AutoConfig.for_model(family, **(SIZES | FAMILIES[family] | more))


def made(family: str, *, writes: bool = False, seed: int = 0, **more: Any) -> Any:  # noqa: ANN401
    """A *ForSequenceClassification with two outputs, or a *ForCausalLM; weights large enough for attention to matter."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    torch.manual_seed(seed)
    config = configured(family, num_labels=2, **more)
    model = (AutoModelForCausalLM if writes else AutoModelForSequenceClassification).from_config(config)
    return model.eval()
