export { startThread } from "./startThread.ts"
export type { BackendSource } from "./messages.ts"
