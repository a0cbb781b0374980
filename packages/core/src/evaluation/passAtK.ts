/**
 * pass@k: the chance that at least one of k samples is right, estimated without bias from n samples of which c are.
 *
 *   pass@k = 1 - C(n - c, k) / C(n, k) = 1 - Π_{i = n-c+1 .. n} (1 - k / i)
 *
 * Source: Chen et al., "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, equation 1.
 *
 * @throws RangeError unless 0 <= correct <= samples and 1 <= k <= samples, all whole
 */
export const passAtK = (samples: number, correct: number, k: number): number => {
  const whole = [samples, correct, k].every(Number.isInteger)
  if (!whole || correct < 0 || correct > samples || k < 1 || k > samples) {
    throw new RangeError(
      `pass@${k} of ${samples} samples, ${correct} right: needs 0 <= right <= samples, 1 <= k <= samples`
    )
  }
  // Fewer wrong samples than k: every draw of k holds a right one.
  if (samples - correct < k) return 1
  let allWrong = 1
  for (let i = samples - correct + 1; i <= samples; i++) allWrong *= 1 - k / i
  return 1 - allWrong
}
