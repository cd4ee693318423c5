/**
 * The supported signature algorithms of keys and tokens. `none` is not supported.
 */

/** Signature algorithms that verify with a public key (RFC 7518, 3.3 to 3.5; RFC 8037, 3.1; RFC 9864, 2.2). */
export const publicAlgorithms = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519"
] as const
export type PublicAlgorithm = (typeof publicAlgorithms)[number]

/** Signature algorithms that use a shared secret (RFC 7518, 3.2). */
export const secretAlgorithms = ["HS256", "HS384", "HS512"] as const
export type SecretAlgorithm = (typeof secretAlgorithms)[number]

/** All supported algorithms. */
export const algorithms = [...publicAlgorithms, ...secretAlgorithms] as const
export type Algorithm = PublicAlgorithm | SecretAlgorithm

/**
 * Whether an algorithm uses a shared secret.
 *
 * **Example** (Algorithms of a shared secret)
 *
 * ```ts import.meta.vitest
 * import { Algorithm } from "@keelson/jwks"
 *
 * Algorithm.algorithms.filter(Algorithm.isSecretAlgorithm) // => ["HS256", "HS384", "HS512"]
 * ```
 */
export const isSecretAlgorithm = (algorithm: Algorithm): algorithm is SecretAlgorithm => algorithm.startsWith("HS")
