/** The size of a step of Reinforcement Pre-Training. */
export interface StepShape {
  readonly documents: number
  /** Anchors of a document */
  readonly positions: number
  /** Rollouts of an anchor */
  readonly group: number
  /** Tokens of a trunk; the last anchor stands at its end */
  readonly context: number
  /** Tokens of a rollout */
  readonly tokens: number
}

export const rolloutsOf = ({ documents, positions, group }: StepShape): number => documents * positions * group

/** Anchors spread over the second half of the trunk, as in the step that peers are measured with. */
export const anchorsOf = ({ positions, context }: StepShape): ReadonlyArray<number> =>
  Array.from({ length: positions }, (_, k) => context - Math.floor(((positions - 1 - k) * context) / (2 * positions)))
