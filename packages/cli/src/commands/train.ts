import { Flag } from "effect/cli"
import { makeCommand } from "../command.ts"
import * as flags from "../flags.ts"

const share = (name: string) => flags.number(name, (value) => value >= 0 && value <= 1, "a share from 0 to 1")

const problems = {
  minEntropy: flags.maybe(
    flags
      .number("min-entropy", (value) => value >= 0, "a number of nats, 0 or more")
      .pipe(Flag.withDescription("rpt: asks positions whose top-16 entropy is at least so many nats (default: 1)"))
  ),
  quantile: flags.maybe(
    share("quantile").pipe(
      Flag.withDescription("rpt: instead, positions at or above this quantile of their document's entropies")
    )
  ),
  minContext: flags.whole("min-context", 1).pipe(flags.usually(16, "rpt: tokens that must precede a position")),
  context: flags
    .whole("context", 2)
    .pipe(flags.usually(512, "tokens of a document read at a time; a longer one is cut")),
  positions: flags.whole("positions", 1).pipe(flags.usually(4, "rpt: positions asked of a document")),
  documents: flags.maybe(
    flags.whole("documents", 1).pipe(Flag.withDescription("documents of a step (default: 4; ntp and sft: 8)"))
  )
}

const sampling = {
  group: flags.whole("group", 2).pipe(flags.usually(8, "rpt: rollouts of a position")),
  temperature: flags.positive("temperature").pipe(flags.usually(0.8, "rpt: of sampling")),
  maxTokens: flags.whole("max-tokens", 1).pipe(flags.usually(64, "rpt: tokens of the longest completion")),
  template: flags.template,
  timeLimit: flags
    .whole("time-limit", 1)
    .pipe(
      flags.usually(3600, "seconds that a part may take for one message before it counts as stuck and is restarted")
    ),
  samplers: flags
    .whole("samplers", 1, 64)
    .pipe(flags.usually(1, "rpt: actors that sample side by side; never changes results"))
}

const learning = {
  lag: flags
    .whole("lag", 0, 4)
    .pipe(flags.usually(0, "rpt: steps that sampling is ahead of learning; from 1 on both go on side by side")),
  cap: flags
    .number("cap", (value) => value >= 1, "a number of at least 1")
    .pipe(flags.usually(2, "rpt with --lag: importance of a token counts up to this")),
  lr: flags.maybe(
    flags.positive("lr").pipe(Flag.withDescription("learning rate of AdamW (default: 1e-6; ntp 3e-4; sft 1e-5)"))
  ),
  warmup: flags.whole("warmup", 0).pipe(flags.usually(0, "steps in which the learning rate rises")),
  low: flags
    .number("low", (value) => value >= 0 && value < 1, "at least 0 and below 1")
    .pipe(flags.usually(0.2, "rpt without --lag: the ratio counts down to 1 - low")),
  high: flags.number("high", (value) => value >= 0, "0 or more").pipe(flags.usually(0.28, "rpt: and up to 1 + high")),
  advantage: Flag.Literals("advantage", ["grpo", "drGrpo", "rloo"]).pipe(
    flags.usually("grpo", "rpt: how much better than its group a rollout did")
  ),
  dynamicFrom: flags.maybe(
    flags
      .whole("dynamic-from", 0)
      .pipe(
        Flag.withDescription("rpt: from this step on, groups of equal rewards are replaced by others (default: never)")
      )
  )
}

const parameters = {
  loraRank: flags.maybe(
    flags
      .whole("lora-rank", 1)
      .pipe(
        Flag.withDescription(
          "trains adapters of this rank beside the projections, and nothing else; checkpoints hold them as PEFT does"
        )
      )
  ),
  loraAlpha: flags.maybe(
    flags
      .positive("lora-alpha")
      .pipe(Flag.withDescription("what adapters add counts alpha / rank times (default: twice the rank)"))
  ),
  loraTargets: flags
    .names("lora-targets")
    .pipe(
      Flag.withDescription("projections that get adapters, by the end of their names: q_proj,v_proj (default: all)")
    ),
  freeze: flags
    .names("freeze")
    .pipe(
      Flag.withDescription(
        "weights that are left alone, by names or their beginnings: model.embed_tokens,model.layers.0; * stands for anything"
      )
    ),
  storage: Flag.Literals("storage", flags.storages).pipe(
    flags.usually(
      "f32",
      "how weights are kept that --lora-rank or --freeze leave alone: file leaves F16 and BF16 in two bytes and widens them where " +
        "they are used, for the same result in less memory and more time"
    )
  )
}

const resources = {
  memory: flags.maybe(
    flags
      .bytes("memory")
      .pipe(
        Flag.withDescription(
          "rpt: the run is cut to fit: fewer documents at a time, then --recompute (default: told, and not bounded)"
        )
      )
  ),
  recompute: Flag.Boolean("recompute").pipe(
    Flag.withDescription(
      "computes layers a second time for the gradient instead of keeping them: less memory, more time"
    ),
    Flag.withDefault(false)
  )
}

const judging = {
  reward: flags.reward,
  certificate: flags.maybe(
    Flag.String("certificate").pipe(
      Flag.withMetavar("PATH"),
      Flag.withDescription(
        "rpt: what `foretoken reward check` wrote of this reward (default: beside FILE.ts, where it is there)"
      )
    )
  )
}

const traces = {
  completionField: Flag.String("completion-field").pipe(
    Flag.withMetavar("NAME"),
    flags.usually("completion", "sft: where a line of a .jsonl file has what is to be written after --field")
  ),
  noise: share("noise").pipe(flags.usually(0.05, "sft on dials: share of thought tokens that are wrong"))
}

export const train = makeCommand({
  name: "train",
  description:
    "Trains a model. rpt: reinforcement pre-training on plain text; ntp: next-token prediction; sft: completions that " +
    "are given (of dials: its worked examples). The JSON is { run, objective, backend, steps, ended, weightsHash, " +
    "checkpoint, best, seconds, metrics }; metrics are those of the last step. The run directory has manifest.json, " +
    "metrics.jsonl, samples.jsonl and checkpoints that load in transformers.",
  flags: {
    model: flags.modelFlag.pipe(
      Flag.withMetavar("DIR|FILE|ORG/NAME|preset:NAME"),
      Flag.withDescription(
        "a Hugging Face directory, a GGUF file, a llama2.c checkpoint, the name of a model on the hub, or preset:nano, " +
          "preset:micro, preset:small for new weights"
      )
    ),
    tokenizer: flags.maybe(
      Flag.String("tokenizer").pipe(
        Flag.withMetavar("DIR|FILE"),
        Flag.withDescription("where the tokenizer lies (default: with the model; of a preset: that of dials)")
      )
    ),
    corpus: flags.corpus,
    field: flags.field,
    objective: Flag.Literals("objective", ["rpt", "ntp", "sft"]).pipe(flags.usually("rpt", "what is learned")),
    steps: flags.whole("steps", 1).pipe(flags.usually(100, "updates")),
    seed: flags.seed,
    run: flags.maybe(
      Flag.String("run").pipe(
        Flag.withMetavar("DIR"),
        Flag.withDescription("a directory that does not exist yet (default: runs/, named after what is run)")
      )
    ),
    checkpointEvery: flags.maybe(
      flags
        .whole("checkpoint-every", 1)
        .pipe(
          Flag.withDescription(
            "a checkpoint every so many steps, beside the last: what `foretoken resume` goes on from (default: 20)"
          )
        )
    ),
    ...problems,
    ...sampling,
    ...learning,
    ...parameters,
    ...resources,
    ...judging,
    ...traces,
    ...flags.backend
  },
  examples: [
    {
      command: "foretoken train --model DIR --corpus gsm8k.jsonl --field answer --steps 200",
      description: "Reinforcement pre-training of a model on a text"
    },
    {
      command: "foretoken train --objective ntp --model preset:micro --corpus dials --steps 500",
      description: "A small model from random weights"
    }
  ],
  load: () => import("../actions/train.ts")
})
