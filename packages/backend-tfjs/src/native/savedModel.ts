import type { DType, HostTensor, Shape } from "@foretoken/core"
import protobuf from "protobufjs/light.js"

/**
 * The part of TensorFlow's SavedModel format that a lowered graph needs, encoded as tensorflow/core/protobuf and
 * tensorflow/core/framework say: field numbers are the format, names are ours to read.
 */
export interface GraphDef {
  readonly node: ReadonlyArray<NodeDef>
  readonly library: { readonly function: ReadonlyArray<FunctionDef> }
}

export interface FunctionDef {
  readonly signature: {
    readonly name: string
    readonly inputArg: ReadonlyArray<ArgDef>
    readonly outputArg: ReadonlyArray<ArgDef>
  }
  readonly nodeDef: ReadonlyArray<NodeDef>
  /** Which node's output each of the function's outputs is. */
  readonly ret: Readonly<Record<string, string>>
}

export interface ArgDef {
  readonly name: string
  readonly type: number
}

export interface NodeDef {
  readonly name: string
  readonly op: string
  readonly input: ReadonlyArray<string>
  readonly attr: Attributes
}

export type Attributes = Readonly<Record<string, Attribute>>

export type Attribute =
  | { readonly i: number }
  | { readonly b: boolean }
  | { readonly type: number }
  | { readonly shape: ShapeProto }
  | {
      readonly tensor: { readonly dtype: number; readonly tensorShape: ShapeProto; readonly tensorContent: Uint8Array }
    }
  | { readonly list: { readonly type: ReadonlyArray<number> } | { readonly shape: ReadonlyArray<ShapeProto> } }
  | { readonly func: { readonly name: string } }

interface ShapeProto {
  readonly dim: ReadonlyArray<{ readonly size: number }>
}

/** DataType */
export const dataType = { f32: 1, i32: 3, bool: 10, f16: 19, bf16: 14 } as const satisfies Record<DType, number>

const shapeProto = (shape: Shape): ShapeProto => ({ dim: shape.map((size) => ({ size })) })

export const attribute = {
  int: (i: number): Attribute => ({ i }),
  bool: (b: boolean): Attribute => ({ b }),
  type: (dtype: DType): Attribute => ({ type: dataType[dtype] }),
  types: (dtypes: ReadonlyArray<DType>): Attribute => ({ list: { type: dtypes.map((dtype) => dataType[dtype]) } }),
  shape: (shape: Shape): Attribute => ({ shape: shapeProto(shape) }),
  shapes: (shapes: ReadonlyArray<Shape>): Attribute => ({ list: { shape: shapes.map(shapeProto) } }),
  function: (name: string): Attribute => ({ func: { name } }),
  tensor: ({ dtype, shape, data }: HostTensor): Attribute => ({
    tensor: {
      dtype: dataType[dtype],
      tensorShape: shapeProto(shape),
      tensorContent: new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    }
  })
}

const one = (type: string, id: number) => ({ type, id })
const many = (type: string, id: number) => ({ rule: "repeated", type, id })
const map = (type: string, id: number) => ({ keyType: "string", type, id })

const schema = protobuf.Root.fromJSON({
  nested: {
    SavedModel: { fields: { savedModelSchemaVersion: one("int64", 1), metaGraphs: many("MetaGraphDef", 2) } },
    MetaGraphDef: { fields: { metaInfoDef: one("MetaInfoDef", 1), graphDef: one("GraphDef", 2) } },
    MetaInfoDef: { fields: { tags: many("string", 4) } },
    GraphDef: {
      fields: {
        node: many("NodeDef", 1),
        library: one("FunctionDefLibrary", 2),
        versions: one("VersionDef", 4)
      }
    },
    VersionDef: { fields: { producer: one("int32", 1) } },
    FunctionDefLibrary: { fields: { function: many("FunctionDef", 1) } },
    FunctionDef: {
      fields: {
        signature: one("OpDef", 1),
        nodeDef: many("NodeDef", 3),
        ret: map("string", 4)
      }
    },
    OpDef: { fields: { name: one("string", 1), inputArg: many("ArgDef", 2), outputArg: many("ArgDef", 3) } },
    ArgDef: { fields: { name: one("string", 1), type: one("int32", 3) } },
    NodeDef: {
      fields: {
        name: one("string", 1),
        op: one("string", 2),
        input: many("string", 3),
        attr: map("AttrValue", 5)
      }
    },
    AttrValue: {
      // As one of several a value is written even where it is zero or false.
      oneofs: { value: { oneof: ["list", "i", "b", "type", "shape", "tensor", "func"] } },
      fields: {
        list: one("ListValue", 1),
        i: one("int64", 3),
        b: one("bool", 5),
        type: one("int32", 6),
        shape: one("TensorShapeProto", 7),
        tensor: one("TensorProto", 8),
        func: one("NameAttrList", 10)
      }
    },
    ListValue: { fields: { type: many("int32", 6), shape: many("TensorShapeProto", 7) } },
    NameAttrList: { fields: { name: one("string", 1) } },
    TensorShapeProto: { fields: { dim: many("Dim", 2) } },
    Dim: { fields: { size: one("int64", 1) } },
    TensorProto: {
      fields: {
        dtype: one("int32", 1),
        tensorShape: one("TensorShapeProto", 2),
        tensorContent: one("bytes", 4)
      }
    }
  }
})

const modelType = schema.lookupType("SavedModel")

/** Names the one graph that is in a model. */
export const TAG = "serve"

/** GraphDef's version as of TensorFlow 2.9; later ones read it. */
const PRODUCER = 1087

/** The bytes of a `saved_model.pb`. */
export const encodeSavedModel = (graph: GraphDef): Uint8Array =>
  modelType
    .encode({
      savedModelSchemaVersion: 1,
      metaGraphs: [{ metaInfoDef: { tags: [TAG] }, graphDef: { ...graph, versions: { producer: PRODUCER } } }]
    })
    .finish()
