import type { Fetch, Graph, TensorType } from "@foretoken/core"
import { showType } from "@foretoken/core"

/** What is wrong with the way outputs are to be fetched. */
export const fetchProblem = ({ inputs, outputs }: Graph, fetch: ReadonlyArray<Fetch>): string | undefined => {
  if (fetch.length !== outputs.length) return `${outputs.length} outputs, and ${fetch.length} ways to fetch them`
  const donors = fetch.flatMap((into) => (typeof into === "object" ? [into.donate] : []))
  if (new Set(donors).size < donors.length) return `two outputs are to be written into the same input`
  const misfit = fetch.findIndex(
    (into, i) =>
      typeof into === "object" && !(into.donate in inputs && sameType(inputs[into.donate].type, outputs[i].type))
  )
  if (misfit === -1) return undefined
  return `output ${misfit} is ${showType(outputs[misfit].type)}, and the input it is to be written into is not`
}

const sameType = (a: TensorType, b: TensorType): boolean => showType(a) === showType(b)
