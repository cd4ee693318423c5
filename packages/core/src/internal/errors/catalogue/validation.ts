import type { CodeInfo } from "../../../ErrorCode.ts"

/** The members that all codes of rejected tokens share. Sending the same token again fails again. */
const refused = {
  category: "AUTHENTICATION",
  severity: "WARNING",
  status: 401,
  retryable: false,
  breaker: "success"
} as const

/** Codes of token validation errors. Their ids start with `JWT`. */
export const validation = {
  TOKEN_ALGORITHM_UNSUPPORTED: {
    id: "JWT-001",
    ...refused,
    description: "The token is signed with an algorithm that the policy does not allow (RFC 8725, 3.1).",
    troubleshooting: ["Compare `algorithms` of the policy with the `alg` that the issuer signs with."]
  },
  TOKEN_SIGNATURE_INVALID: {
    id: "JWT-002",
    ...refused,
    description: "The token's signature does not verify with the key that its header names.",
    troubleshooting: [
      "Check that the caller sends the token unchanged.",
      "Many such tokens may be an attempt at forgery: check their origin."
    ]
  },
  TOKEN_NOT_YET_VALID: {
    id: "JWT-003",
    ...refused,
    description: "The token is not valid yet, or was issued in the future (RFC 7519, 4.1.5).",
    troubleshooting: ["Compare the clocks of issuer and validator; `clockTolerance` allows for up to 5 minutes."]
  },
  TOKEN_ISSUER_UNTRUSTED: {
    id: "JWT-004",
    ...refused,
    description: "The policy does not trust the token's issuer (RFC 7519, 4.1.1).",
    troubleshooting: [
      "Compare `issuers` of the policy with the `iss` in tokens: they must be equal, character by character."
    ]
  },
  TOKEN_AUDIENCE_MISMATCH: {
    id: "JWT-005",
    ...refused,
    description: "The token is for another audience (RFC 7519, 4.1.3).",
    troubleshooting: [
      "Compare `audiences` of the policy with the `aud` in tokens, and with the resource that the client requests."
    ]
  },
  TOKEN_CLAIM_MISSING: {
    id: "JWT-006",
    ...refused,
    description: "The token lacks a required claim.",
    troubleshooting: ["`claim` in the details names it. Let the issuer add it, or remove it from `requiredClaims`."]
  },
  TOKEN_CLAIM_INVALID: {
    id: "JWT-007",
    ...refused,
    description: "A claim of the token does not match the schema of claims.",
    troubleshooting: ["`path` in the details names it. Compare the schema with the claims of a token."]
  },
  TOKEN_TOO_OLD: {
    id: "JWT-008",
    ...refused,
    description: "The token was issued longer ago than the policy allows.",
    troubleshooting: ["Acquire a new token.", "Compare `maxAge` of the policy with the lifetime of tokens."]
  },
  TOKEN_TYPE_MISMATCH: {
    id: "JWT-009",
    ...refused,
    description: "The token is of another type than expected (RFC 8725, 3.11).",
    troubleshooting: [
      "Check that the caller sends an access token where one is expected, and not an ID token.",
      "Issuers that do not follow RFC 9068 use another `typ`: add it to `types` of the policy."
    ]
  },
  TOKEN_REVOKED: {
    id: "JWT-010",
    ...refused,
    description: "The token was revoked.",
    troubleshooting: ["Authenticate again."]
  },
  TOKEN_REQUEST_INVALID: {
    id: "JWT-011",
    ...refused,
    status: 400,
    description: "The request carries a token in more than one way, or in a malformed way (RFC 6750, 3.1).",
    troubleshooting: ["Send the token once, as `Authorization: Bearer` (RFC 6750, 2.1)."]
  },
  RESOURCE_METADATA_INVALID: {
    id: "JWT-019",
    category: "NETWORK",
    severity: "ERROR",
    status: 502,
    retryable: false,
    breaker: "failure",
    description:
      "The metadata of a protected resource, or of its authorization server, cannot be used (RFC 9728, 3.3).",
    troubleshooting: [
      "`reason` in the details names the check that failed, and the message what was expected.",
      "Compare `resource` with the one in the metadata: they must be equal, character by character.",
      "`authorizationServer`: register a client at one of the servers that the metadata name, and add it to `clients`."
    ]
  },
  LOGOUT_REQUEST_INVALID: {
    id: "JWT-021",
    ...refused,
    status: 400,
    description:
      "The logout request is not a form with one `logout_token` (OpenID Connect Back-Channel Logout 1.0, 2.5).",
    troubleshooting: [
      "`problem` in the details says what is wrong.",
      "Only the OpenID provider sends this request: check that it has the right `backchannel_logout_uri`."
    ]
  },
  LOGOUT_TOKEN_INVALID: {
    id: "JWT-022",
    ...refused,
    status: 400,
    description: "The logout token was rejected (OpenID Connect Back-Channel Logout 1.0, 2.6). No session was ended.",
    troubleshooting: [
      "`reason` in the details, and the log line at `Debug`, say why.",
      "`audiences` must contain the id of the client to which the provider sends the logout token."
    ]
  },
  LOGOUT_TOKEN_REPLAYED: {
    id: "JWT-023",
    ...refused,
    status: 400,
    description: "The logout token was received before (`jti`). Its session was ended then.",
    troubleshooting: [
      "The provider may repeat a request whose response it did not receive: nothing needs to be done.",
      "Many such requests may be an attempt at a replay: check their origin."
    ]
  },
  TOKEN_UNBOUND: {
    id: "JWT-012",
    ...refused,
    description: "The API requires a token that is bound to a key of the caller, and this one is not.",
    troubleshooting: [
      "Let the client request a bound token: with a DPoP proof (RFC 9449, 5) or a client certificate (RFC 8705, 3).",
      "Check that the authorization server binds tokens: they then have the claim `cnf`."
    ]
  },
  TOKEN_BINDING_MISMATCH: {
    id: "JWT-013",
    ...refused,
    description: "The token is bound to another key or client certificate than the one that the caller has.",
    troubleshooting: [
      "Use the key or certificate with which the client requested the token, also after a restart.",
      "Many such requests may be an attempt to use a stolen token: check their origin."
    ]
  },
  TOKEN_BINDING_UNSUPPORTED: {
    id: "JWT-014",
    ...refused,
    description: "The token is bound to a key in a way that the API does not check (RFC 7800, 3.1).",
    troubleshooting: [
      "Turn on `dpop` for tokens with `cnf.jkt`, or `mtls` for tokens with `cnf.x5t#S256`.",
      "To accept such tokens as bearer tokens, set `unsupportedBinding` to `ignore`."
    ]
  },
  TOKEN_CERTIFICATE_MISSING: {
    id: "JWT-015",
    ...refused,
    description:
      "The token is bound to a client certificate (RFC 8705, 3), and the request has none that can be trusted.",
    troubleshooting: [
      "Check that the server requests client certificates (`requestCert`), or that its proxy sends the header of `mtls`.",
      "Check that `mtls.header.proxies` lists the address from which the proxy connects."
    ]
  },
  DPOP_NONCE_REQUIRED: {
    id: "JWT-016",
    ...refused,
    description: "The DPoP proof has no current nonce of this API (RFC 9449, 9).",
    troubleshooting: [
      "Send the request again, with a new proof that has the nonce in the header `DPoP-Nonce` of the response.",
      "If it happens again and again, give all processes of the API the same `nonceKey`."
    ]
  },
  TOKEN_INACTIVE: {
    id: "JWT-017",
    ...refused,
    description: "The authorization server says that the token is not active (RFC 7662, 2.2).",
    troubleshooting: [
      "The token is expired, revoked or unknown to the authorization server: acquire a new token.",
      "Some servers answer the same for a client that may not introspect the token: check the rights of `clientId`."
    ]
  },
  INTROSPECTION_UNAVAILABLE: {
    id: "JWT-018",
    category: "NETWORK",
    severity: "ERROR",
    status: 503,
    retryable: true,
    breaker: "failure",
    description:
      "The authorization server did not answer whether the token is active, so that it cannot be validated now.",
    troubleshooting: [
      "`problem` in the details says why, and `detail` what is wrong with an answer that was received.",
      "For `timeout`, `network`, `status`, `circuit` and `busy`, check the introspection endpoint and its response times.",
      "For `refused`, check `clientId` and `auth`; for `endpoint`, check `issuer` and `endpoint`; for `configuration`, check the client's key or secret.",
      "For `limited`, many tokens that were never seen arrived at once: check their origin, or raise `newTokensPerSecond`."
    ]
  }
} as const satisfies Record<string, CodeInfo>
