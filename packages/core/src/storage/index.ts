export { StorageError } from "./StorageError.ts"
