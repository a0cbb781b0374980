export { Disk } from "./Disk.ts"
export type { DiskFile, DiskService, OpenMode } from "./Disk.ts"
export { StorageError } from "./StorageError.ts"
