/** A simulated issuer, revocation list and clock for two validators, one with a cache and one without, and the steps of a run. */
import { JwksError, KeySource } from "@keelson/jwks"
import { type Clock, Context, Duration, Effect, Layer, Schema } from "effect"
import fc from "fast-check"
import { Revocation, TokenValidator } from "../../src/index.ts"
import { SignatureVerifier, type VerifySignature } from "../../src/internal/validation/signature.ts"

const issuer = "i"
export const start = 1_800_000_000

const encode = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url")

/** A simulated token. Its signature is the name of the key's material. */
export interface Token {
  readonly kid: string | undefined
  readonly material: string
  /** Seconds from the start. */
  readonly exp: number
  readonly nbf: number | undefined
  readonly iat: number | undefined
  readonly aud: string
  readonly jti: string
  readonly hasSub: boolean
}

export const textOf = ({ aud, exp, hasSub, iat, jti, kid, material, nbf }: Token): string => {
  const at = (seconds: number | undefined) => seconds === undefined ? undefined : start + seconds
  const claims = {
    iss: issuer,
    aud,
    exp: at(exp),
    nbf: at(nbf),
    iat: at(iat),
    jti,
    ...(hasSub ? { sub: "s" } : undefined)
  }
  return [encode({ alg: "EdDSA", kid, typ: "JWT" }), encode(claims), encode(material)].join(".")
}

const jti = fc.constantFrom("t1", "t2", "t3", "t3")

const anyToken: fc.Arbitrary<Token> = fc.record({
  kid: fc.constantFrom("a", "a", "a", "b", "c", undefined),
  material: fc.constantFrom("a1", "a1", "a1", "a2", "b1", "x"),
  exp: fc.constantFrom(-10, 5, 20, 60, 100, 300, 1000, 1e8),
  nbf: fc.constantFrom(undefined, undefined, undefined, -400, -60, 0, 5, 31, 45, 100, 300),
  iat: fc.constantFrom(0, 0, 0, -10, -60, -400, 5, 31, 45, undefined),
  aud: fc.constantFrom("api", "api", "api", "api", "other"),
  jti,
  hasSub: fc.constantFrom(true, true, true, true, false)
})

/** A token that is valid at first. */
const goodToken: fc.Arbitrary<Token> = fc.record({
  kid: fc.constantFrom("a", undefined),
  material: fc.constant("a1"),
  exp: fc.constantFrom(20, 60, 100, 300, 1e8),
  nbf: fc.constantFrom(undefined, -60, 5),
  iat: fc.constantFrom(0, -10),
  aud: fc.constant("api"),
  jti,
  hasSub: fc.constant(true)
})

export const token = fc.oneof({ weight: 3, arbitrary: goodToken }, { weight: 2, arbitrary: anyToken })

/** The published keys: kids and material. */
type Keys = ReadonlyArray<readonly [kid: string, material: string]>
const keySets: ReadonlyArray<Keys> = [
  [["a", "a1"]],
  [["a", "a1"], ["b", "b1"]],
  [["a", "a2"], ["b", "b1"]],
  [["b", "b1"]],
  [["a", "a2"], ["a", "a1"]],
  [["c", "x"]]
]

export type Step =
  | { readonly is: "validate"; readonly index: number; readonly how: "audience" | "claim" | "plain" | "skipExpiry" }
  | { readonly is: "pass"; readonly seconds: number }
  /** Sets the wall clock's offset in seconds; zero corrects it. */
  | { readonly is: "wall"; readonly seconds: number }
  | { readonly is: "publish"; readonly keys: Keys; readonly lasts: number }
  | { readonly is: "invalidate" | "withdraw" }
  | { readonly is: "revoke"; readonly jti: string; readonly isRevoked: boolean }
  | { readonly is: "store"; readonly isDown: boolean }

const validate = fc.record({
  is: fc.constant("validate" as const),
  index: fc.nat(5),
  how: fc.constantFrom(
    "plain" as const,
    "plain" as const,
    "plain" as const,
    "audience" as const,
    "claim" as const,
    "skipExpiry" as const
  )
})
const moving = (is: "pass" | "wall", seconds: ReadonlyArray<number>) =>
  fc.record({ is: fc.constant(is), seconds: fc.constantFrom(...seconds) })

export const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: validate },
    { weight: 4, arbitrary: moving("pass", [0.5, 1, 1, 4, 5, 5, 9, 10, 11, 30, 60, 300]) },
    { weight: 2, arbitrary: moving("wall", [0, 0, 0, 0, -5, 5, 29, 60, -31, -3600, 86_400]) },
    {
      weight: 2,
      arbitrary: fc.record({
        is: fc.constant("publish" as const),
        keys: fc.constantFrom(...keySets, ...keySets.slice(0, 2), ...keySets.slice(0, 2)),
        lasts: fc.constantFrom(1e9, 1e9, 40, 400)
      })
    },
    { weight: 1, arbitrary: fc.record({ is: fc.constantFrom("invalidate" as const, "withdraw" as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        is: fc.constant("revoke" as const),
        jti: fc.constantFrom("t1", "t2"),
        isRevoked: fc.boolean()
      })
    },
    {
      weight: 1,
      arbitrary: fc.record({ is: fc.constant("store" as const), isDown: fc.constantFrom(true, false, false) })
    }
  ),
  { minLength: 1, maxLength: 60, size: "max" }
)

interface Published {
  readonly keys: Keys
  readonly trust: KeySource.KeyTrust
  readonly candidates: ReadonlyArray<KeySource.Candidate>
}

/** An issuer whose published keys are trusted until it publishes others, withdraws them, or their lifetime ends. */
export const makeIssuer = (clock: Clock.Clock) => {
  let generation = 0
  let current: Published | undefined
  const publish = (keys: Keys, lasts: number): void => {
    const deadline = clock.monotonicTimeNanosUnsafe() + BigInt(lasts) * 1_000_000_000n
    const trust: KeySource.KeyTrust = {
      generation: ++generation,
      holds: (clock) => current?.trust === trust && clock.monotonicTimeNanosUnsafe() < deadline,
      staleDeadline: () => deadline
    }
    const candidates = keys.map(([kid, material]): KeySource.Candidate => ({
      kid,
      alg: "EdDSA",
      key: { type: "public", extractable: false, usages: ["verify"], algorithm: { name: material } },
      issuer: undefined,
      trust
    }))
    current = { keys, trust, candidates }
  }
  const find: KeySource.KeySource["Service"]["find"] = (_, { kid }) =>
    Effect.suspend((): Effect.Effect<ReadonlyArray<KeySource.Candidate>, KeySource.LookupError> => {
      if (current === undefined || !current.trust.holds(clock)) return Effect.fail(new JwksError.JwksUnavailable())
      const found = current.candidates.filter((key) => kid === undefined || key.kid === kid)
      return found.length === 0
        ? Effect.fail(new JwksError.JwksKeyNotFound({ reason: "unknown" }))
        : Effect.succeed(found)
    })
  return {
    find,
    publish,
    withdraw: () => {
      current = undefined
    },
    /** Material of the keys to try now; `undefined` if there are no keys at all. */
    materials: (kid: string | undefined) =>
      current?.trust.holds(clock) === true
        ? current.keys.filter((key) => kid === undefined || key[0] === kid).map(([, material]) => material)
        : undefined
  }
}
export type Issuer = ReturnType<typeof makeIssuer>

/** Calls `check` for every checked signature. A signature is valid if it names the key's material. */
const verifierOf = (check: () => void): VerifySignature => async (_, { algorithm }, signature) => {
  check()
  return Buffer.from(signature).toString() === algorithm.name
}

/** A revocation list that can be unavailable. */
export const makeList = () => {
  const revoked = new Set<string>()
  const state = { isDown: false, revoked }
  const service: Revocation.Revocation["Service"] = {
    isRevoked: ({ jti }) =>
      state.isDown
        ? Effect.fail(new Revocation.RevocationUnavailable({ reason: "store" }))
        : Effect.sync(() => jti !== undefined && revoked.has(jti)),
    revoke: () => Effect.void
  }
  return { state, service }
}

const Claims = Schema.Struct({ jti: Schema.String, sub: Schema.String })

export class SimulatedTokens extends TokenValidator.Service<SimulatedTokens>()("test/Simulated", {
  claims: Claims,
  revocation: Revocation.Revocation
}) {}

export const maxAge = 400
export const tolerance = 30

/** A validator with a cache of the given size. */
export const validatorIn = (
  issuerOf: Issuer,
  list: Revocation.Revocation["Service"],
  cacheEntries: number,
  check: () => void
) =>
  Effect.map(
    Layer.build(Layer.provide(
      SimulatedTokens.layer({
        issuers: [issuer],
        audiences: ["api"],
        algorithms: ["EdDSA"],
        maxAge: Duration.seconds(maxAge),
        clockTolerance: Duration.seconds(tolerance),
        cacheEntries
      }),
      [
        Layer.succeed(KeySource.KeySource, { find: issuerOf.find }),
        Layer.succeed(Revocation.Revocation, list)
      ]
    )),
    (context) => Context.get(context, SimulatedTokens)
  ).pipe(Effect.provideService(SignatureVerifier, verifierOf(check)))
