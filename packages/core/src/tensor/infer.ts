import type { Op, PrimitiveParams } from "./Primitive.ts"
import type { TensorType } from "./HostTensor.ts"
import { isHalf, sizeOf } from "./HostTensor.ts"
import { broadcast, broadcastsTo, normalizeAxes, reduced, require, requireDType, sameShape, showType } from "./Shape.ts"

export type Infer<O extends Op> = (
  params: PrimitiveParams[O],
  inputs: ReadonlyArray<TensorType>
) => ReadonlyArray<TensorType>

const floatUnary = (_: unknown, [x]: ReadonlyArray<TensorType>) => {
  requireDType(x, "f32")
  return [x]
}

const numberUnary = (_: unknown, [x]: ReadonlyArray<TensorType>) => {
  requireDType(x, "f32", "i32")
  return [x]
}

const binary =
  (allowed: ReadonlyArray<TensorType["dtype"]>, result?: TensorType["dtype"]) =>
  (_: unknown, [a, b]: ReadonlyArray<TensorType>): ReadonlyArray<TensorType> => {
    requireDType(a, ...allowed)
    require(a.dtype === b.dtype, () => `mixes ${a.dtype} and ${b.dtype}; cast one of them`)
    return [{ dtype: result ?? a.dtype, shape: broadcast(a.shape, b.shape) }]
  }

const reduction = (params: PrimitiveParams["sum"], [x]: ReadonlyArray<TensorType>) => {
  requireDType(x, "f32", "i32")
  const axes = normalizeAxes(params.axes, x.shape.length)
  require(sameShape(axes, params.axes), () => `axes [${params.axes}] must be sorted and counted from the front`)
  return [{ dtype: x.dtype, shape: reduced(x.shape, axes, params.keepDims) }]
}

const lastAxisFloat = (_: unknown, [x]: ReadonlyArray<TensorType>) => {
  requireDType(x, "f32")
  require(x.shape.length >= 1, () => "wants at least one axis")
  return [x]
}

const requireFloats = (...types: ReadonlyArray<TensorType>): void => types.forEach((type) => requireDType(type, "f32"))

const requireExtents = (shape: ReadonlyArray<number>): void =>
  require(shape.every((extent) => Number.isInteger(extent) && extent >= 0), () => `[${shape}] is not a shape`)

/** Output types per primitive, or a ShapeProblem. */
export const infer: { readonly [O in Op]: Infer<O> } = {
  input: ({ type }) => {
    requireExtents(type.shape)
    return [type]
  },
  constant: ({ value: { dtype, shape } }) => [{ dtype, shape }],
  iota: ({ shape, axis }) => {
    requireExtents(shape)
    require(axis >= 0 && axis < shape.length, () => `axis ${axis} is not an axis of [${shape}]`)
    return [{ dtype: "i32", shape }]
  },

  neg: numberUnary,
  exp: floatUnary,
  log: floatUnary,
  sqrt: floatUnary,
  rsqrt: floatUnary,
  reciprocal: floatUnary,
  tanh: floatUnary,
  sigmoid: floatUnary,
  sin: floatUnary,
  cos: floatUnary,
  abs: numberUnary,
  not: (_, [x]) => {
    requireDType(x, "bool")
    return [x]
  },
  cast: ({ dtype }, [x]) => {
    require(!isHalf(dtype), () => `does not round to ${dtype}: it is for values that are kept`)
    require(!isHalf(x.dtype) || dtype === "f32", () => `widens ${x.dtype} to f32 only`)
    return [{ dtype, shape: x.shape }]
  },
  stopGradient: (_, [x]) => [x],

  add: binary(["f32", "i32"]),
  sub: binary(["f32", "i32"]),
  mul: binary(["f32", "i32"]),
  div: binary(["f32"]),
  maximum: binary(["f32", "i32"]),
  minimum: binary(["f32", "i32"]),
  less: binary(["f32", "i32"], "bool"),
  equal: binary(["f32", "i32"], "bool"),
  and: binary(["bool"]),
  or: binary(["bool"]),
  select: (_, [condition, a, b]) => {
    requireDType(condition, "bool")
    require(a.dtype === b.dtype, () => `mixes ${a.dtype} and ${b.dtype}; cast one of them`)
    return [{ dtype: a.dtype, shape: broadcast(condition.shape, broadcast(a.shape, b.shape)) }]
  },

  reshape: ({ shape }, [x]) => {
    requireExtents(shape)
    require(sizeOf(shape) === sizeOf(x.shape), () => `${sizeOf(x.shape)} elements do not fill [${shape}]`)
    return [{ dtype: x.dtype, shape }]
  },
  transpose: ({ permutation }, [x]) => {
    require(sameShape(
      permutation.toSorted((a, b) => a - b),
      x.shape.map((_, i) => i)
    ), () => `[${permutation}] does not permute ${x.shape.length} axes`)
    return [{ dtype: x.dtype, shape: permutation.map((axis) => x.shape[axis]) }]
  },
  broadcastTo: ({ shape }, [x]) => {
    requireExtents(shape)
    require(broadcastsTo(x.shape, shape), () => `does not broadcast to [${shape}]`)
    return [{ dtype: x.dtype, shape }]
  },
  slice: ({ starts, ends }, [x]) => {
    require(starts.length === x.shape.length &&
      ends.length === x.shape.length &&
      [...starts, ...ends].every(Number.isInteger) &&
      x.shape.every((extent, i) => 0 <= starts[i] && starts[i] <= ends[i] && ends[i] <= extent), () =>
      `[${starts}] to [${ends}] leaves the tensor`)
    return [{ dtype: x.dtype, shape: ends.map((end, i) => end - starts[i]) }]
  },
  pad: ({ low, high }, [x]) => {
    require(low.length === x.shape.length && high.length === x.shape.length, () => "wants a low and a high per axis")
    require([...low, ...high].every((n) => Number.isInteger(n) && n >= 0), () => "pads by whole numbers >= 0")
    return [{ dtype: x.dtype, shape: x.shape.map((extent, i) => low[i] + extent + high[i]) }]
  },
  concat: ({ axis }, inputs) => {
    const [first] = inputs
    require(first !== undefined && axis >= 0 && axis < first.shape.length, () =>
      `axis ${axis} is not an axis of its inputs`)
    require(inputs.every(
      ({ dtype, shape }) =>
        dtype === first.dtype &&
        shape.length === first.shape.length &&
        shape.every((extent, i) => i === axis || extent === first.shape[i])
    ), () => `wants equal dtypes and shapes but for axis ${axis}`)
    const extent = inputs.reduce((total, { shape }) => total + shape[axis], 0)
    return [{ dtype: first.dtype, shape: first.shape.map((e, i) => (i === axis ? extent : e)) }]
  },

  sum: reduction,
  max: (params, inputs) => {
    require(params.axes.every((axis) => inputs[0].shape[axis] > 0), () => "has no maximum over an empty axis")
    return reduction(params, inputs)
  },
  argmax: (_, [x]) => {
    requireDType(x, "f32")
    require(x.shape.length >= 1 && x.shape[x.shape.length - 1] > 0, () => "wants a last axis with elements")
    return [{ dtype: "i32", shape: x.shape.slice(0, -1) }]
  },
  cumsum: lastAxisFloat,
  topK: ({ k }, [x]) => {
    requireDType(x, "f32")
    require(x.shape.length >= 1 && Number.isInteger(k) && k >= 1 && k <= x.shape[x.shape.length - 1], () =>
      `cannot take ${k} of the last axis`)
    return [{ dtype: "f32", shape: [...x.shape.slice(0, -1), k] }]
  },

  matmul: ({ transposeA, transposeB }, [a, b]) => {
    requireFloats(a, b)
    require(a.shape.length >= 2 && b.shape.length >= 2, () => "wants matrices")
    const [m, ka] = transposeA ? a.shape.slice(-2).toReversed() : a.shape.slice(-2)
    const [kb, n] = transposeB ? b.shape.slice(-2).toReversed() : b.shape.slice(-2)
    require(ka === kb, () => `inner extents differ: ${ka} and ${kb}`)
    return [{ dtype: "f32", shape: [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n] }]
  },

  gather: (_, [table, ids]) => {
    requireDType(ids, "i32")
    require(table.shape.length >= 1, () => "wants a table with rows")
    return [{ dtype: table.dtype, shape: [...ids.shape, ...table.shape.slice(1)] }]
  },
  scatterAdd: ({ rows }, [ids, updates]) => {
    requireDType(ids, "i32")
    requireDType(updates, "f32")
    requireExtents([rows])
    require(sameShape(updates.shape.slice(0, ids.shape.length), ids.shape), () =>
      "updates must begin with the shape of ids")
    return [{ dtype: "f32", shape: [rows, ...updates.shape.slice(ids.shape.length)] }]
  },
  pick: (_, [x, ids]) => {
    requireDType(ids, "i32")
    require(x.shape.length >= 1 && sameShape(x.shape.slice(0, -1), ids.shape), () => "wants one id per row")
    return [{ dtype: x.dtype, shape: ids.shape }]
  },
  updateAt: ({ axis }, [x, row, index]) => {
    requireDType(index, "i32")
    require(index.shape.length === 0, () => `wants one index, got ${showType(index)}`)
    require(axis >= 0 &&
      axis < x.shape.length &&
      row.dtype === x.dtype &&
      sameShape(row.shape, x.shape.with(axis, 1)), () => `wants a row of extent 1 at axis ${axis}`)
    return [x]
  },

  softmax: lastAxisFloat,
  logSoftmax: lastAxisFloat,
  rmsNorm: (_, [x, weight]) => {
    requireFloats(x, weight)
    require(weight.shape.length === 1 && weight.shape[0] === x.shape.at(-1), () => "wants one weight per last extent")
    return [x]
  },
  rotary: (_, [x, cos, sin]) => {
    requireFloats(x, cos, sin)
    const width = x.shape.at(-1) ?? 0
    require(width % 2 === 0 && width > 0, () => `wants an even last extent, got ${width}`)
    const half = [...x.shape.slice(0, -1), width / 2]
    require(broadcastsTo(cos.shape, half) && cos.shape.at(-1) === width / 2 && sameShape(cos.shape, sin.shape), () =>
      `wants cos and sin for [${half}]`)
    return [x]
  },
  keep: floatUnary,
  swiglu: (_, [gate, up]) => {
    requireFloats(gate, up)
    require(sameShape(gate.shape, up.shape), () => "wants equal shapes")
    return [gate]
  },
  selectedLogProb: ({ chunk }, [hidden, vocabulary, ids]) => {
    requireFloats(hidden, vocabulary)
    requireDType(ids, "i32")
    require(Number.isInteger(chunk) && chunk >= 1, () => `chunk ${chunk} must be a whole number >= 1`)
    require(hidden.shape.length === 2 &&
      vocabulary.shape.length === 2 &&
      hidden.shape[1] === vocabulary.shape[1] &&
      sameShape(ids.shape, [hidden.shape[0]]), () => "wants hidden [n,d], vocabulary [v,d], ids [n]")
    return [{ dtype: "f32", shape: ids.shape }]
  },
  attention: (_, inputs) => {
    const [q, ...rest] = inputs
    requireFloats(q)
    require(q.shape.length === 5 && rest.length > 0 && rest.length % 3 === 0, () =>
      "wants q [D,H,B,L,dh], and k, v and mask of one set of keys or more")
    const [D, H, B, L, width] = q.shape
    for (let i = 0; i < rest.length; i += 3) {
      const [k, v, mask] = rest.slice(i, i + 3)
      requireFloats(k, v)
      require(k.shape.length === 5 || k.shape.length === 4, () => "wants k [D,Hk,B,C,dh] or, of a trunk, [D,Hk,C,dh]")
      const [Hk, C] = [k.shape[1], k.shape[k.shape.length - 2]]
      require(Hk > 0 && H % Hk === 0, () => `${H} query heads do not share ${Hk} key heads`)
      const wanted = k.shape.length === 5 ? [D, Hk, B, C, width] : [D, Hk, C, width]
      require(sameShape(k.shape, wanted) && sameShape(v.shape, k.shape), () => "keys and values do not fit the queries")
      requireDType(mask, "bool")
      require(mask.shape.length === 5 && broadcastsTo(mask.shape, [D, H, B, L, C]), () =>
        `the mask must broadcast to [${[D, H, B, L, C]}]`)
    }
    return [q]
  },

  loop: ({ body, carried, maxSteps }, inputs) => {
    require(Number.isInteger(maxSteps) && maxSteps >= 0, () => `maxSteps ${maxSteps} must be a whole number >= 0`)
    const wants = body.inputs.map((tensor) => tensor.type)
    const gives = body.outputs.map((tensor) => tensor.type)
    const same = (a: ReadonlyArray<TensorType>, b: ReadonlyArray<TensorType>) =>
      a.map(showType).join() === b.map(showType).join()
    require(same(wants, [{ dtype: "i32", shape: [] }, ...inputs]), () => `the body wants (${wants.map(showType)})`)
    require(same(gives, [{ dtype: "bool", shape: [] }, ...inputs.slice(0, carried)]), () =>
      `the body gives (${gives.map(showType)})`)
    return inputs.slice(0, carried)
  }
}
