export { type Probe, Tfjs, type TfjsDevice } from "./Tfjs.ts"
