/**
 * What an actor can be asked: one Schema-typed request, reply and error per message.
 *
 * A protocol is an `RpcGroup` of `effect/rpc`, so that what is spoken to an actor in this fiber today can be served from a
 * worker thread or a cluster without a change. In process nothing is encoded: payloads and replies go by reference, a
 * `Float32Array` arrives as the same array. Whoever sends one gives it away: neither side may write to it afterwards.
 *
 * ```ts
 * const Verifier = Protocol.make(
 *   Protocol.message("Verify", { payload: { group: Group }, success: ScoredGroup, error: RewardFailed })
 * )
 * ```
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"

/** Any protocol; functions take it as `P extends Protocol.Protocol`. */
export type Protocol = RpcGroup.Any

/** Puts messages together into a protocol: `Protocol.make(message, message, ...)`. */
export const make = RpcGroup.make

/** Declares one message: `message("Sample", { payload, success, error })`; without options it carries and returns nothing. */
export const message = Rpc.make

type Message<P extends Protocol, M extends Request<P>> = Rpc.ExtractTag<RpcGroup.Rpcs<P>, M>

/** The names of a protocol's messages. */
export type Request<P extends Protocol> = Rpc.Tag<RpcGroup.Rpcs<P>>

/** What message `M` carries. */
export type Payload<P extends Protocol, M extends Request<P>> = Rpc.Payload<Message<P, M>>

/** What message `M` is answered with. */
export type Success<P extends Protocol, M extends Request<P>> = Rpc.Success<Message<P, M>>

/** The typed failures of message `M`: expected outcomes, which do not restart the actor. */
export type Failure<P extends Protocol, M extends Request<P>> = Rpc.Error<Message<P, M>>

/** The arguments after the name of message `M`: none where it carries nothing. */
export type Arguments<P extends Protocol, M extends Request<P>> =
  void extends Payload<P, M> ? [] : [payload: Payload<P, M>]

/** One function per message. Services are taken in the actor's `make`, so a handler needs none. */
export type Handlers<P extends Protocol> = {
  readonly [M in Request<P>]: (payload: Payload<P, M>) => Effect.Effect<Success<P, M>, Failure<P, M>>
}

/** Token ids, masks, offsets. */
export const int32Array = Schema.instanceOf(Int32Array)

/** Log-probabilities, weights, advantages. */
export const float32Array = Schema.instanceOf(Float32Array)
