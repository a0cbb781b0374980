import type { DType, HostTensor, Shape, TensorType } from "@foretoken/core"
import { sizeOf } from "@foretoken/core"
import type { Device } from "../Device.ts"
import type { AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto } from "../onnxProto.ts"
import { dataType } from "../onnxProto.ts"

/** What all graphs of a model share: constants live in the outermost one, names are unique in the whole model. */
interface Model {
  readonly device: Device
  readonly initializers: Array<TensorProto>
  readonly integers: Map<string, string>
  names: number
}

interface NodeOptions {
  readonly attributes?: ReadonlyArray<AttributeProto>
  /** Left out: the operators of ONNX itself. */
  readonly domain?: string
}

/** Collects the nodes of one ONNX graph. Values are known by their names. */
export class Emitter {
  readonly #model: Model
  readonly #nodes: Array<NodeProto> = []
  readonly #first: Array<NodeProto> = []
  readonly #produced = new Set<string>()

  private constructor(model: Model) {
    this.#model = model
  }

  static forDevice(device: Device): Emitter {
    return new Emitter({ device, initializers: [], integers: new Map(), names: 0 })
  }

  /** For a graph inside this one (the body of a loop), which sees everything out here. */
  inner(): Emitter {
    return new Emitter(this.#model)
  }

  /** What the model will run on: kernels differ. */
  get device(): Device {
    return this.#model.device
  }

  fresh(): string {
    return `v${this.#model.names++}`
  }

  /**
   * A node that comes first in its graph, for what reads nothing but what is given from outside. onnxruntime runs a node once
   * something reads it, the later one of the graph before the earlier: a value that is made late then lives shortly.
   */
  nodeBeforeAll(opType: string, inputs: ReadonlyArray<string>, attributes: ReadonlyArray<AttributeProto>): string {
    const [output] = this.nodes(opType, inputs, 1, { attributes })
    const node = this.#nodes.pop()
    if (node !== undefined) this.#first.push(node)
    return output
  }

  /** Whether a value is an output of a node that may stand anywhere in this graph. */
  isMadeHere(name: string): boolean {
    return this.#produced.has(name)
  }

  /** Appends a node with one output. */
  node(opType: string, inputs: ReadonlyArray<string>, options: NodeOptions = {}): string {
    return this.nodes(opType, inputs, 1, options)[0]
  }

  /** Appends a node with several outputs. */
  nodes(
    opType: string,
    input: ReadonlyArray<string>,
    count: number,
    { attributes = [], domain = "" }: NodeOptions = {}
  ): ReadonlyArray<string> {
    const output = Array.from({ length: count }, () => this.fresh())
    this.#nodes.push({ opType, domain, name: `${opType}.${output[0]}`, input, output, attribute: attributes })
    for (const name of output) this.#produced.add(name)
    return output
  }

  constant({ dtype, shape, data }: HostTensor): string {
    return this.#initializer(dataType[dtype], shape, data)
  }

  /** A tensor of one value, made at run time so that the model stays small. */
  filled(dtype: DType, shape: Shape, value: number): string {
    const scalar =
      dtype === "f32" ? Float32Array.of(value) : dtype === "i32" ? Int32Array.of(value) : Uint8Array.of(value)
    return this.expand(this.#initializer(dataType[dtype], [], scalar), shape)
  }

  expand(x: string, shape: Shape): string {
    return this.node("Expand", [x, this.int64s(shape)])
  }

  /** Shapes, axes and the like: i64, one axis. */
  int64s(values: ReadonlyArray<number>): string {
    return this.int64Tensor([values.length], values)
  }

  int64Tensor(shape: Shape, values: ReadonlyArray<number>): string {
    const key = `${shape}:${values}`
    const known = this.#model.integers.get(key)
    if (known !== undefined) return known
    const name = this.#initializer(dataType.i64, shape, BigInt64Array.from(values, BigInt))
    this.#model.integers.set(key, name)
    return name
  }

  reshape(x: string, shape: Shape): string {
    return this.node("Reshape", [x, this.int64s(shape)])
  }

  /**
   * The graph of everything emitted. Its outputs must be distinct and made by its own nodes, so what is only passed on
   * gets an Identity.
   */
  finish(name: string, input: ReadonlyArray<ValueInfoProto>, outputs: ReadonlyArray<Typed>): GraphProto {
    const claimed = new Set<string>()
    const output = outputs.map(({ name, type }) => {
      const own = this.#produced.has(name) && !claimed.has(name) ? name : this.node("Identity", [name])
      claimed.add(own)
      return valueInfo(own, type)
    })
    return { name, node: [...this.#first, ...this.#nodes], initializer: [], input, output }
  }

  get initializers(): ReadonlyArray<TensorProto> {
    return this.#model.initializers
  }

  #initializer(type: number, dims: Shape, data: ArrayBufferView): string {
    const name = this.fresh()
    const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    this.#model.initializers.push({ name, dataType: type, dims, rawData })
    return name
  }
}

export interface Typed {
  readonly name: string
  readonly type: OnnxType
}

/** Tensor types as ONNX has them: i64 for the counter of a loop. */
export interface OnnxType {
  readonly dtype: DType | "i64"
  readonly shape: Shape
}

export const valueInfo = (name: string, { dtype, shape }: OnnxType): ValueInfoProto => ({
  name,
  type: {
    tensorType: { elemType: dataType[dtype], shape: { dim: shape.map((dimValue) => ({ dimValue })) } }
  }
})

export const isEmpty = ({ shape }: TensorType): boolean => sizeOf(shape) === 0
