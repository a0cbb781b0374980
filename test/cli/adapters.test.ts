import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { inProcess } from "./foretoken.ts"
import { saveTinyModel } from "./tinyModel.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-adapters-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const base = join(root, "base")
beforeAll(() => saveTinyModel(base))

const json = async (line: string) => {
  const { code, stdout, stderr } = await inProcess([...line.split(" "), "--json"])
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
  return JSON.parse(stdout)
}
const refusal = async (line: string) => {
  const { code, stderr } = await inProcess(line.split(" "))
  expect(code).not.toBe(0)
  return stderr.trimEnd()
}

describe("foretoken train --lora-rank", () => {
  const train = (flags: string) =>
    json(`train --model ${base} --corpus dials --objective sft --steps 12 --lr 0.02 --documents 2 ${flags}`)

  it("trains adapters that score, merge, and go on being trained", async () => {
    const { checkpoint } = await train(`--lora-rank 4 --run ${join(root, "first")}`)
    expect(readdirSync(checkpoint)).toContain("adapter_model.safetensors")
    const score = (model: string) => json(`score --model ${model} --ids 1,5,9,30,2,17,8,39`)
    const out = join(root, "merged")
    await json(`convert ${checkpoint} ${out}`)
    expect(readFileSync(join(checkpoint, "README.md"), "utf8")).toContain("library_name: peft")
    expect(readFileSync(join(out, "README.md"), "utf8")).toContain("library_name: transformers")
    const [bare, apart, together] = [await score(base), await score(checkpoint), await score(out)]
    expect(Math.abs(apart.nll - bare.nll)).toBeGreaterThan(1e-3)
    expect(Math.abs(apart.nll - together.nll)).toBeLessThan(1e-5)
    const { checkpoint: later } = await json(
      `train --model ${checkpoint} --corpus dials --objective ntp --steps 1 --documents 2 --freeze model.layers.0 --run ${join(root, "later")}`
    )
    expect(readdirSync(later)).toContain("adapter_model.safetensors")
  })

  it("goes on where the base model was moved to, to the same weights, and names it from then on", async () => {
    const [here, there, run] = ["here", "there", "moved"].map((name) => join(root, name))
    await saveTinyModel(here, 2)
    const { checkpoint, weightsHash } = await json(
      `train --model ${here} --corpus dials --objective sft --steps 4 --lr 0.02 --documents 2 --lora-rank 2 --checkpoint-every 2 --run ${run}`
    )
    rmSync(checkpoint, { recursive: true })
    renameSync(here, there)
    expect(await refusal(`resume ${run}`)).toBe(`foretoken: ${here}/config.json: no such file or directory`)
    // Other weights of the same shape.
    expect(await refusal(`resume ${run} --model ${base}`)).toContain("cannot go on as it began")
    const again = await json(`resume ${run} --model ${there}`)
    expect(again).toMatchObject({ from: 2, steps: 4, weightsHash })
    const { base_model_name_or_path: named } = JSON.parse(
      readFileSync(join(again.checkpoint, "adapter_config.json"), "utf8")
    )
    expect(named).toBe(there)
  })

  it("says in a line what does not fit", async () => {
    const line = `train --model ${base} --corpus dials --objective sft --steps 1`
    expect(await refusal(`${line} --lora-alpha 3`)).toBe(
      "foretoken: --lora-alpha and --lora-targets are of adapters; --lora-rank asks for them"
    )
    expect(await refusal(`${line} --lora-rank 2 --lora-targets q_proj,query`)).toContain(
      'no projection of this model is called "query"; it has q_proj'
    )
    expect(await refusal(`${line} --freeze model.layer`)).toContain('no weight of this model is called "model.layer"')
  })
})
