import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as base64url from "jose/base64url"
import { CompactSign } from "jose/jws/compact/sign"
import type { LogoutTokenFault, LogoutTokenOptions, TokenFault, TokenOptions } from "../../testing/TestIssuer.ts"
import type { ValidationPolicy } from "../../ValidationPolicy.ts"
import { halfHash } from "../validation/checks.ts"
import { trustDomainId } from "../validation/issuers.ts"
import { compileRules } from "../validation/rules.ts"
import { makeSigningKey, type SigningKey } from "./signingKeys.ts"

type Members = Readonly<Record<string, unknown>>

/** What tokens are minted from. */
export interface Mint {
  readonly issuer: string
  readonly policy: ValidationPolicy
  readonly clientId: string
  /** Claims of every token. */
  readonly claims: Members
  /** The current key. */
  readonly key: () => SigningKey
}

/** A token before it is signed. */
interface Draft {
  readonly header: Members
  readonly claims: Members
}

const hour = 3600
const encoder = new TextEncoder()
const encodeJson = (value: unknown): string => base64url.encode(encoder.encode(JSON.stringify(value)))

const secondsNow = Effect.map(Clock.currentTimeMillis, (millis) => Math.floor(millis / 1000))

/** A subject that the profile accepts. */
const subjectOf = ({ trustDomain }: ValidationPolicy): string =>
  trustDomain === undefined ? "test-user" : `${trustDomainId(trustDomain)}/test-workload`

/** The claims that a valid token of the policy has. */
const validClaims = (
  { clientId, issuer, policy }: Mint,
  now: number,
  lifetime: number
): Members => ({
  // Stands for any claim that the policy requires, and is replaced by those that follow.
  ...Object.fromEntries(policy.requiredClaims.map((name) => [name, "test"])),
  iss: issuer,
  sub: subjectOf(policy),
  [policy.audienceClaim]: policy.audiences[0],
  ...(policy.authorizedParties === undefined ? undefined : { azp: policy.authorizedParties[0] }),
  ...(policy.profile === "accessToken" ? { client_id: clientId } : undefined),
  iat: now,
  exp: now + lifetime,
  jti: SecureRandom.uuidV4Unsafe()
})

type Change = (now: number, policy: ValidationPolicy) => Partial<Draft>

/** What a fault changes before the token is signed. */
const changes: Partial<Record<TokenFault | LogoutTokenFault, Change>> = {
  expired: (now) => ({ claims: { iat: now - 2 * hour, exp: now - hour } }),
  notYetValid: (now) => ({ claims: { nbf: now + hour, exp: now + 2 * hour } }),
  issuedInFuture: (now) => ({ claims: { iat: now + hour, exp: now + 2 * hour } }),
  wrongIssuer: () => ({ claims: { iss: "https://another-issuer.example" } }),
  wrongAudience: (_, { audienceClaim }) => ({ claims: { [audienceClaim]: "another-audience" } }),
  wrongType: () => ({ header: { typ: "another+jwt" } }),
  unknownKey: () => ({ header: { kid: "unknown" } }),
  withoutEvent: () => ({ claims: { events: undefined } }),
  withNonce: () => ({ claims: { nonce: "nonce" } }),
  withoutSubject: () => ({ claims: { sub: undefined, sid: undefined } })
}

const sign = ({ claims, header }: Draft, { privateKey }: SigningKey): Effect.Effect<string> =>
  Effect.promise(() =>
    new CompactSign(encoder.encode(JSON.stringify(claims)))
      .setProtectedHeader({ alg: "", ...header })
      .sign(privateKey)
  )

/** Signs with the public key as a secret, as an attacker of a validator that confuses algorithms does. */
const signWithPublicKey = ({ claims, header }: Draft, { publicJwk }: SigningKey): Effect.Effect<string> =>
  Effect.promise(() =>
    new CompactSign(encoder.encode(JSON.stringify(claims)))
      .setProtectedHeader({ ...header, alg: "HS256" })
      .sign(encoder.encode(JSON.stringify(publicJwk)))
  )

const tampered = (token: string, { claims }: Draft): string => {
  const [header = "", , signature = ""] = token.split(".")
  return [header, encodeJson({ ...claims, sub: "another-user" }), signature].join(".")
}

/** Signs a draft with the current key, or in the wrong way that a fault names. */
const signed = Effect.fnUntraced(function*(
  draft: Draft,
  key: SigningKey,
  fault: TokenFault | LogoutTokenFault | undefined
): Effect.fn.Return<string> {
  switch (fault) {
    case "malformed":
      return "not.a.token"
    case "unsigned":
      return `${encodeJson({ ...draft.header, alg: "none" })}.${encodeJson(draft.claims)}.`
    case "publicKeyAsSecret":
      return yield* signWithPublicKey(draft, key)
    case "wrongKey":
    case "unknownKey":
      return yield* sign(draft, yield* makeSigningKey(key.alg, key.kid, "sig"))
    case "tampered":
      return tampered(yield* sign(draft, key), draft)
    default:
      return yield* sign(draft, key)
  }
})

const hashOf = (alg: string, text: string | undefined): Effect.Effect<string | undefined> =>
  text === undefined ? Effect.undefined : halfHash(alg, text)

/** Mints a token of the policy's profile. */
export const mintToken = Effect.fnUntraced(function*(
  mint: Mint,
  claims: Members,
  { accessToken, code, fault, header, lifetime }: TokenOptions
): Effect.fn.Return<string> {
  const now = yield* secondsNow
  const key = mint.key()
  const change = fault === undefined ? undefined : changes[fault]?.(now, mint.policy)
  const [type] = compileRules(mint.policy).types
  return yield* signed(
    {
      header: { alg: key.alg, kid: key.kid, typ: type, ...header, ...change?.header },
      claims: {
        ...validClaims(mint, now, Duration.toSeconds(lifetime ?? "5 minutes")),
        ...mint.claims,
        at_hash: yield* hashOf(key.alg, accessToken),
        c_hash: yield* hashOf(key.alg, code),
        ...claims,
        ...change?.claims
      }
    },
    key,
    fault
  )
})

/** Mints a logout token (OpenID Connect Back-Channel Logout 1.0, 2.4). */
export const mintLogoutToken = Effect.fnUntraced(function*(
  { issuer, key: current, policy }: Mint,
  claims: Members,
  { fault, header, lifetime }: LogoutTokenOptions
): Effect.fn.Return<string> {
  const now = yield* secondsNow
  const key = current()
  const change = fault === undefined ? undefined : changes[fault]?.(now, policy)
  return yield* signed(
    {
      header: { alg: key.alg, kid: key.kid, typ: "logout+jwt", ...header, ...change?.header },
      claims: {
        iss: issuer,
        aud: policy.audiences[0],
        iat: now,
        exp: now + Duration.toSeconds(lifetime ?? "2 minutes"),
        jti: SecureRandom.uuidV4Unsafe(),
        events: { "http://schemas.openid.net/event/backchannel-logout": {} },
        ...(claims["sub"] === undefined && claims["sid"] === undefined ? { sub: "test-user" } : undefined),
        ...claims,
        ...change?.claims
      }
    },
    key,
    fault
  )
})
