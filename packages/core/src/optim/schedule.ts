/**
 * The learning rate of each update, t = 1, 2, ...:
 *
 *   t <= warmup           peak t / warmup                    (the first update already moves; the last of them has the peak)
 *   constant              peak
 *   cosine                floor + (peak - floor) (1 + cos(pi (t - warmup) / (steps - warmup))) / 2,    floor = floorShare peak
 *   cosine, t >= steps    floor
 *
 * Source of the cosine: Loshchilov and Hutter, "SGDR", arXiv 1608.03983, equation 5, without restarts.
 */
export interface Schedule {
  /** Largest learning rate. */
  readonly peak: number
  /** Updates of linear warm-up; 0 for none. */
  readonly warmup: number
  readonly decay:
    | { readonly _tag: "constant" }
    /** Falls until update `steps` to `floorShare` (0 to 1) of the peak and stays there. */
    | { readonly _tag: "cosine"; readonly steps: number; readonly floorShare: number }
}

export const constant = (peak: number, warmup: number = 0): Schedule => ({ peak, warmup, decay: { _tag: "constant" } })

export const cosine = (
  peak: number,
  {
    steps,
    warmup = 0,
    floorShare = 0
  }: { readonly steps: number; readonly warmup?: number; readonly floorShare?: number }
): Schedule => ({ peak, warmup, decay: { _tag: "cosine", steps, floorShare } })

/** The learning rate of update `step`, counted from 1. */
export const learningRate = ({ peak, warmup, decay }: Schedule, step: number): number => {
  if (step < warmup) return (peak * step) / warmup
  if (decay._tag === "constant") return peak
  const floor = decay.floorShare * peak
  if (step >= decay.steps) return floor
  const progress = (step - warmup) / (decay.steps - warmup)
  return floor + ((peak - floor) * (1 + Math.cos(Math.PI * progress))) / 2
}
