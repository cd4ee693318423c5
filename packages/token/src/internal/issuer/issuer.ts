import * as Configuration from "@keelson/core/Configuration"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Algorithm from "@keelson/jwks/Algorithm"
import * as Effect from "effect/Effect"
import type { Endpoint, Options, ServerFault, TestIssuer } from "../../testing/TestIssuer.ts"
import * as ValidationPolicy from "../../ValidationPolicy.ts"
import { expandIssuer } from "../validation/issuers.ts"
import { compileRules } from "../validation/rules.ts"
import type { IssuerState } from "./endpoints.ts"
import { type Mint, mintLogoutToken, mintToken } from "./mint.ts"
import { makeSigningKey, type SigningKey } from "./signingKeys.ts"

/** An issuer, and what its endpoints serve. */
export interface MadeIssuer {
  readonly service: TestIssuer["Service"]
  readonly state: IssuerState
  /** Its name in a key source. */
  readonly sourceName: string
}

const endpoints: ReadonlyArray<Endpoint> = ["metadata", "keys", "token"]

const invalid = (path: string, expected: string) =>
  new KeelsonError.ConfigurationError({
    code: "INVALID_CONFIG",
    message: `${path} must have ${expected}`,
    details: { path, expected }
  })

const decodePolicy = Configuration.decode(ValidationPolicy.ValidationPolicy, ["policy"])

/** The algorithm of the keys: the first of the policy's with a public key. */
const algorithmOf = (
  { algorithms }: ValidationPolicy.ValidationPolicy
): Effect.Effect<string, KeelsonError.ConfigurationError> => {
  const alg = algorithms.find((alg) => !Algorithm.isSecretAlgorithm(alg))
  return alg === undefined
    ? Effect.fail(invalid("policy.algorithms", "an algorithm of public keys, since a test issuer publishes its keys"))
    : Effect.succeed(alg)
}

/** The first issuer whose tokens the policy accepts. */
const issuerOf = (
  { issuers: [first] }: ValidationPolicy.ValidationPolicy
): Effect.Effect<string, KeelsonError.ConfigurationError> => {
  const [issuer] = first === undefined ? [] : expandIssuer(first)
  return issuer === undefined
    ? Effect.fail(invalid("policy.issuers", "a list of tenants, since a function cannot name one"))
    : Effect.succeed(issuer)
}

/** Makes an issuer with one key. `url` replaces the issuers of the policy. */
export const makeIssuer = Effect.fnUntraced(function*(
  { claims = {}, client = { id: "test-client", secret: "test-secret" }, fault, policy: given }: Options,
  url?: string
): Effect.fn.Return<MadeIssuer, KeelsonError.ConfigurationError> {
  const options: ValidationPolicy.Options = {
    ...given,
    issuers: url === undefined ? given.issuers ?? ["https://issuer.example"] : [url]
  }
  const policy = yield* decodePolicy(options)
  const alg = yield* algorithmOf(policy)
  const issuer = yield* issuerOf(policy)
  const use = compileRules(policy).keyUse ?? "sig"
  const [first] = policy.issuers

  let made = 0
  const nextKey = Effect.suspend(() => makeSigningKey(alg, `test-key-${++made}`, use))
  let current: SigningKey = yield* nextKey
  let published: ReadonlyArray<SigningKey> = [current]
  const faults = new Map<Endpoint, ServerFault>(
    fault === undefined ? [] : endpoints.map((endpoint) => [endpoint, fault])
  )
  const requests: Record<Endpoint, number> = { metadata: 0, keys: 0, token: 0 }

  const mint: Mint = { issuer, policy, clientId: client.id, claims, key: () => current }
  const subject = policy.profile === "spiffe" ? undefined : { sub: client.id }
  return {
    sourceName: typeof first === "string" || first === undefined ? issuer : first.template,
    state: {
      issuer,
      alg,
      client,
      keys: () => published,
      fault: (endpoint) => faults.get(endpoint),
      record: (endpoint) => void requests[endpoint]++,
      mint: (scope) => mintToken(mint, { ...subject, scope }, {})
    },
    service: {
      issuer,
      policy: options,
      token: (claims = {}, options = {}) => mintToken(mint, claims, options),
      logoutToken: (claims = {}, options = {}) => mintLogoutToken(mint, claims, options),
      keySet: Effect.sync(() => ({ keys: published.map(({ publicJwk }) => ({ ...publicJwk })) })),
      rotateKey: ({ withdraw = false } = {}) =>
        Effect.map(nextKey, (key) => {
          published = withdraw ? [key] : [key, ...published]
          current = key
        }),
      setFault: (fault, endpoint) =>
        Effect.sync(() => {
          for (const one of endpoint === undefined ? endpoints : [endpoint]) {
            if (fault === undefined) faults.delete(one)
            else faults.set(one, fault)
          }
        }),
      requests: Effect.sync(() => ({ ...requests }))
    }
  }
})
