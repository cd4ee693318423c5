/** The connections to one store. */
import type { ConfigurationError } from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { readFile } from "node:fs/promises"
import type { LookupFunction } from "node:net"
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls"
import { Pool } from "undici"
import type { Replica, StoreTimeouts } from "../../ReplicaOptions.ts"

/** Replaces the resolver of names in tests. */
export const Lookup = Context.Reference<LookupFunction | undefined>("@keelson/gateway/internal/Lookup", {
  defaultValue: () => undefined
})

/** Where requests go: the origin of the connections, the value of `host`, and what precedes the key. */
export interface Address {
  readonly origin: string
  readonly authority: string
  readonly prefix: string
}

export const addressOf = ({ addressing, bucket, endpoint }: Replica): Address => {
  const { host, protocol } = new URL(endpoint)
  const authority = addressing === "virtual" ? `${bucket}.${host}` : host
  return { origin: `${protocol}//${authority}`, authority, prefix: addressing === "virtual" ? "/" : `/${bucket}/` }
}

const unreadable = (path: string, cause: unknown): ConfigurationError =>
  InvalidConfig.option("caFile", "a readable file of certificates in PEM", { details: { file: path }, cause })

/** The authorities of Node and those of a file, parsed once. */
const trust = (path: string): Effect.Effect<SecureContext, ConfigurationError> =>
  Effect.tryPromise({
    try: async () => {
      const own = await readFile(path, "utf8")
      if (!own.includes("-----BEGIN CERTIFICATE-----")) throw new Error("The file has no certificate")
      return createSecureContext({ ca: [...getCACertificates("default"), own] })
    },
    catch: (cause) => unreadable(path, cause)
  })

/** How long a connection without requests is kept: shorter than stores keep theirs. */
const keepAlive = 15_000

/** How much later than our own limit undici gives up a socket that does not connect. */
const cleanUpAfter = 1000

/** Connections that are closed with the scope, also those that have requests. */
export const connect = Effect.fnUntraced(
  function*(
    { caFile, maxConnections }: Replica,
    { origin }: Address,
    timeouts: StoreTimeouts
  ): Effect.fn.Return<Pool, ConfigurationError, Scope.Scope> {
    const lookup = yield* Lookup
    const secureContext = caFile === undefined ? undefined : yield* trust(caFile)
    const options = {
      connections: maxConnections,
      pipelining: 1,
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: keepAlive,
      connectTimeout: Duration.toMillis(timeouts.connect) + cleanUpAfter,
      connect: {
        ...(lookup === undefined ? undefined : { lookup }),
        ...(secureContext === undefined ? undefined : { secureContext })
      }
    }
    return yield* Effect.acquireRelease(
      Effect.sync(() => new Pool(origin, options)),
      (pool) => Effect.promise(() => pool.destroy())
    )
  }
)
