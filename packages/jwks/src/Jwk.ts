/**
 * Parses one public key. An invalid key of a set is skipped and does not affect the other keys.
 *
 * @see RFC 7517, 4 and RFC 7518, 6
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Selectable } from "./internal/keys/keySelection.ts"
import { parseKey } from "./internal/keys/parseKey.ts"

/**
 * Why a key was skipped:
 *
 * - `malformed`: not an object, or a member has the wrong type;
 * - `encoding`: a member is not base64url or base64, or has the wrong length;
 * - `private`, `symmetric`: key material that must not be in a public set;
 * - `type`, `curve`, `algorithm`: not supported for verification, or inconsistent with the other members;
 * - `use`, `operations`: the key is not for verification, or `key_ops` is not a list of different texts;
 * - `keyId`: `kid` is longer than 256 characters;
 * - `weak`: an RSA modulus of fewer than 2048 or more than 8192 bits, or an unsafe exponent;
 * - `duplicate`: the set already contains the key under the same `kid`, `alg`, `use` and `issuer`;
 * - `limit`: the set already contains a hundred keys;
 * - `unusable`: the platform failed to import the key.
 */
export const SkipReason = Schema.Literals([
  "malformed",
  "encoding",
  "private",
  "symmetric",
  "type",
  "curve",
  "algorithm",
  "use",
  "operations",
  "keyId",
  "weak",
  "duplicate",
  "limit",
  "unusable"
])
export type SkipReason = typeof SkipReason.Type

/** The public members of a key of a supported type. RSA numbers have no leading zeros. */
export type Material =
  | { readonly kty: "RSA"; readonly n: string; readonly e: string }
  | { readonly kty: "EC"; readonly crv: "P-256" | "P-384" | "P-521"; readonly x: string; readonly y: string }
  | { readonly kty: "OKP"; readonly crv: "Ed25519"; readonly x: string }

/** A public key as published. */
export interface Jwk extends Selectable {
  readonly material: Material
  /** The `issuer` member, which some multi-tenant providers publish. */
  readonly issuer: string | undefined
}

/** Parses an entry of `keys`. Fails with the reason to skip the entry. */
export const parse = (input: unknown): Result.Result<Jwk, SkipReason> => Result.map(parseKey(input), ({ jwk }) => jwk)
