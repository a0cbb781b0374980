"""The ids that Python's `tokenizers` gives texts: python ids.py TOKENIZER.JSON TEXTS.jsonl > ids, one text a line."""
import json
import sys

from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file(sys.argv[1])
tokenizer.encode_special_tokens = True
with open(sys.argv[2], encoding="utf-8") as file:
    texts = [json.loads(line) for line in file]
for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
    print(*encoding.ids)
