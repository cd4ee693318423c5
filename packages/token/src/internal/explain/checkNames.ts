/** The checks, in order. An explanation omits those that neither the policy nor the call requires. */
export const checkNames = [
  /** Three segments, within the size limit; for an introspected token, the syntax of a bearer token. */
  "form",
  /** The authorization server says that the token is active; only for introspected tokens, in place of header and signature. */
  "introspection",
  /** `token_type` is that of an access token, with the key of a token of the type `DPoP`; only for introspected tokens. */
  "tokenType",
  /** A valid JOSE header without critical extensions. */
  "header",
  /** `alg` is one of the policy's. */
  "algorithm",
  /** `typ` is an expected one. */
  "type",
  /** The signature is canonical base64url. */
  "signatureEncoding",
  /** The payload is a JSON object, within the limits. */
  "payload",
  /** The registered claims have valid types, and `iss`, `aud` and `exp` are present. */
  "registeredClaims",
  /** `iss` is trusted. */
  "issuer",
  /** The issuer has keys that match the header. */
  "key",
  /** One of them verifies the signature. */
  "signature",
  /** The audience claim contains one of the policy's audiences. */
  "audience",
  /** `exp` is in the future; omitted with `skipExpiry`. */
  "expiry",
  /** `nbf` is in the past. */
  "notBefore",
  /** `iat` is in the past. */
  "issuedAt",
  /** `iat` is not longer ago than the policy's `maxAge`. */
  "age",
  /** The claims that profile and policy require are present. */
  "requiredClaims",
  /** `azp` is one of the policy's; only with `authorizedParties`. */
  "authorizedParty",
  /** `sub` is the SPIFFE ID of a workload of the trust domain; only for JWT-SVIDs. */
  "spiffeId",
  /** The claims match the validator's schema. */
  "schema",
  /** The key is still trusted after all these checks. */
  "trust",
  /** The audience in the call's options. */
  "callAudience",
  /** The issuer in the call's options. */
  "callIssuer",
  /** The required claims in the call's options. */
  "callClaims",
  /** The nonce in the call's options, or a missing one that the policy requires. */
  "nonce",
  /** `at_hash` matches the access token in the call's options. */
  "accessTokenHash",
  /** `c_hash` matches the code in the call's options. */
  "codeHash",
  /** The token is not revoked. */
  "revocation",
  /** The token is bound as the API requires, and was sent with the scheme for that; this and the following only with `request`. */
  "binding",
  /** The request has one DPoP proof, which is a signed JWT in compact form. */
  "proofForm",
  /** The header of the proof is valid, without critical extensions. */
  "proofHeader",
  /** Its `typ` is `dpop+jwt`. */
  "proofType",
  /** Its `alg` is one of the API's. */
  "proofAlgorithm",
  /** Its `jwk` is a public key of that algorithm. */
  "proofKey",
  /** The payload of the proof is a JSON object. */
  "proofClaims",
  /** `jti` is text of at most 256 characters. Whether it was used before is not checked. */
  "proofId",
  /** `htm` is the method of the request. */
  "proofMethod",
  /** `htu` is the URL of the request. */
  "proofUrl",
  /** `iat` is within `maxAge`, and `exp` and `nbf` hold where there are any. */
  "proofTimes",
  /** `ath` is the hash of the token. */
  "proofToken",
  /** The key of the proof is the one that the token is bound to. */
  "proofBinding",
  /** `nonce` is a current one; only with `nonceKey`, without which no other process knows the nonces. */
  "proofNonce",
  /** The key verifies the signature of the proof. */
  "proofSignature",
  /** The request has the client certificate that the token is bound to. */
  "certificate"
] as const
export type CheckName = (typeof checkNames)[number]
