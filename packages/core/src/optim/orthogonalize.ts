import type { Tensor } from "../tensor/Tensor.ts"
import { newtonSchulz } from "../routine/muon.ts"

/**
 * Newton-Schulz: the matrix [rows, columns] with its singular values pulled near 1 (muon.ts has formula and source).
 * Works on the flatter side, so the inner products are the small ones.
 */
export const orthogonalize = (matrix: Tensor): Tensor => {
  const [rows, columns] = matrix.shape
  const [a, b, c] = newtonSchulz.coefficients
  const wide = rows > columns ? matrix.transpose() : matrix
  let x = wide.div(wide.square().sum().sqrt().add(newtonSchulz.eps))
  for (let step = 0; step < newtonSchulz.steps; step++) {
    const inner = x.matmul(x, { transposeB: true })
    x = x.mul(a).add(inner.mul(b).add(inner.matmul(inner).mul(c)).matmul(x))
  }
  return rows > columns ? x.transpose() : x
}
