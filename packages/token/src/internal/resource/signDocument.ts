import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import { SignJWT } from "jose/jwt/sign"
import type { Signature } from "../../ProtectedResource.ts"
import type { Document } from "./document.ts"

const invalidKey = () =>
  new KeelsonError.ConfigurationError({
    code: "KEY_INVALID",
    message: "The key cannot sign the metadata",
    details: { path: "signature", expected: "a private key for the algorithm, which may sign" }
  })

/** The metadata with themselves as a signed JWT (RFC 9728, 2.2), whose issuer is the resource unless another is named. */
export const signDocument = (
  document: Document,
  { alg, issuer, key: { key, kid } }: Signature
): Effect.Effect<Document, KeelsonError.ConfigurationError> =>
  Effect.clockWith((clock) =>
    Effect.tryPromise({
      try: () =>
        new SignJWT({ ...document })
          .setProtectedHeader(kid === undefined ? { alg } : { alg, kid })
          .setIssuer(issuer ?? String(document["resource"]))
          .setIssuedAt(Math.floor(clock.currentTimeMillisUnsafe() / 1_000))
          .sign(key),
      catch: invalidKey
    }).pipe(Effect.map((signed) => ({ ...document, signed_metadata: signed })))
  )
