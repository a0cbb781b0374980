import protobuf from "protobufjs/light.js"

/**
 * The part of the ONNX format that a lowered graph needs, encoded as onnx.proto says
 * (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto): field numbers are the format, names are ours to read.
 */
export interface ModelProto {
  readonly irVersion: number
  readonly opsetImport: ReadonlyArray<{ readonly domain: string; readonly version: number }>
  readonly producerName: string
  readonly graph: GraphProto
}

export interface GraphProto {
  readonly name: string
  readonly node: ReadonlyArray<NodeProto>
  readonly initializer: ReadonlyArray<TensorProto>
  readonly input: ReadonlyArray<ValueInfoProto>
  readonly output: ReadonlyArray<ValueInfoProto>
}

export interface NodeProto {
  readonly opType: string
  readonly domain: string
  readonly name: string
  /** An empty name leaves an optional input out. */
  readonly input: ReadonlyArray<string>
  readonly output: ReadonlyArray<string>
  readonly attribute: ReadonlyArray<AttributeProto>
}

export interface TensorProto {
  readonly name: string
  readonly dataType: number
  readonly dims: ReadonlyArray<number>
  /** little-endian, row-major */
  readonly rawData: Uint8Array
}

export interface ValueInfoProto {
  readonly name: string
  readonly type: {
    readonly tensorType: {
      readonly elemType: number
      /** Left out: of any shape. */
      readonly shape?: { readonly dim: ReadonlyArray<{ readonly dimValue: number }> }
    }
  }
}

/** AttributeProto.AttributeType */
const attributeType = { float: 1, int: 2, string: 3, graph: 5, ints: 7 } as const

export type AttributeProto =
  | { readonly name: string; readonly type: typeof attributeType.float; readonly f: number }
  | { readonly name: string; readonly type: typeof attributeType.int; readonly i: number }
  | { readonly name: string; readonly type: typeof attributeType.string; readonly s: Uint8Array }
  | { readonly name: string; readonly type: typeof attributeType.graph; readonly g: GraphProto }
  | { readonly name: string; readonly type: typeof attributeType.ints; readonly ints: ReadonlyArray<number> }

export const attribute = {
  float: (name: string, f: number): AttributeProto => ({ name, type: attributeType.float, f }),
  int: (name: string, i: number): AttributeProto => ({ name, type: attributeType.int, i }),
  ints: (name: string, ints: ReadonlyArray<number>): AttributeProto => ({ name, type: attributeType.ints, ints }),
  string: (name: string, s: string): AttributeProto => ({
    name,
    type: attributeType.string,
    s: new TextEncoder().encode(s)
  }),
  graph: (name: string, g: GraphProto): AttributeProto => ({ name, type: attributeType.graph, g })
}

/** TensorProto.DataType. Floats of two bytes go about as integers, which all kernels and onnxruntime-node have, until they are widened. */
export const dataType = { f32: 1, i32: 6, i64: 7, bool: 9, f16: 4, bf16: 4 } as const

/** What the bits of those are. */
export const halfType = { f16: 10, bf16: 16 } as const

const one = (type: string, id: number) => ({ type, id })
const many = (type: string, id: number) => ({ rule: "repeated", type, id })

const schema = protobuf.Root.fromJSON({
  nested: {
    ModelProto: {
      fields: {
        irVersion: one("int64", 1),
        producerName: one("string", 2),
        graph: one("GraphProto", 7),
        opsetImport: many("OperatorSetIdProto", 8)
      }
    },
    OperatorSetIdProto: { fields: { domain: one("string", 1), version: one("int64", 2) } },
    GraphProto: {
      fields: {
        node: many("NodeProto", 1),
        name: one("string", 2),
        initializer: many("TensorProto", 5),
        input: many("ValueInfoProto", 11),
        output: many("ValueInfoProto", 12)
      }
    },
    NodeProto: {
      fields: {
        input: many("string", 1),
        output: many("string", 2),
        name: one("string", 3),
        opType: one("string", 4),
        attribute: many("AttributeProto", 5),
        domain: one("string", 7)
      }
    },
    AttributeProto: {
      fields: {
        name: one("string", 1),
        f: one("float", 2),
        i: one("int64", 3),
        s: one("bytes", 4),
        g: one("GraphProto", 6),
        ints: many("int64", 8),
        type: one("int32", 20)
      }
    },
    TensorProto: {
      fields: {
        dims: many("int64", 1),
        dataType: one("int32", 2),
        name: one("string", 8),
        rawData: one("bytes", 9)
      }
    },
    ValueInfoProto: { fields: { name: one("string", 1), type: one("TypeProto", 2) } },
    TypeProto: { fields: { tensorType: one("TypeProtoTensor", 1) } },
    TypeProtoTensor: { fields: { elemType: one("int32", 1), shape: one("TensorShapeProto", 2) } },
    TensorShapeProto: { fields: { dim: many("Dimension", 1) } },
    Dimension: { fields: { dimValue: one("int64", 1) } }
  }
})

const modelType = schema.lookupType("ModelProto")

/** The bytes of a model file. */
export const encodeModel = (model: ModelProto): Uint8Array => modelType.encode(model).finish()
