import { Argument, Command, Flag } from "effect/cli"
import { makeCommand } from "../command.ts"
import * as flags from "../flags.ts"

const score = makeCommand({
  name: "score",
  description:
    "Verdicts of a reward on given completions. A line of the file is { continuation: [hex bytes of each true token], " +
    "completion: text or { hex } }. The JSON is { verdicts: [{ outcome, prediction, value }] }; outcome is answered, " +
    "empty, truncated, no-box or malformed; a prediction that is no UTF-8 also has its hex; value is null where the " +
    "reward could not score it, and unscorable says why.",
  flags: {
    cases: Argument.String("cases.jsonl").pipe(Argument.withDescription("one case a line")),
    reward: flags.reward,
    template: flags.builtinTemplate
  },
  examples: [
    { command: "foretoken reward score cases.jsonl --reward prefixMatch --json", description: "The paper's reward" }
  ],
  load: () => import("../actions/rewardScore.ts")
})

const check = makeCommand({
  name: "check",
  description:
    "Looks for what is wrong with a reward before it trains anything: the laws, and a search for exploits on a text. Ends " +
    "with exit code 1 where a law is broken or wrong answers earn more than honest guessing. The JSON is { reward, " +
    "certificate, laws: { runs, seed, passed, broken: [{ law, report }] }, search }; search has the scores of the best " +
    "honest guesser, of the truth and of the best paid wrong answers, and exploits with examples. The certificate is " +
    "written beside the reward, and goes into the manifest of runs that train with it.",
  flags: {
    reward: Argument.String("reward").pipe(
      Argument.withDescription("FILE.ts, whose default export is a reward, or a built-in reward by name")
    ),
    corpus: Flag.String("corpus").pipe(
      Flag.withMetavar("FILE|dials"),
      flags.usually("dials", "the text to search on: a .txt file, a .jsonl file, or the generated corpus")
    ),
    field: flags.field,
    model: flags.maybe(
      flags.modelFlag.pipe(
        Flag.withMetavar("DIR|FILE|ORG/NAME"),
        Flag.withDescription("whose tokenizer cuts the text into tokens (default: that of dials, for dials)")
      )
    ),
    template: flags.builtinTemplate,
    seed: flags.seed,
    cases: flags.whole("cases", 1).pipe(flags.usually(2000, "generated cases of each law")),
    positions: flags.whole("positions", 32).pipe(flags.usually(512, "places of the text that are asked")),
    mutations: flags.whole("mutations", 0).pipe(flags.usually(300, "mutated strategies that are tried")),
    maxTokens: flags.whole("max-tokens", 1).pipe(flags.usually(512, "tokens of the longest completion")),
    certificate: flags.maybe(
      Flag.String("certificate").pipe(
        Flag.withMetavar("PATH"),
        Flag.withDescription("where the certificate goes (default: beside FILE.ts; of a built-in reward: nowhere)")
      )
    )
  },
  examples: [
    { command: "foretoken reward check my-reward.ts", description: "On the generated corpus" },
    {
      command: "foretoken reward check prefixMatch --corpus gsm8k.jsonl --field answer --model DIR",
      description: "The paper's reward on real text"
    }
  ],
  load: () => import("../actions/rewardCheck.ts")
})

export const reward = Command.make("reward").pipe(
  Command.withDescription("Rewards: verdicts on given completions, and what is wrong with a reward."),
  Command.withShortDescription("Scores completions with a reward, and checks a reward"),
  Command.withSubcommands([score, check])
)
