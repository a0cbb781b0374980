"""One step of Reinforcement Pre-Training in torch, on the work that `foretoken bench` does: the peer of `npm run bench`.

Trunk and branches, as in Foretoken: each document is read once (trunk), K anchors x G rollouts hang on it (branches), a branch
sees the trunk before its anchor and itself. Decoding shares the trunk's keys and values among all branches of a document, and every
branch has a cache of its own of L tokens. The update is one forward and backward over the packed rows, a clipped policy loss
over the log-probabilities of the drawn tokens, a clipped gradient, fused AdamW.

    python torch_step.py --model DIR --documents 2 --positions 4 --group 8 --context 192 --tokens 32 --steps 5 [--compile]
    python torch_step.py --workload train|decode|ceiling ...

Prints one JSON document: seconds of each phase (a list, one entry a step), rollouts/s, tokens/s, the matmul ceiling of torch here.
"""

import argparse
import ctypes
import json
import math
import os
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F


# --- the model ------------------------------------------------------------------------------------------------------------


class Config:
    def __init__(self, layers, d, heads, kv_heads, ffn, vocab, eps=1e-5, theta=10000.0):
        self.layers, self.d, self.heads, self.kv_heads, self.ffn, self.vocab = layers, d, heads, kv_heads, ffn, vocab
        self.eps, self.theta, self.head_dim = eps, theta, d // heads
        self.q_rows, self.kv_rows = heads * self.head_dim, kv_heads * self.head_dim


def load(directory):
    """A Llama directory -> config, weights. q, k, v and gate, up become one matrix each: fewer and larger matmuls."""
    from safetensors.torch import load_file

    with open(os.path.join(directory, "config.json")) as file:
        raw = json.load(file)
    rope = raw.get("rope_parameters") or {"rope_theta": raw.get("rope_theta", 10000.0)}
    config = Config(
        raw["num_hidden_layers"], raw["hidden_size"], raw["num_attention_heads"],
        raw.get("num_key_value_heads", raw["num_attention_heads"]), raw["intermediate_size"], raw["vocab_size"],
        raw["rms_norm_eps"], rope["rope_theta"],
    )  # fmt: skip
    if rope.get("rope_type", "default") != "default" or not raw.get("tie_word_embeddings", True):
        sys.exit("torch_step.py does default rotary positions and tied embeddings only")
    t = {name: tensor.float() for name, tensor in load_file(os.path.join(directory, "model.safetensors")).items()}
    weights = {"embed": t["model.embed_tokens.weight"], "norm": t["model.norm.weight"]}
    for i in range(config.layers):
        at = f"model.layers.{i}."
        qkv = [t[f"{at}self_attn.{name}_proj.weight"] for name in "qkv"]
        weights[f"{i}.norm1"], weights[f"{i}.norm2"] = (
            t[f"{at}input_layernorm.weight"], t[f"{at}post_attention_layernorm.weight"]
        )  # fmt: skip
        weights[f"{i}.qkv"], weights[f"{i}.o"] = torch.cat(qkv), t[f"{at}self_attn.o_proj.weight"]
        weights[f"{i}.gate_up"] = torch.cat([t[f"{at}mlp.gate_proj.weight"], t[f"{at}mlp.up_proj.weight"]])
        weights[f"{i}.down"] = t[f"{at}mlp.down_proj.weight"]
    return config, weights


def fresh(config, seed):
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator) * 0.02
    weights = {"embed": normal(config.vocab, config.d), "norm": torch.ones(config.d)}
    for i in range(config.layers):
        weights[f"{i}.norm1"], weights[f"{i}.norm2"] = torch.ones(config.d), torch.ones(config.d)
        weights[f"{i}.qkv"] = normal(config.q_rows + 2 * config.kv_rows, config.d)
        weights[f"{i}.o"] = normal(config.d, config.q_rows)
        weights[f"{i}.gate_up"] = normal(2 * config.ffn, config.d)
        weights[f"{i}.down"] = normal(config.d, config.ffn)
    return weights


def rotary_table(config, positions):
    half = config.head_dim // 2
    frequencies = config.theta ** (-2 * torch.arange(half, dtype=torch.float64) / config.head_dim)
    angles = torch.arange(positions, dtype=torch.float64)[:, None] * frequencies
    return angles.cos().float(), angles.sin().float()


def layers(config, weights, x, cos, sin, attend):
    """All layers over rows [n,d]; cos and sin are [n,1,dh/2]. `attend(layer, q [n,H,dh], k [n,Hk,dh], v)` gives [n,H*dh]."""
    heads, kv_heads, head_dim = config.heads, config.kv_heads, config.head_dim
    for i in range(config.layers):
        qkv = F.linear(F.rms_norm(x, (config.d,), weights[f"{i}.norm1"], config.eps), weights[f"{i}.qkv"])
        qk, v = qkv.view(-1, heads + 2 * kv_heads, head_dim).split([heads + kv_heads, kv_heads], 1)
        a, b = qk.chunk(2, -1)
        q, k = torch.cat((a * cos - b * sin, b * cos + a * sin), -1).split([heads, kv_heads], 1)
        x = x + F.linear(attend(i, q, k, v), weights[f"{i}.o"])
        inner = F.linear(F.rms_norm(x, (config.d,), weights[f"{i}.norm2"], config.eps), weights[f"{i}.gate_up"])
        gate, up = inner.chunk(2, -1)
        x = x + F.linear(F.silu(gate) * up, weights[f"{i}.down"])
    return F.rms_norm(x, (config.d,), weights["norm"], config.eps)


def causal_attention(config, q, k, v, documents):
    """Rows [D*T,.,dh] -> rows [D*T,H*dh], and the keys and values [D,Hk,T,dh]."""
    fold = lambda x: x.reshape(documents, -1, x.shape[1], config.head_dim).transpose(1, 2)
    q, k, v = fold(q), fold(k), fold(v)
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=config.heads != config.kv_heads)
    return out.transpose(1, 2).reshape(-1, config.q_rows), k, v


def two_part_attention(config, q, own, trunk, own_bias, trunk_bias):
    """
    Queries [D,B,L,H,dh] over keys of their own branch [D,Hk,B,C,dh] and of the trunk [D,Hk,T,dh] under one softmax. All branches
    (and all query heads of a key head) are rows of one matmul with the trunk. Biases: [L,C] and [D,1,1,B,1,T]. Gives [D*B*L,H*dh].
    """
    documents, branches, length = q.shape[:3]
    kv_heads, head_dim = config.kv_heads, config.head_dim
    share = config.heads // kv_heads
    q = q.reshape(documents, branches, length, kv_heads, share, head_dim).permute(0, 3, 4, 1, 2, 5)  # D,Hk,s,B,L,dh
    q = q * (1 / math.sqrt(head_dim))
    (k, v), (trunk_k, trunk_v) = own, trunk
    rows = documents, kv_heads, share * branches * length
    split = documents, kv_heads, share, branches, length
    far = (q.reshape(*rows, head_dim) @ trunk_k.mT).view(*split, -1) + trunk_bias
    near = q @ k[:, :, None].mT + own_bias
    p = torch.cat((far, near), -1).softmax(-1)
    far, near = p.split([trunk_k.shape[2], k.shape[3]], -1)
    out = near @ v[:, :, None] + (far.reshape(*rows, -1) @ trunk_v).view(*split, head_dim)
    return out.permute(0, 3, 4, 1, 2, 5).reshape(-1, config.q_rows)


def encode(config, weights, table, embedded, trunk, branches, anchors):
    """
    Embedded rows of trunk and branches, of shapes [D,T] and [D,B,L], in one pass: hidden states of the branches [D*B*L,d],
    caches of trunk and branches.
    """
    documents, length = trunk
    count, own = branches[1:]
    n = documents * length
    at = torch.cat((torch.arange(length).repeat(documents), (anchors[:, :, None] + torch.arange(own)).reshape(-1)))
    cos, sin = table[0][at][:, None], table[1][at][:, None]
    sees = torch.arange(length) < anchors[:, :, None]
    trunk_bias = torch.zeros(sees.shape).masked_fill(~sees, -torch.inf)[:, None, None, :, None]
    own_bias = torch.full((own, own), -torch.inf).triu(1)
    trunk_cache, branch_cache = [], []

    def attend(_, q, k, v):
        out, trunk_k, trunk_v = causal_attention(config, q[:n], k[:n], v[:n], documents)
        fold = lambda x: x[n:].view(documents, count, own, config.kv_heads, config.head_dim).permute(0, 3, 1, 2, 4)
        mine = fold(k), fold(v)
        trunk_cache.append((trunk_k, trunk_v))
        branch_cache.append(mine)
        queries = q[n:].view(documents, count, own, config.heads, config.head_dim)
        far = two_part_attention(config, queries, mine, (trunk_k, trunk_v), own_bias, trunk_bias)
        return torch.cat((out, far))

    hidden = layers(config, weights, embedded, cos, sin, attend)
    return hidden[n:], trunk_cache, branch_cache


# --- decoding -------------------------------------------------------------------------------------------------------------


def draw(weights, hidden, uniforms):
    """Inverse CDF: token and its log-probability."""
    probabilities = (hidden @ weights["embed"].mT).softmax(-1)
    cumulative = probabilities.cumsum(-1)
    token = torch.searchsorted(cumulative, uniforms[:, None] * cumulative[:, -1:], right=True)
    token = token.clamp(max=probabilities.shape[-1] - 1)
    return token[:, 0], probabilities.gather(1, token)[:, 0].log()


def decode_step(config, weights, table, trunk_cache, trunk_bias, caches, token, anchors, i, own_bias, uniforms):
    """One token on every branch; `own_bias` is [1,C] over the first C places of the caches, of which place i is written."""
    documents, branches = anchors.shape
    at = (anchors + i).reshape(-1)
    used = own_bias.shape[1]

    def attend(layer, q, k, v):
        cache_k, cache_v = caches[layer]
        fold = lambda x: x.reshape(documents, branches, 1, config.kv_heads, config.head_dim).permute(0, 3, 1, 2, 4)
        cache_k.index_copy_(3, i, fold(k))
        cache_v.index_copy_(3, i, fold(v))
        queries = q.reshape(documents, branches, 1, config.heads, config.head_dim)
        own = cache_k[:, :, :, :used], cache_v[:, :, :, :used]
        return two_part_attention(config, queries, own, trunk_cache[layer], own_bias, trunk_bias)

    cos, sin = table[0][at][:, None], table[1][at][:, None]
    hidden = layers(config, weights, F.embedding(token, weights["embed"]), cos, sin, attend)
    return draw(weights, hidden, uniforms)


def generate(config, weights, table, work, group, step, whole):
    """Completions [D,B,L] with log-probabilities. `whole`: caches are read at full length, so that a compiled step has one shape."""
    trunk, anchors, tail, uniforms = work["trunk"], work["anchors"], work["tail"], work["uniforms"]
    documents, positions = anchors.shape
    tokens, rows = uniforms.shape
    tails = tail.view(1, 1, 1).expand(documents, positions, 1)
    embedded = weights["embed"][torch.cat((trunk.reshape(-1), tails.reshape(-1)))]
    hidden, trunk_cache, branch_cache = encode(config, weights, table, embedded, trunk.shape, tails.shape, anchors)
    spread = lambda x: F.pad(x.repeat_interleave(group, 2), (0, 0, 0, tokens - 1))
    caches = [(spread(k), spread(v)) for k, v in branch_cache]
    trunk_cache = [(k.contiguous(), v.contiguous()) for k, v in trunk_cache]
    anchors = anchors.repeat_interleave(group, 1)
    sees = torch.arange(trunk.shape[1]) < anchors[:, :, None]
    trunk_bias = torch.zeros(sees.shape).masked_fill(~sees, -torch.inf)[:, None, None, :, None]

    drawn, logprobs = torch.empty((tokens, rows), dtype=torch.long), torch.empty((tokens, rows))
    drawn[0], logprobs[0] = draw(weights, hidden.repeat_interleave(group, 0), uniforms[0])
    places = torch.arange(tokens)
    for n in range(1, tokens):
        own_bias = torch.zeros(1, tokens if whole else n + 1)
        own_bias[:, n + 1 :] = -torch.inf
        drawn[n], logprobs[n] = step(
            config, weights, table, trunk_cache, trunk_bias, caches, drawn[n - 1], anchors, places[n : n + 1], own_bias, uniforms[n]
        )  # fmt: skip
    shape = documents, positions * group, tokens
    return drawn.T.reshape(shape), logprobs.T.reshape(shape)


# --- learning -------------------------------------------------------------------------------------------------------------


def policy_terms(logprobs, behaviour, advantages, count, low=0.2, high=0.28):
    """Clipped policy loss per token, divided by the tokens of the step, and its derivative in the log-probabilities."""
    ratio = (logprobs - behaviour).exp()
    free, limited = ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages
    return -torch.minimum(free, limited) / count, torch.where(limited < free, 0.0, -free / count)


class PolicyHead:
    """
    Hidden states [n,d] and vocabulary projection -> policy loss, its gradient in the hidden states, and that in the projection added to
    `gradient`. The derivative in a log-probability is known as soon as that is, so all come from one pass over chunks of rows,
    in place in one buffer: the logits of a batch never exist at once.
    """

    def __init__(self, chunk, vocab):
        self.buffer = torch.empty(chunk, vocab)

    @torch.no_grad()
    def __call__(self, hidden, projection, gradient, ids, behaviour, advantages):
        loss, d_hidden = 0.0, torch.empty_like(hidden)
        for rows in torch.arange(hidden.shape[0]).split(self.buffer.shape[0]):
            rows = slice(rows[0].item(), rows[-1].item() + 1)
            x, own = hidden[rows], ids[rows, None]
            logits = torch.mm(x, projection.mT, out=self.buffer[: x.shape[0]])
            top = logits.amax(-1, keepdim=True)
            chosen = logits.gather(1, own) - top
            sums = logits.sub_(top).exp_().sum(-1, keepdim=True)
            terms, slope = policy_terms(chosen - sums.log(), behaviour[rows, None], advantages[rows, None], ids.numel())
            loss += terms.sum().item()
            d_logits = logits.mul_(-slope / sums).scatter_add_(1, own, slope)
            torch.mm(d_logits, projection, out=d_hidden[rows])
            gradient.addmm_(d_logits.mT, x)
        return loss, d_hidden


def branch_states(config, weights, table, work, tokens, embedded):
    """Hidden states that predict the drawn tokens [D,B,L], from embedded rows of trunk and branches."""
    documents, branches, _ = tokens.shape
    anchors = work["anchors"].repeat_interleave(branches // work["anchors"].shape[1], 1)
    return encode(config, weights, table, embedded, work["trunk"].shape, tokens.shape, anchors)[0]


def learn_policy(config, weights, table, work, tokens, behaviour, advantages, states, head):
    """Loss, with its gradients added to those of the weights. The embedding is read and written by rows, never as a whole."""
    tail = work["tail"].view(1, 1, 1).expand(*tokens.shape[:2], 1)
    given = torch.cat((tail, tokens[:, :, :-1]), 2)  # the last token predicts nothing
    read = torch.cat((work["trunk"].reshape(-1), given.reshape(-1)))
    embed = weights["embed"]
    embedded = embed.detach()[read].requires_grad_()
    hidden = states(config, weights, table, work, tokens, embedded)
    advantages = advantages[:, :, None].expand(tokens.shape).reshape(-1)
    loss, d_hidden = head(hidden, embed, embed.grad, tokens.reshape(-1), behaviour.reshape(-1), advantages)
    hidden.backward(d_hidden)
    embed.grad.index_add_(0, read, embedded.grad)
    return loss


def next_token_loss(config, weights, table, tokens):
    documents, length = tokens.shape
    at = torch.arange(length).repeat(documents)
    cos, sin = table[0][at][:, None], table[1][at][:, None]
    attend = lambda _, q, k, v: causal_attention(config, q, k, v, documents)[0]
    hidden = layers(config, weights, F.embedding(tokens.reshape(-1), weights["embed"]), cos, sin, attend)
    hidden = hidden.view(documents, length, -1)[:, :-1].reshape(-1, config.d)
    return F.cross_entropy(hidden @ weights["embed"].mT, tokens[:, 1:].reshape(-1))


# --- workloads ------------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self):
        self.phases = {}

    def time(self, name, f):
        began = time.perf_counter()
        result = f()
        self.phases.setdefault(name, []).append(time.perf_counter() - began)
        return result


def random_work(a, config, generator):
    uniform = lambda *shape: torch.rand(*shape, generator=generator)
    spread = [a.context - (a.positions - 1 - k) * a.context // (2 * a.positions) for k in range(a.positions)]
    rows = a.documents * a.positions * a.group
    return {
        "trunk": torch.randint(3, config.vocab, (a.documents, a.context), generator=generator),
        "anchors": torch.tensor(spread).repeat(a.documents, 1),
        "tail": torch.tensor([1]),
        "uniforms": uniform(a.tokens, rows),
        "advantages": uniform(a.documents, a.positions * a.group) - 0.5,
    }


def given_work(path):
    with open(path) as file:
        return {name: torch.tensor(value) for name, value in json.load(file).items()}


def trainer(a, weights):
    leaves = [tensor.requires_grad_() for tensor in weights.values()]
    for leaf in leaves:
        leaf.grad = torch.zeros_like(leaf)
    optimizer = torch.optim.AdamW(leaves, lr=1e-5, betas=(0.9, 0.95), weight_decay=0.0, fused=True)

    def update():
        norm = torch.nn.utils.clip_grad_norm_(leaves, 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        return norm.item()

    return update


def compiled(a, f):
    return torch.compile(f, dynamic=False, mode=a.compile_mode) if a.compile else f


def step_workload(a, config, weights, clock):
    generator = torch.Generator().manual_seed(a.seed)
    table = rotary_table(config, a.context + a.tokens + 1)
    update = trainer(a, weights)
    decode = compiled(a, decode_step)
    states = compiled(a, branch_states)
    head = PolicyHead(a.chunk, config.vocab)
    given = given_work(a.work) if a.work else None
    out = {}
    for _ in range(a.warmup + a.steps):
        work = given or random_work(a, config, generator)
        documents, branches = work["advantages"].shape

        def sample():
            with torch.inference_mode():
                frozen = {name: tensor.detach() for name, tensor in weights.items()}
                group = branches // work["anchors"].shape[1]
                return generate(config, frozen, table, work, group, decode, bool(a.compile))

        def learn():
            return learn_policy(config, weights, table, work, tokens, behaviour, work["advantages"], states, head)

        if a.only != "train":
            tokens, behaviour = (x.clone() for x in clock.time("sample", sample))
        else:
            shape = documents, branches, a.tokens
            tokens, behaviour = torch.randint(3, config.vocab, shape, generator=generator), torch.full(shape, -10.0)
        if a.only != "decode":
            loss = clock.time("train", learn)
            norm = clock.time("optimizer", update)
            out = {"loss": loss, "gradNorm": norm}
        if a.emit:
            out |= {"tokens": tokens.flatten(0, 1).tolist(), "logprobs": behaviour.flatten(0, 1).tolist()}
    rows = documents * branches
    return out, {"rollouts": rows, "decodeTokens": rows * a.tokens, "trainTokens": documents * a.context + rows * a.tokens}


def train_workload(a, config, weights, clock):
    generator = torch.Generator().manual_seed(a.seed)
    table = rotary_table(config, a.length)
    update = trainer(a, weights)
    loss_of = compiled(a, next_token_loss)
    for _ in range(a.warmup + a.steps):
        tokens = torch.randint(0, config.vocab, (a.batch, a.length), generator=generator)

        def learn():
            loss = loss_of(config, weights, table, tokens)
            loss.backward()
            return loss.item()

        loss = clock.time("train", learn)
        clock.time("optimizer", update)
    return {"loss": loss}, {"trainTokens": a.batch * a.length}


def decode_workload(a, config, weights, clock):
    """Sequences that share nothing: a branch each, with an empty trunk."""
    generator = torch.Generator().manual_seed(a.seed)
    table = rotary_table(config, a.length + 2)
    decode = compiled(a, decode_step)
    work = {
        "trunk": torch.zeros((1, 1), dtype=torch.long),
        "anchors": torch.zeros((1, 1), dtype=torch.long),
        "tail": torch.tensor([1]),
        "uniforms": torch.rand(a.length, a.batch, generator=generator),
    }
    with torch.inference_mode():
        for _ in range(a.warmup + a.steps):
            clock.time("sample", lambda: generate(config, weights, table, work, a.batch, decode, bool(a.compile)))
    return {}, {"rollouts": a.batch, "decodeTokens": a.batch * a.length}


def matmul_ceiling(size=1024, repeats=20):
    """GFLOP/s of a square float32 matmul: the fastest of several."""
    x, y = torch.rand(size, size), torch.rand(size, size)
    seconds = []
    with torch.inference_mode():
        for _ in range(repeats):
            began = time.perf_counter()
            x @ y
            seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds) / 1e9


def keep_memory():
    """glibc gives large blocks back to the system at once and pays for every page again: tell it to keep them."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
    except (OSError, AttributeError):
        pass


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--workload", choices=["step", "train", "decode", "ceiling"], default="step")
    p.add_argument("--model", help="Hugging Face directory of a Llama; without it a new model of the sizes below")
    for name, size in (("layers", 4), ("d", 256), ("heads", 8), ("ffn", 768), ("vocab", 1024)):
        p.add_argument(f"--{name}", type=int, default=size)
    p.add_argument("--kv-heads", type=int, default=0, help="as many as --heads")
    for name, size in (("documents", 2), ("positions", 4), ("group", 8), ("context", 192), ("tokens", 32)):
        p.add_argument(f"--{name}", type=int, default=size)
    p.add_argument("--batch", type=int, help="sequences of --workload train (32), decode (64)")
    p.add_argument("--length", type=int, help="tokens of each: train (128), decode (64)")
    p.add_argument("--steps", type=int, default=5, help="measured, after --warmup")
    p.add_argument("--warmup", type=int, default=2)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--compile", action="store_true", help="torch.compile of the decoding step and of the loss")
    p.add_argument("--compile-mode", default="default")
    p.add_argument("--only", choices=["train", "decode"])
    p.add_argument("--chunk", type=int, default=256, help="rows whose logits exist at a time")
    p.add_argument("--work", help="JSON with trunk, anchors, tail, uniforms, advantages, in place of random ones")
    p.add_argument("--emit", action="store_true", help="drawn tokens and their log-probabilities in the output")
    a = p.parse_args()

    keep_memory()
    torch.set_num_threads(a.threads)
    if a.workload == "ceiling":
        print(json.dumps({"peer": "torch", "ceilingGflops": matmul_ceiling()}))
        return
    usual = {"train": (32, 128), "decode": (64, 64), "step": (0, 0)}[a.workload]
    a.batch, a.length = a.batch or usual[0], a.length or usual[1]
    if a.model:
        config, weights = load(a.model)
    else:
        config = Config(a.layers, a.d, a.heads, a.kv_heads or a.heads, a.ffn, a.vocab)
        weights = fresh(config, a.seed)

    clock = Clock()
    run = {"step": step_workload, "train": train_workload, "decode": decode_workload}[a.workload]
    out, counts = run(a, config, weights, clock)
    phases = {name: seconds[a.warmup :] for name, seconds in clock.phases.items()}
    steps = [sum(parts) for parts in zip(*phases.values())]
    median = statistics.median(steps)
    rate = lambda count, names: count / sum(statistics.median(phases[n]) for n in names if n in phases)
    print(json.dumps({
        "peer": "torch compile" if a.compile else "torch eager",
        "torch": torch.__version__,
        "threads": a.threads,
        "workload": a.workload,
        "stepSeconds": steps,
        "phases": phases,
        **({"rolloutsPerSecond": counts["rollouts"] / median} if "rollouts" in counts else {}),
        **({"decodeTokensPerSecond": rate(counts["decodeTokens"], ["sample"])} if "sample" in phases else {}),
        **({"trainTokensPerSecond": rate(counts["trainTokens"], ["train", "optimizer"])} if "train" in phases else {}),
        "ceilingGflops": matmul_ceiling(),
        "rssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        **out,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
