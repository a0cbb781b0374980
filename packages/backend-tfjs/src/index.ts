export { type Probe, Tfjs, type TfjsDevice, type TfjsOptions } from "./Tfjs.ts"
