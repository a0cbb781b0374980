"""Makes the vocabularies and golden ids of this folder with Python's `tokenizers` (0.23.3): python make.py [SHARED]

vocabularies.jsonl: one tiny tokenizer.json a line, one per family, trained on the texts below.
golden.jsonl: one text a line, with the ids that each vocabulary gives it; special tokens in it are text
(`encode_special_tokens`), nothing is added around it. With the folder SHARED, also of the real vocabularies there.
"""
import json
import random
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

here = Path(__file__).parent

# What is known to go wrong, by kind.
hand_made = [
    "", " ", "  ", "\n", "a", " a", "a ", "\t\tx", "Hello, world!", " leading", "trailing ", "two  spaces   three    four",
    "line\nfeed", "carriage\r\nreturn\r\n\r\n", "\r\r\n\n\r", "tab\tand\x0bvertical\x0cform", "\n\n\n   \n  indented",
    "it's IT'S It'S i'll I'LL we've WE'VE they're THEY'RE I'm I'M he'd HE'D don't DON'T", "it\u2019s 'tis x'\u017ft x'\u017fs 's's's",
    "rock'n'roll '' ''' 'tt 'vee 'llama", "0", "12", "123", "1234567890", "3.14159265358979", "1,000,000 2024-11-28 12:34:56",
    "9" * 70, "x1y22z333w4444", "٠١٢٣٤٥٦٧٨٩", " ٣٤ ٥", "½ ¾ ² ³ Ⅷ ⅷ ① ㊿ 一二三 〇", "1½2²", "१२३ ๑๒๓ 𝟏𝟐𝟑 𐩀",
    "naïve café — 日本語 👩‍👩‍👧 e\u0301", "e\u0301 \u00e9 a\u0323\u0307 a\u0307\u0323 \u1e69 s\u0323\u0307", "\u0301lonely mark", "Z\u0351\u036a\u0304\u0343a\u0335\u0349l\u030fg\u0327o",
    "\u1112\u1161\u11ab한글 \uac00\u11a8 \u1100\u1161", "\u212b \u2126 \ufb01 \ufb2f \u2f00 \u0340 \u0344", "カ\u3099 ガ \u304b\u3099", "𝄞 \U0001d15e \U0001d157\U0001d165",
    "😀😃😄", "👍🏽👩🏿‍🚀", "👨‍👩‍👧‍👦 family", "🇩🇪🇫🇷🇯🇵 🇩", "❤️ ❤︎ 1️⃣ #️⃣", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "e😀e 😀1😀",
    "\x00", "a\x00b \x00\x00", "\x01\x02\x1b[31m\x7f", "\u0080\u0085\u009f", "a\u0085b \u0085 c\u0085", "\ufeffBOM \ufeff x\ufeff", "\u200b\u200c\u200d\u2060", "\u00a0\u2003 \u3000全角", "\u2028\u2029x",
    "\ufffd", "a\ufffdb \ufffd\ufffd", "\u0378\u0379 \U0003fffd", "\ufdd0\uffff\U0010ffff", "\ue000\U000f0000", "\U00013460",
    "السلام عليكم ورحمة الله", "اَلْعَرَبِيَّةُ", "עברית בְּרֵאשִׁית", "ไทยไม่มีเว้นวรรค ภาษาไทย", "हिन्दी नमस्ते क्षि", "தமிழ் நாடு", "বাংলা", "中文没有空格", "東京都 に 住む", "𠀀𠮷𪚥",
    "Ελληνικά ΐ ΰ", "Русский текст ё е\u0308", "İstanbul ıI ß ẞ ŉ", "Ǆ ǅ ǆ", "ʰʷ ªº", "á́́́́",
    "supercalifragilisticexpialidocious" * 3, "a" * 200, "ab" * 120, " " * 90 + "x", "\n" * 40, "-" * 81, "=" * 30 + ">", "!" * 17 + "?" * 9, "日" * 50, "😀" * 20,
    "https://example.org/a/b?c=d&e=f#g", "user@host.example", "C:\\path\\to\\file.txt", "def f(x):\n    return x ** 2  # square\n", "if (a && b || !c) { d[i] += 1; }", "<html><body>&amp;</body></html>", "{\"key\": [1, 2.5e-3, null]}",
    "\\frac{1}{2} \\boxed{42} $x^{2}$", "\\n \\t \\u00e9", "`code` ~~strike~~ **bold**", "«guillemets» “quotes” ‘single’ „low“", "… – — ‐ ‑ − ×÷≠≤≥∞∑√π",
    "<|endoftext|>", "a<|endoftext|>b", "<|im_start|>user\nhi<|im_end|>\n", "<|im_end|", "<|im_end|><|im_end|>", "<|im_<|im_end|>end|>", "<s>", "</s>", "a<s>b</s>c", "<unk>", "[INST] x [/INST]", "[INST]", "<|begin_of_text|><|eot_id|>", "<|start_header_id|>user<|end_header_id|>\n\n", "<think>\nhm\n</think>", "<tool_call></tool_call>", "x<tool_call>y", "<tool_call", "<0x41>", "<0x0A>", "<0x41> literal", "<0xZZ>", "Ġ", "Ċ", "ĠĠ", "▁", "▁▁a", "a▁b", " ▁ ", "▁Hello", "<|think|>", "<unassigned 5>",
]

def mixed(seed, count):
    draw = random.Random(seed)
    pieces = [p for text in hand_made for p in text.split(" ") if 0 < len(p) <= 12]
    pieces += [chr(c) for c in range(0x20, 0x180)] + [" ", " ", "  ", "\n", "\r\n", "'s", "'LL", "12", "\u0085", "\ufeff", "\u0301"] * 6
    return ["".join(draw.choice(pieces) for _ in range(draw.randrange(2, 9))) for _ in range(count)]

texts = list(dict.fromkeys(hand_made + mixed(1, 120)))
prose = """The old lighthouse keeper counted 1,234 waves before breakfast; it's a habit he'd kept since 1987. "You'll see," he'd say,
"they're never the same." In the village below, 56 houses, 7 shops and one school waited for the 8:15 ferry, which didn't come.
""" * 40
training = [prose] + (texts + mixed(2, 400)) * 3

llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
qwen = llama3.replace(r"\p{N}{1,3}", r"\p{N}")
tekken = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
byte_level = pre_tokenizers.ByteLevel

def isolated(regex):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), byte_level(add_prefix_space=False, use_regex=False)])

def with_bytes(pre_tokenizer, special, *, normalizer=None, plain=(), bos=None, **model):
    """Byte-level: special tokens behind the vocabulary, as Llama 3 and Qwen have them."""
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=800, initial_alphabet=byte_level.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(training, trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in plain])
    steps = [processors.ByteLevel(trim_offsets=False)]
    if bos is not None:
        steps.append(processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]))
    tokenizer.post_processor = processors.Sequence(steps)
    return json.loads(tokenizer.to_str())

def with_fallback(normalizer, pre_tokenizer, special):
    """SentencePiece in clothes of tokenizers: ▁ for a space, <0xNN> for what has no token, special tokens first."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    first = special + [f"<0x{byte:02X}>" for byte in range(256)]
    # No merge may build what stands for a byte or is a control token: real vocabularies have none.
    words = [w for text in training for w in text.replace("\n", " \n").split(" ") if not any(m in w for m in ["<0x", "s>", "unk>", "INST]"])]
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=first, limit_alphabet=150, max_token_length=16, show_progress=False)
    tokenizer.train_from_iterator([" ".join(words[i : i + 3]) for i in range(len(words))], trainer)
    read = json.loads(tokenizer.to_str())
    read["added_tokens"] = [t for t in read["added_tokens"] if t["content"] in special]
    with_bos = Tokenizer.from_str(json.dumps(read))
    with_bos.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return json.loads(with_bos.to_str())

chat = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
inst = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
prepend = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
headers = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(add_prefix_space=False)])
metaspace = lambda scheme, split: pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme, split=split)

vocabularies = {
    "gpt2": with_bytes(byte_level(add_prefix_space=False), ["<|endoftext|>"]),
    "prefix-space": with_bytes(byte_level(add_prefix_space=True), ["<|endoftext|>"]),
    "qwen2": with_bytes(isolated(qwen), chat, normalizer=normalizers.NFC(), plain=["<tool_call>", "</tool_call>"]),
    "qwen3": with_bytes(isolated(qwen), chat, normalizer=normalizers.NFC(), plain=["<tool_call>", "</tool_call>", "<think>", "</think>"]),
    "llama3": with_bytes(isolated(llama3), headers, bos=headers[0], ignore_merges=True),
    "smollm2": with_bytes(digits, chat),
    "tekken": with_bytes(isolated(tekken), inst, bos="<s>", ignore_merges=True),
    "llama2": with_fallback(prepend, None, ["<unk>", "<s>", "</s>"]),
    "mistral": with_fallback(None, metaspace("first", False), inst),
    "metaspace": with_fallback(None, metaspace("always", True), ["<unk>", "<s>", "</s>"]),
}
loaded = {name: Tokenizer.from_str(json.dumps(read)) for name, read in vocabularies.items()}
if len(sys.argv) > 1:
    for name in ["models/stories15M", "models/stories260K", "models/tokenizers/gpt2", "models/tokenizers/qwen2_5"]:
        loaded[name] = Tokenizer.from_file(str(Path(sys.argv[1]) / name / "tokenizer.json"))

def compact(value, ascii=True):
    return json.dumps(value, ensure_ascii=ascii, separators=(",", ":"))

(here / "vocabularies.jsonl").write_text("".join(compact({"name": n, "tokenizer": read}, ascii=False) + "\n" for n, read in vocabularies.items()))
for tokenizer in loaded.values():
    tokenizer.encode_special_tokens = True
ids = {name: tokenizer.encode_batch(texts, add_special_tokens=False) for name, tokenizer in loaded.items()}
lines = [{"text": text, "ids": {name: " ".join(map(str, ids[name][i].ids)) for name in loaded}} for i, text in enumerate(texts)]
(here / "golden.jsonl").write_text("".join(compact(line) + "\n" for line in lines))
