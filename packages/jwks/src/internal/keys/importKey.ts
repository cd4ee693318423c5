import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { importJWK } from "jose"
import type { Jwk } from "../../Jwk.ts"

/** Makes a key of WebCrypto for one algorithm; fails where the platform refuses it, as with a point not on its curve. */
export type ImportKey = (jwk: Jwk, alg: string) => Effect.Effect<CryptoKey, unknown>

const importKey: ImportKey = (jwk, alg) =>
  Effect.flatMap(
    Effect.tryPromise(() => importJWK({ ...jwk.material }, alg, { extractable: false })),
    (key) => "type" in key ? Effect.succeed(key) : Effect.fail("not a key of WebCrypto")
  )

/** WebCrypto does its work on other threads, for which virtual time does not wait: tests put a synchronous one here. */
export const KeyImport = Context.Reference<ImportKey>("@keelson/jwks/KeyImport", { defaultValue: () => importKey })
