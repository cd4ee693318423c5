/**
 * How the signatures of tokens are verified: with node:crypto, or with WebCrypto.
 *
 * On Node the default is node:crypto, which takes less time and checks RSA signatures without a promise; elsewhere, and for
 * secrets and keys whose public members are not known, it is WebCrypto. Both verify the same signatures. Provide one of these
 * layers to the layer of a validator to force it.
 */
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { nodeCrypto, SignatureVerifier, webCrypto } from "./internal/validation/signature.ts"

/**
 * Verifies all signatures with WebCrypto, on other threads.
 *
 * **Example** (A validator that verifies with WebCrypto)
 *
 * ```ts import.meta.vitest
 * import { StaticKeys } from "@keelson/jwks"
 * import { Claims, Signatures, TokenValidator, ValidationPolicy } from "@keelson/token"
 * import { Effect, Layer } from "effect"
 * import { exportJWK, generateKeyPair, SignJWT } from "jose"
 *
 * class Tokens extends TokenValidator.Service<Tokens>()("app/Tokens", { claims: Claims.AccessToken }) {}
 *
 * const { privateKey, publicKey } = await generateKeyPair("ES256")
 * const issuer = "https://idp.example"
 * const keys = StaticKeys.layer({
 *   issuers: [issuer],
 *   keys: [{ algorithm: "ES256", jwk: { ...await exportJWK(publicKey) } }]
 * })
 * const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: ["api"], algorithms: ["ES256"] })
 * const layer = Tokens.layer(policy).pipe(Layer.provide(keys), Layer.provide(Signatures.layerWebCrypto))
 *
 * const token = await new SignJWT({ client_id: "app", jti: "1" })
 *   .setProtectedHeader({ alg: "ES256", typ: "at+jwt" })
 *   .setIssuer(issuer).setAudience("api").setSubject("user").setIssuedAt().setExpirationTime("5 minutes")
 *   .sign(privateKey)
 *
 * const validated = Effect.flatMap(Tokens, (tokens) => tokens.validate(token))
 * const { claims } = await Effect.runPromise(Effect.provide(validated, layer))
 * claims.sub // => "user"
 * ```
 */
export const layerWebCrypto: Layer.Layer<never> = Layer.succeed(SignatureVerifier, webCrypto)

/**
 * Verifies with node:crypto on any platform that has it. Bun, Deno and workerd have their own implementations of it.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) on a platform without it, such as a browser.
 */
export const layerNodeCrypto: Layer.Layer<never, KeelsonError.ConfigurationError> = Layer.effect(
  SignatureVerifier,
  nodeCrypto === undefined
    ? Effect.fail(
      new KeelsonError.ConfigurationError({
        code: "INVALID_CONFIG",
        message:
          "Signatures.layerNodeCrypto needs node:crypto, which this platform lacks; use Signatures.layerWebCrypto",
        details: { path: "Signatures.layerNodeCrypto", expected: "a platform with node:crypto" }
      })
    )
    : Effect.succeed(nodeCrypto)
)
