/** One process of a service that has its circuits, key sets and revocations in Redis, with all others of its kind. */
import { Breaker, BreakerStore, ErrorCode, KeelsonError } from "@keelson/core"
import { JwksSnapshots, KeySource } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { Claims, Revocation, TokenValidator, ValidationPolicy } from "@keelson/token"
import { Context, Effect, Layer, type Redacted, type Scope } from "effect"
import { audience } from "../issuers/issuers.ts"
import type { Server } from "./server.ts"

class Tokens extends TokenValidator.Service<Tokens>()("example/Tokens", {
  claims: Claims.AccessToken,
  revocation: Revocation.Revocation
}) {}

export interface Settings {
  readonly issuer: string
  readonly redis: Server["redis"]
  /** Signs the key sets: who can write to Redis must not be able to put in a key. */
  readonly snapshotKey: Redacted.Redacted
  /** Told of each call to the ledger, another service, which is down. */
  readonly onCall: () => void
}

/** What became of a call, in a few words. */
const outcome = <A, E extends { readonly code: ErrorCode.ErrorCode }, R>(call: Effect.Effect<A, E, R>) =>
  Effect.match(call, {
    onSuccess: () => "let in",
    onFailure: ({ code }) => `${code}, a ${ErrorCode.codeInfo[code].status}`
  })

const servicesOf = ({ issuer, redis, snapshotKey }: Settings) => {
  const keys = KeySource.layerOidc({ issuer, prefetch: false, retryDelay: "20 millis" }).pipe(
    Layer.provide([
      NodeEgress.layer({ allowLocalhost: true }),
      JwksSnapshots.layerRedis({ redis, key: snapshotKey, timeout: "5 seconds" })
    ])
  )
  const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: ["ES256"] })
  return Tokens.layer(policy).pipe(
    Layer.provideMerge(Revocation.layerRedis({ redis, timeout: "500 millis" })),
    Layer.provide(keys),
    // Longer than the defaults, for slow machines; and tried again sooner, since the example does not want to wait.
    Layer.provideMerge(BreakerStore.layerRedis({ redis, timeout: "500 millis", retryInterval: "20 millis" }))
  )
}

export interface Instance {
  /** Validates a token. */
  readonly check: (token: string) => Effect.Effect<string>
  readonly revoke: Revocation.Revocation["Service"]["revoke"]
  /** Calls the ledger through its breaker. */
  readonly call: Effect.Effect<string>
  readonly circuit: Effect.Effect<Breaker.State>
}

/** Runs until the scope closes. */
export const makeInstance = Effect.fnUntraced(function*(
  settings: Settings
): Effect.fn.Return<Instance, KeelsonError.ConfigurationError | KeelsonError.NetworkError, Scope.Scope> {
  const services = yield* Layer.build(servicesOf(settings))
  const breaker = yield* Effect.provideContext(
    Breaker.make("ledger", { failureThreshold: 3, openDuration: "1 minute" }),
    services
  )
  const ledger = Effect.suspend(() => {
    settings.onCall()
    return Effect.fail(new KeelsonError.NetworkError({ code: "UPSTREAM_UNAVAILABLE" }))
  })
  return {
    check: (token) => outcome(Context.get(services, Tokens).validate(token)),
    revoke: Context.get(services, Revocation.Revocation).revoke,
    call: outcome(breaker.execute(ledger)),
    circuit: breaker.state
  }
})
