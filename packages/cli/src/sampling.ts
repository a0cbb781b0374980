/** How tokens are drawn at a temperature: 0 takes the likeliest. */
export const samplingAt = (temperature: number) =>
  temperature === 0 ? ({ _tag: "greedy" } as const) : ({ _tag: "temperature", temperature } as const)
