import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { importJWK } from "jose/key/import"
import type { Jwk } from "../../Jwk.ts"

/**
 * Imports a WebCrypto key for one algorithm. Fails if the platform rejects the key, for example a point not on its
 * curve.
 */
export type ImportKey = (jwk: Jwk, alg: string) => Effect.Effect<CryptoKey, unknown>

const importKey: ImportKey = (jwk, alg) =>
  Effect.flatMap(
    Effect.tryPromise(() => importJWK({ ...jwk.material }, alg, { extractable: false })),
    (key) => "type" in key ? Effect.succeed(key) : Effect.fail("not a key of WebCrypto")
  )

/**
 * WebCrypto works on other threads, and virtual time does not wait for them: tests provide a synchronous import here.
 */
export const KeyImport = Context.Reference<ImportKey>("@keelson/jwks/KeyImport", { defaultValue: () => importKey })
