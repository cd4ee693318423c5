/**
 * A bucket of an S3-compatible store: requests that are signed with AWS Signature Version 4, over connections that are kept.
 *
 * The key of an object is encoded once, signed in this form, and normalized nowhere. A response is passed on chunk by chunk; a body
 * that has not the announced length ends with `incomplete`.
 */
import * as Configuration from "@keelson/core/Configuration"
import type { ConfigurationError } from "@keelson/core/KeelsonError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { keySourceOf } from "./internal/credentials/NodeKeys.ts"
import { Call, type Connection } from "./internal/store/NodeCall.ts"
import { addressOf, connect } from "./internal/store/NodeConnect.ts"
import { Signer } from "./internal/store/NodeSigner.ts"
import { Watchdog } from "./internal/store/watchdog.ts"
import type { ObjectStore } from "./ObjectStore.ts"
import { Replica, type ReplicaOptions, StoreTimeouts } from "./ReplicaOptions.ts"

const decode = Configuration.decode(Replica)
const decodeTimeouts = Configuration.decode(StoreTimeouts)

/**
 * Makes the store of one replica. Its connections close with the scope, and requests that run then fail.
 *
 * Credentials are loaded with the first request that needs them, and refreshed before they end, once for all requests. Each request
 * is signed when it is sent, also where it is sent again: after a connection turned out to be closed, and after a refusal because the
 * clocks differ, whose `Date` is then taken. A body that cannot be read again is not sent again.
 *
 * Fails with `ConfigurationError`: `INVALID_CONFIG` names the option and its bound, `CONFIG_MISSING` a variable.
 *
 * **Example** (A store without signatures that cannot be reached)
 *
 * ```ts import.meta.vitest
 * import * as NodeS3Store from "@keelson/gateway/NodeS3Store"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* NodeS3Store.make({ endpoint: "http://127.0.0.1:9", bucket: "products" })
 *   return yield* Effect.callback<string>((resume) => {
 *     store.dispatch({ method: "GET", key: "a+b.txt", headers: { range: "bytes=0-9" } }, {
 *       onHead: () => {},
 *       onData: () => true,
 *       onEnd: () => resume(Effect.succeed("whole")),
 *       onFailure: (failure) => resume(Effect.succeed(failure))
 *     })
 *   })
 * }).pipe(Effect.scoped)
 *
 * const end = await Effect.runPromise(program) // => "unreachable"
 * ```
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export const make = Effect.fnUntraced(
  function*(options: ReplicaOptions): Effect.fn.Return<ObjectStore, ConfigurationError, Scope.Scope> {
    const replica = yield* decode(options)
    const timeouts = replica.timeouts ?? (yield* decodeTimeouts({}))
    const address = addressOf(replica)
    const pool = yield* connect(replica, address, timeouts)
    const shortest = Duration.min(timeouts.connect, Duration.min(timeouts.head, timeouts.idle))
    const watchdog = new Watchdog(Duration.toMillis(shortest))
    yield* watchdog.run
    const connection: Connection = {
      pool,
      maxConnections: replica.maxConnections,
      authority: address.authority,
      prefix: address.prefix,
      signer: new Signer(replica.region),
      keys: yield* keySourceOf(replica.credentials, replica.region),
      clock: yield* Clock.Clock,
      watchdog,
      limits: {
        connect: watchdog.ticksOf(timeouts.connect),
        head: watchdog.ticksOf(timeouts.head),
        idle: watchdog.ticksOf(timeouts.idle)
      },
      skew: { millis: 0 },
      fork: Effect.runForkWith(yield* Effect.context())
    }
    return { dispatch: (request, handler) => new Call(connection, request, handler).start() }
  }
)
