/**
 * The algorithms of signatures that keys and tokens may be of. `none` is not one of them.
 */

/** Algorithms of public keys (RFC 7518, 3.3 to 3.5; RFC 8037, 3.1; RFC 9864, 2.2). */
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

/** Algorithms of secrets (RFC 7518, 3.2). */
export const secretAlgorithms = ["HS256", "HS384", "HS512"] as const
export type SecretAlgorithm = (typeof secretAlgorithms)[number]

/** Every one of them. */
export const algorithms = [...publicAlgorithms, ...secretAlgorithms] as const
export type Algorithm = PublicAlgorithm | SecretAlgorithm

/** Whether an algorithm is one of secrets. */
export const isSecretAlgorithm = (algorithm: Algorithm): algorithm is SecretAlgorithm => algorithm.startsWith("HS")
