/**
 * An immutable set of public keys. Each key is parsed separately: an invalid or unsupported key is skipped with a
 * reason, and the set keeps the others.
 *
 * @see RFC 7517, 5
 */
export {
  type ImportedKey,
  type KeySet,
  type Parsed,
  type PublicJwk,
  type Skipped,
  toJson
} from "./internal/keys/keySet.ts"
