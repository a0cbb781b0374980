"""logits.py DIRECTORY FILE...: the logits of the tokens 1, 260, 5, 17, 261 that transformers computes from GGUF files."""

import json
import sys

import torch
from transformers import AutoModelForCausalLM

ids = torch.tensor([[1, 260, 5, 17, 261]])
logits = []
for file in sys.argv[2:]:
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], gguf_file=file, dtype=torch.float32)
    with torch.no_grad():
        logits.append(model(ids).logits[0].flatten().tolist())
print(json.dumps(logits))
