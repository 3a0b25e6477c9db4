"""Fresh tiny models, made in seconds: an encoder and a causal model of under a million parameters.

For the first run, for tests and for conformance; they know nothing yet. Byte-level BPE learned on a page of our own
text, so that every script survives; pad differs from eos; always seed 0, so that two machines start from the same
weights.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

VERSION = "v1"
WIDTH, LAYERS, HEADS, LENGTH, VOCABULARY = 128, 2, 4, 512, 1500
PAD, UNKNOWN, START, END, CLASS, SEPARATOR, MASK = "<pad>", "<unk>", "<s>", "</s>", "[CLS]", "[SEP]", "[MASK]"
CHAT = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)
TEXT = Path(__file__).with_name("tiny.txt")


def build_tokenizer(*, chat: bool) -> "PreTrainedTokenizerFast":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = [PAD, UNKNOWN, START, END, CLASS, SEPARATOR, MASK]
    bpe = Tokenizer(models.BPE(unk_token=UNKNOWN))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe.train_from_iterator(
        TEXT.read_text(encoding="utf-8").splitlines(),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ),
    )
    if not chat:
        bpe.post_processor = processors.TemplateProcessing(
            single=f"{CLASS} $A {SEPARATOR}",
            pair=f"{CLASS} $A {SEPARATOR} $B:1 {SEPARATOR}:1",
            special_tokens=[(name, bpe.token_to_id(name)) for name in (CLASS, SEPARATOR)],
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        model_max_length=LENGTH,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=START,
        eos_token=END,
        cls_token=CLASS,
        sep_token=SEPARATOR,
        mask_token=MASK,
    )
    if chat:
        tokenizer.chat_template = CHAT
    return tokenizer


def _save(folder: Path, tokenizer: "PreTrainedTokenizerFast", make: "Callable[[], PreTrainedModel]") -> None:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make()
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


def build_encoder(folder: Path) -> None:
    from transformers import BertConfig, BertModel

    tokenizer = build_tokenizer(chat=False)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=LENGTH,
        pad_token_id=tokenizer.pad_token_id,
    )
    _save(folder, tokenizer, lambda: BertModel(config))


def build_causal(folder: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = build_tokenizer(chat=True)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=3 * WIDTH,
        max_position_embeddings=LENGTH,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    _save(folder, tokenizer, lambda: LlamaForCausalLM(config))


BUILDERS: dict[str, Callable[[Path], None]] = {"encoder": build_encoder, "causal": build_causal}
#: numbers in a model of each kind, known before it is made; a test counts them
PARAMETERS = {"encoder": 622_336, "causal": 569_856}
