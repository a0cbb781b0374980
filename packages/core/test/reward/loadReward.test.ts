import { createHash } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import type { Duration } from "effect"
import { Effect } from "effect"
import * as fc from "fast-check"
import * as Reward from "../../src/reward/index.ts"
import type { ParsedGroup } from "../../src/rl/Group.ts"
import { arbitraries } from "../../src/testing/index.ts"
import { temporaryDirectory } from "../temporary.ts"

const directory = temporaryDirectory()

const written = (name: string, source: string): string => {
  const path = join(directory, name)
  writeFileSync(path, source)
  return path
}

const group: ParsedGroup = fc
  .sample(arbitraries.parsedGroup(), { numRuns: 30, seed: 7 })
  .find(({ rollouts }) => rollouts.length > 2)!

const using = <A, E>(path: string, use: (loaded: Reward.LoadedReward) => Effect.Effect<A, E, Reward.Truth>) =>
  Effect.runPromise(
    Effect.scoped(Effect.flatMap(Reward.loadReward(path), use)).pipe(
      Effect.provideService(Reward.Truth, {
        afterThought: ({ rollouts }) => Effect.succeed(rollouts.map(() => -1)),
        baseline: () => Effect.succeed(-2)
      })
    )
  )

const verdictsOf = (path: string, settings?: Reward.JudgeSettings) =>
  using(path, ({ reward }) =>
    Effect.map(Reward.judge(reward, group, settings), ({ rollouts }) => rollouts.map(({ verdict }) => verdict))
  )

const problemOf = async (path: string, timeLimit: Duration.Input = "10 seconds"): Promise<string> => {
  const error = await Effect.runPromise(Effect.flip(Effect.scoped(Reward.loadReward(path, { timeLimit }))))
  expect(error.message).toBe(`${path}: ${error.problem}`)
  expect(error.message).not.toContain("\n")
  return error.problem
}

describe("a reward in a file", () => {
  test("may be a plain function, and is called by the name of its file", async () => {
    const source = `
      import type { } from "node:fs"
      type Rollout = { readonly rollout: { readonly bytes: Uint8Array } }
      export default ({ rollout }: Rollout, problem: { readonly anchor: number }): number =>
        rollout.bytes.length + problem.anchor
    `
    const path = written("longer.ts", source)
    const { reward, isolated, sourceHash } = await using(path, Effect.succeed)
    expect([reward.name, isolated]).toEqual(["longer", true])
    expect(reward.claims).toEqual(Reward.modest)
    expect(sourceHash).toBe(createHash("sha256").update(source).digest("hex"))
    expect(await verdictsOf(path)).toEqual(
      group.rollouts.map(({ rollout }) => {
        const value = rollout.bytes.length + group.problem.anchor
        return Reward.scored(value, { longer: value })
      })
    )
  })

  test("may be a Reward of the library, whose claims come with it", async () => {
    const path = written(
      "halved.ts",
      `import { Reward } from "@foretoken/core"
       export default Reward.weighted([0.5, Reward.prefixMatch])`
    )
    const { reward } = await using(path, Effect.succeed)
    expect(reward.claims).toEqual(Reward.weighted([0.5, Reward.prefixMatch]).claims)
    const here = await Effect.runPromise(Reward.judge(Reward.weighted([0.5, Reward.prefixMatch]), group))
    expect(await verdictsOf(path)).toEqual(here.rollouts.map(({ verdict }) => verdict))
  })

  test("stays in this thread where it asks a model", async () => {
    const path = written(
      "surprise.ts",
      `import type { Duration } from "effect"
import { Effect } from "effect"
       import { Reward } from "@foretoken/core"
       export default Reward.make(
         "surprise",
         (group) => Effect.gen(function* () {
           const truth = yield* Reward.Truth
           return (yield* truth.afterThought(group, 1)).map((value) => Reward.scored(value, {}))
         }),
         { needsModel: true }
       )`
    )
    expect(await using(path, ({ isolated }) => Effect.succeed(isolated))).toBe(false)
    expect(await verdictsOf(path)).toEqual(group.rollouts.map(() => Reward.scored(-1, {})))
  })

  test("that loops without an end is stopped at the time limit, and the next group finds it well again", async () => {
    const path = written(
      "loops.ts",
      `let asked = 0
       export default (rollout: unknown, problem: { readonly anchor: number }) => {
         if (problem.anchor < 0) for (;;);
         return ++asked
       }`
    )
    const bad = { ...group, problem: { ...group.problem, anchor: -1 } }
    const [before, stuck, after] = await using(path, ({ reward }) =>
      Effect.forEach([group, bad, group], (each) =>
        Effect.map(Reward.judge(reward, each, { timeLimit: "2 seconds" }), ({ rollouts }) =>
          rollouts.map(({ verdict }) => verdict)
        )
      )
    )
    expect(stuck).toEqual(stuck.map(() => Reward.unscorable("loops gave no answer within 2s", "timeout")))
    // The counter starts again: it is another thread.
    expect(after).toEqual(before)
    expect(after[0]).toEqual(Reward.scored(1, { loops: 1 }))
  })

  test("that ends its thread, or breaks it, is unscorable and is started again", async () => {
    const path = written(
      "leaves.ts",
      `export default (rollout: unknown, problem: { readonly anchor: number }) => {
         if (problem.anchor === -1) process.exit(3)
         if (problem.anchor === -2) setTimeout(() => { throw new Error("later") })
         return 1
       }`
    )
    const at = (anchor: number) => ({ ...group, problem: { ...group.problem, anchor } })
    const firsts = await using(path, ({ reward }) =>
      Effect.forEach([-1, 1, -2, 1].map(at), (each) =>
        Effect.map(Reward.judge(reward, each), ({ rollouts }) => rollouts[0].verdict).pipe(
          // The timer of the third has time to break the thread.
          Effect.tap(() => Effect.sleep("100 millis"))
        )
      )
    )
    const one = Reward.scored(1, { leaves: 1 })
    expect(firsts).toEqual([
      Reward.unscorable("leaves threw: it ended its thread with exit code 3", "threw"),
      one,
      one,
      one
    ])
  })

  test("that throws for a rollout says so, and NaN or nothing is no value", async () => {
    const path = written(
      "fails.mjs",
      `export default ({ rollout }) => {
         if (rollout.index === 0) throw new Error("no\\n  luck")
         return rollout.index === 1 ? undefined : NaN
       }`
    )
    const [threw, nothing, nan] = await verdictsOf(path)
    expect(threw).toEqual(Reward.unscorable("fails threw: no luck", "threw"))
    expect(nothing).toEqual(Reward.unscorable("fails gave undefined, which is no finite number", "not-a-number"))
    expect(nan).toEqual(Reward.unscorable("fails gave NaN, which is no finite number", "not-a-number"))
  })

  test("that gives none is refused in one line that says what is wrong", async () => {
    const right =
      "`export default` a reward (Reward.pure, Reward.make, a combination) or a function (rollout, problem) => number"
    mkdirSync(join(directory, "folder.ts"))
    const cases: ReadonlyArray<readonly [path: string, problem: string | RegExp]> = [
      [join(directory, "nowhere.ts"), "there is no such file"],
      [join(directory, "folder.ts"), "a module was expected, not a directory"],
      [written("reward.py", "def reward(): pass"), "a module was expected, a file that ends in .ts, .mts, .js, .mjs"],
      [written("named.ts", "export const reward = () => 1"), `it has no default export; ${right}`],
      [written("text.ts", 'export default "prefixMatch"'), `its default export is the string "prefixMatch"; ${right}`],
      [written("half.ts", 'export default { name: "half" }'), `its default export is an object of name; ${right}`],
      [
        written("claims.ts", 'export default { name: "c", score: () => 1, claims: { bounds: { low: 2, high: 1 } } }'),
        "its claims cannot hold: the bounds [2, 1] hold no number"
      ],
      [written("syntax.ts", "const a = 1\nexport default () => {\n  return 1 +\n}\n"), "line 4: Expression expected"],
      [
        written("import.ts", 'import x from "not-there"\nexport default x'),
        /^an import of it is not there: .*not-there/
      ],
      [written("throws.mjs", '\nthrow new Error("at once")'), "line 2: it throws while it is loaded: at once"]
    ]
    for (const [path, problem] of cases) {
      if (typeof problem === "string") expect(await problemOf(path)).toBe(problem)
      else expect(await problemOf(path)).toMatch(problem)
    }
    expect(await problemOf(written("hangs.mjs", "for (;;);"), "1 second")).toBe("it did not load within 1s")
  })
})
