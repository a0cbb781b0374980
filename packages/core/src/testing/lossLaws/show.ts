import { type LossCase, padToken } from "../arbitraries/batch.ts"
import { countsOf, type Evaluation } from "./evaluate.ts"

/** A batch row by row: advantage, token ids, what sampler and current policy say of them, and the gradient of the loss. */
export const showLossCase = (groups: LossCase, { value, gradient }: Evaluation): string => {
  const { tokens, rollouts } = countsOf(groups)
  const list = (numbers: ReadonlyArray<number>) =>
    numbers.length === 0 ? "(no tokens)" : numbers.map((x) => String(Number(x.toPrecision(5)))).join(", ")
  const line = (label: string, content: string) => `${label.padEnd(11)} ${content}`
  return [
    line("batch", `${rollouts} rollouts, ${tokens} completion tokens; rows are padded with token ${padToken}`),
    line("loss", String(value)),
    ...groups.flatMap((rows, d) =>
      rows.flatMap(({ advantage, tokens }, b) => [
        "",
        line(`rollout ${d}.${b}`, `advantage ${advantage}`),
        line("tokens", list(tokens.map(({ id }) => id))),
        line("log q", list(tokens.map(({ behaviour }) => behaviour))),
        line("log p", list(tokens.map(({ behaviour, change }) => behaviour + change))),
        line("gradient", list(gradient[d][b]))
      ])
    )
  ].join("\n")
}
