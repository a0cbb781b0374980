export { nameOfSnapshot } from "./cache.ts"
export { HubError } from "./HubError.ts"
export { modelPath, type ModelPathOptions } from "./modelPath.ts"
