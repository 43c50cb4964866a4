"""A tiny llama-architecture model that llama.cpp really loads, made up on the spot.

Nothing can be downloaded in the tests, so the weights are set by hand rather than trained. Each dimension of the
residual stream has one job. The first ones hold the *class* of the current token (a quote, a digit, a noun, ...),
which the output matrix turns into a table of "what may follow what" (`FOLLOWS`). The layers write random functions of
the context into the `CONTEXT` dimensions; they choose among the words of a class, so that texts differ.

The table matters because a purely random model hardly ever closes a string. Here the word classes form a chain that
ends in a full stop and then in a quote or the end of the text. Lists end because one attention head counts what the
answer has so far and makes `]` ever more likely. Both hold at temperature 0, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import gguf
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

EMBEDDING: Final = 64
FEED_FORWARD: Final = 128
HEADS: Final = 4
HEAD: Final = EMBEDDING // HEADS
LAYERS: Final = 2
CONTEXT_LENGTH: Final = 32_768

BEGIN: Final = "<|begin|>"
TURN: Final = "<|turn|>"
ANSWER: Final = "<|answer|>"
END: Final = "<|end|>"
SPECIAL_TOKENS: Final = {BEGIN: "begin", TURN: "turn", ANSWER: "answer", END: "end"}

CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{{ '<|answer|>' if message['role'] == 'assistant' else '<|turn|>' + message['role'] }}"
    "{{ '\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|answer|>\\n' }}{% endif %}"
)

CHARACTERS: Final[dict[str, str]] = {
    "quote": '"',
    "open_brace": "{",
    "close_brace": "}",
    "open_bracket": "[",
    "close_bracket": "]",
    "comma": ",",
    "colon": ":",
    "stop": ".!?",
    "zero": "0",
    "digit": "123456789",
    "letter": "abcdefghijklmnopqrstuvwxyz",
    "blank": " \n\r\t",
}
"""Classes of single characters; every other byte is of class "byte"."""

WORDS: Final[dict[str, str]] = {
    "opener": "The Both Every One Another Some Each That This Our My Their Her His Your Any",
    "adjective": (
        "calm old green quiet broken hungry modern narrow golden patient sudden hollow clever distant frozen gentle "
        "bitter ordinary secret wooden"
    ),
    "noun": (
        "river teacher engine garden letter doctor market sailor window mountain picture ticket kitchen lawyer "
        "camera forest bridge neighbour pilot tomato"
    ),
    "verb": (
        "follows paints forgets repairs crosses borrows measures visits praises carries answers buries questions "
        "moves greets copies warms orders hides sells"
    ),
    "determiner": "a the two several this no many its those some",
    "modifier": (
        "red empty famous heavy strange bright simple loud ancient tiny cheap careful blue dusty honest local rare "
        "warm sharp lazy"
    ),
    "object": (
        "houses lamps songs islands clocks stories bottles trains shadows gates coins roads maps birds stones boxes "
        "rumours chairs boats numbers"
    ),
    "adverb": "again today slowly often twice alone outside tomorrow never together carefully indoors",
    "connector": "Then Later Still Meanwhile Therefore Soon Besides Elsewhere",
}
"""Whole words as single tokens, by their place in a sentence; all but the openers carry the space before them."""

CLASSES: Final = (*CHARACTERS, *WORDS, "byte", *SPECIAL_TOKENS.values())

_ENTER: Final = {"opener": 1.0, "open_brace": 0.001, "quote": 0.0003, "open_bracket": 0.0001, "digit": 0.0001}

FOLLOWS: Final[dict[str, dict[str, float]]] = {
    "begin": _ENTER,
    "turn": _ENTER,
    "answer": _ENTER,
    "end": {"end": 1.0},
    "blank": _ENTER,
    "quote": {"opener": 1.0, "colon": 3e-5, "close_brace": 3e-5, "comma": 1e-5, "close_bracket": 1e-5},
    "open_brace": {"quote": 1.0, "close_brace": 0.002},
    "open_bracket": {"open_brace": 1.0, "quote": 0.3, "digit": 0.3, "open_bracket": 0.001, "close_bracket": 0.002},
    "close_brace": {"end": 3.0, "close_brace": 0.6, "comma": 0.2, "close_bracket": 0.2, "quote": 30.0},
    "close_bracket": {"end": 3.0, "close_brace": 1.0, "close_bracket": 0.2, "comma": 0.2, "quote": 30.0},
    "comma": {"quote": 1.0, "open_brace": 0.3, "digit": 0.2, "open_bracket": 0.02},
    "colon": {"quote": 1.0, "digit": 0.6, "letter": 0.2, "zero": 0.05, "open_bracket": 0.05, "open_brace": 0.02},
    "zero": {"close_brace": 0.5, "comma": 0.2, "close_bracket": 0.2, "quote": 0.1, "digit": 0.1, "stop": 0.003},
    "digit": {"close_brace": 0.5, "comma": 0.2, "close_bracket": 0.2, "quote": 0.1, "digit": 0.2, "zero": 0.05},
    "letter": {"letter": 0.7, "quote": 0.3, "close_brace": 0.02, "comma": 0.01, "close_bracket": 0.01, "stop": 0.02},
    "byte": {"letter": 0.6, "quote": 0.3, "digit": 0.05, "close_brace": 0.01, "comma": 0.01},
    "opener": {"adjective": 0.7, "noun": 0.3},
    "adjective": {"noun": 1.0},
    "noun": {"verb": 1.0},
    "verb": {"determiner": 0.75, "adverb": 0.2, "stop": 0.05},
    "determiner": {"modifier": 0.6, "object": 0.4},
    "modifier": {"object": 1.0},
    "object": {"stop": 0.7, "adverb": 0.3},
    "adverb": {"stop": 1.0},
    "stop": {"end": 1.0, "quote": 0.03, "connector": 0.003},
    "connector": {"adjective": 0.3, "noun": 0.7},
}
"""Relative weight of each class after a class, shared by the tokens of the class.

A grammar rules out what does not fit at a place, which is why a closing quote and an opening one can share a row:
after the closing one all words are ruled out, and the small weights decide. A bracket that slips into a string is
followed by the end of the string for the same reason.
"""

FLOOR: Final = 1e-9
"""Weight of a class that `FOLLOWS` does not name: possible when a grammar forces it, else practically never."""

COUNTED: Final = {"answer": 1.0, "close_brace": 1.0, "quote": 0.1, "comma": 0.1}
"""What the counting head counts after the last prompt token, in units of the answer's own first token."""
END_OF_LIST: Final = 4.0
"""Logit of `]` against `,` in an endless list; it is reached as `END_OF_LIST - DELAY / count`."""
DELAY: Final = 60.0

CLASS: Final = slice(0, len(CLASSES))
ANSWERING: Final = CLASS.stop
"""Dimension that is set from the token on that starts the answer."""
SHARE: Final = ANSWERING + 1
"""Dimension that holds 1 / (what the answer has so far), as the counting head finds it."""
IDENTITY: Final = slice(SHARE + 1, (SHARE + 1 + EMBEDDING) // 2)
"""Random numbers that tell the tokens of a class apart for the layers; the output does not look at them."""
CONTEXT: Final = slice(IDENTITY.stop, EMBEDDING)
"""What the layers write and the output reads."""

CLASS_STRENGTH: Final = 16.0
"""So much stronger than all else that the norms, which divide by the length of the vector, hardly vary."""
FLAG_STRENGTH: Final = 4.0
NORMALISED: Final = float(np.sqrt(EMBEDDING / (CLASS_STRENGTH**2 + FLAG_STRENGTH**2 + 40.0)))
"""What a norm multiplies by; 40 stands for the random dimensions."""
WORD_NOISE: Final = 0.35
CHARACTER_NOISE: Final = 0.1
"""Less than for words, lest the noise outweigh the structure of an answer."""
CERTAIN: Final = 16.0
"""Attention score that beats any number of tokens without it."""
STILL: Final = HEAD - 1
"""Dimension of a head that the rotary position encoding practically does not turn, given `ROPE_BASE`."""
ROPE_BASE: Final = 1e10


@dataclass(frozen=True)
class Token:
    """One entry of the vocabulary: its text in the file, its llama.cpp type and its class in `FOLLOWS`."""

    text: str
    kind: gguf.TokenType
    token_class: str


def write_tiny_gguf(path: Path, seed: int = 0) -> Path:
    """Write the model to `path` (about 0.6 MB) and return the path; another seed gives other texts."""
    vocabulary = build_vocabulary()
    writer = gguf.GGUFWriter(str(path), "llama")
    _add_settings(writer, len(vocabulary))
    _add_tokenizer(writer, vocabulary)
    for name, tensor in build_tensors(vocabulary, np.random.default_rng(seed)).items():
        writer.add_tensor(name, tensor.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def build_vocabulary() -> list[Token]:
    """All tokens in the order of their ids: special ones, all 256 bytes, whole words.

    The bytes make every text of every language representable. The words have no merges, so they appear only in what
    the model writes: prompts are split into bytes, which keeps the file small and costs a tiny model little.
    """
    spelling = _byte_spelling()
    classes = {ord(char): name for name, chars in CHARACTERS.items() for char in chars}
    tokens = [Token(text, gguf.TokenType.CONTROL, name) for text, name in SPECIAL_TOKENS.items()]
    tokens += [Token(spelling[byte], gguf.TokenType.NORMAL, classes.get(byte, "byte")) for byte in range(256)]
    for name, words in WORDS.items():
        space = "" if name == "opener" else spelling[ord(" ")]
        tokens += [Token(space + word, gguf.TokenType.NORMAL, name) for word in words.split()]
    if len({token.text for token in tokens}) != len(tokens):
        raise ValueError("two tokens have the same text, on which llama.cpp aborts the whole process")
    return tokens


def _byte_spelling() -> list[str]:
    """How GPT-2's byte-level BPE, which llama.cpp decodes, writes each byte: as itself if printable, else moved up."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) if byte in printable else chr(0x100 + others.index(byte)) for byte in range(256)]


def build_tensors(vocabulary: list[Token], rng: np.random.Generator) -> dict[str, Floats]:
    """The weights, by llama.cpp's names; a matrix is stored as (output, input)."""
    members = np.array([CLASSES.index(token.token_class) for token in vocabulary])
    embedding = np.zeros((len(vocabulary), EMBEDDING))
    embedding[np.arange(len(vocabulary)), members] = CLASS_STRENGTH
    embedding[:, IDENTITY] = rng.normal(size=embedding[:, IDENTITY].shape)
    tensors = {
        "token_embd.weight": embedding,
        "output_norm.weight": np.ones(EMBEDDING),
        "output.weight": _output_matrix(members, rng),
    }
    for layer in range(LAYERS):
        weights = _layer_weights(rng)
        (_find_answer if layer == 0 else _count_answer)(weights)
        tensors |= {f"blk.{layer}.{name}.weight": weight for name, weight in weights.items()}
    return tensors


def _output_matrix(members: Integers, rng: np.random.Generator) -> Floats:
    """`FOLLOWS` as logits on the class dimensions, noise on those of the context, and the count for `]` alone."""
    sizes = np.bincount(members, minlength=len(CLASSES))
    weights = np.array([[FOLLOWS[name].get(other, FLOOR) for name in CLASSES] for other in CLASSES])
    logits = np.log(weights / sizes[:, np.newaxis])
    end_of_list = CLASSES.index("close_bracket")
    logits[end_of_list] += END_OF_LIST
    output = np.zeros((len(members), EMBEDDING))
    output[:, CLASS] = logits[members] / (CLASS_STRENGTH * NORMALISED)
    output[members == end_of_list, SHARE] = -DELAY / NORMALISED
    loudness = np.where(members < len(CHARACTERS), CHARACTER_NOISE, WORD_NOISE)
    output[:, CONTEXT] = rng.normal(size=output[:, CONTEXT].shape) * loudness[:, np.newaxis]
    return output


def _layer_weights(rng: np.random.Generator) -> dict[str, Floats]:
    """A random layer that writes into the context dimensions only; its first head is left free.

    The classes count little among its inputs; otherwise all words of a class would be followed by the same few.
    """

    def random(outputs: int, inputs: int, gain: float) -> Floats:
        return rng.normal(scale=gain / inputs**0.5, size=(outputs, inputs))

    def read(outputs: int, gain: float) -> Floats:
        weights = random(outputs, EMBEDDING, gain / NORMALISED)
        weights[:, : IDENTITY.start] /= CLASS_STRENGTH
        return weights

    weights = {
        "attn_norm": np.ones(EMBEDDING),
        "attn_q": read(EMBEDDING, 3.0),
        "attn_k": read(EMBEDDING, 3.0),
        "attn_v": read(EMBEDDING, 1.0),
        "attn_output": random(EMBEDDING, EMBEDDING, 2.0),
        "ffn_norm": np.ones(EMBEDDING),
        "ffn_gate": read(FEED_FORWARD, 1.5),
        "ffn_up": read(FEED_FORWARD, 1.0),
        "ffn_down": random(EMBEDDING, FEED_FORWARD, 1.0),
    }
    for name in ("attn_output", "ffn_down"):
        weights[name][: CONTEXT.start] = 0.0
    for name in ("attn_q", "attn_k", "attn_v"):
        weights[name][:HEAD] = 0.0
    weights["attn_output"][:, :HEAD] = 0.0
    weights["attn_q"][STILL, CLASS] = 1.0 / (CLASS_STRENGTH * NORMALISED)
    return weights


def _find_answer(weights: dict[str, Floats]) -> None:
    """Make the first head set `ANSWERING` wherever the token that starts an answer is in sight."""
    answer = CLASSES.index("answer")
    unit = CLASS_STRENGTH * NORMALISED
    weights["attn_k"][STILL, answer] = CERTAIN * np.sqrt(HEAD) / unit
    weights["attn_v"][0, answer] = 1.0 / unit
    weights["attn_output"][ANSWERING, 0] = FLAG_STRENGTH


def _count_answer(weights: dict[str, Floats]) -> None:
    """Make the first head look at what is `COUNTED` in the answer, and so find the share of its first token."""
    unit = CLASS_STRENGTH * NORMALISED
    for name, amount in COUNTED.items():
        weights["attn_k"][STILL, CLASSES.index(name)] = (CERTAIN + np.log(amount)) * np.sqrt(HEAD) / unit
    weights["attn_k"][STILL, ANSWERING] = CERTAIN * np.sqrt(HEAD) / (FLAG_STRENGTH * NORMALISED)
    weights["attn_v"][0, CLASSES.index("answer")] = 1.0 / unit
    weights["attn_output"][SHARE, 0] = 1.0


def _add_settings(writer: gguf.GGUFWriter, vocabulary_size: int) -> None:
    """The shape of the network, without which llama.cpp refuses the file."""
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(vocabulary_size)
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(EMBEDDING)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(1e-5)


def _add_tokenizer(writer: gguf.GGUFWriter, vocabulary: list[Token]) -> None:
    """A byte-level BPE tokenizer; llama.cpp insists on a list of merges, so it gets one that leads nowhere."""
    specials = list(SPECIAL_TOKENS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([token.text for token in vocabulary])
    writer.add_token_types([token.kind for token in vocabulary])
    writer.add_token_merges(["T h"])
    writer.add_bos_token_id(specials.index(BEGIN))
    writer.add_eos_token_id(specials.index(END))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
