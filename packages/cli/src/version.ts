import { createRequire } from "node:module"

/** Of this package, and so of Foretoken. */
export const { version }: { readonly version: string } = createRequire(import.meta.url)("../package.json")
