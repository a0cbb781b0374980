import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { inProcess } from "./foretoken.ts"
import { underWay } from "./interrupted.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-two-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const small = "--model preset:nano --corpus dials --min-entropy 0 --max-tokens 6 --group 2 --documents 1 --positions 1"
const objectives = { rpt: small, ntp: "--model preset:nano --corpus dials --objective ntp --documents 1" }
const ofARun = (objective: string) =>
  [
    ...(objective === "rpt" ? ["ledger", "samples.jsonl"] : []),
    "checkpoints",
    "lock",
    "manifest.json",
    "metrics.jsonl"
  ].toSorted()

for (const [objective, flags] of Object.entries(objectives)) {
  describe(`two processes at one run (${objective})`, () => {
    it("that begin it at the same time are one that does and one that is refused and touches nothing", async () => {
      const run = join(root, `began-${objective}`)
      const args = `train ${flags} --steps 8 --run ${run}`.split(" ")
      const both = await Promise.all([inProcess(args), inProcess(args)])
      expect(both.map(({ code }) => code).toSorted()).toEqual([0, 1])
      expect(both.map(({ stderr }) => stderr).toSorted()).toEqual([
        "",
        `foretoken: ${run}: already holds something; a run is never overwritten, choose another directory\n`
      ])
      expect(readdirSync(run).toSorted()).toEqual(ofARun(objective))
      expect((await inProcess(["resume", run])).stdout).toMatch(/had ended before, at step 8: all steps are made/)
    }, 60_000)

    it("of which one would go on with what the other is at: it is refused, and the other is not disturbed", async () => {
      const run = join(root, `under-way-${objective}`)
      const other = await underWay(run, `${flags} --steps 100000 --checkpoint-every 100000`)
      const { code, stderr } = await inProcess(["resume", run])
      expect(stderr).toBe(`foretoken: ${run}: another process is at this run; two at once would ruin it\n`)
      expect(code).toBe(1)
      other.kill("SIGKILL")
      await other.ended
    }, 60_000)
  })
}
