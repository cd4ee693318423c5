/** The CPU time of a rejected token on all threads, by the check that rejects it. */
import { Effect, type Scope } from "effect"
import type { Finding } from "../figures.ts"
import { originOf } from "../jwks/origin.ts"
import { measure, processor, spread } from "../measure.ts"
import { damagedOf } from "./forgeries.ts"
import { claimsOf, jwkOf, type Members, poolOf as tokensOf, type Signer, signerOf, tokenOf } from "./issuer.ts"
import { type Expected, poolOf } from "./pool.ts"
import { cached } from "./validators.ts"

const group = "a rejected token, RS256"
/** More tokens than the validator's cache of rejections holds. */
const many = 2048
/** Few enough tokens to fit in that cache. */
const few = 256

interface Stage {
  readonly what: string
  readonly tokens: ReadonlyArray<string>
  readonly expected: Expected
}

const stagesOf = (signer: Signer): ReadonlyArray<Stage> => {
  const changed = (members: Members, size: number): ReadonlyArray<string> =>
    Array.from({ length: size }, (_, index) => tokenOf(signer, { ...claimsOf(index), ...members }))
  const good = tokensOf(signer, many)
  const damaged = damagedOf(good)
  const expired = changed({ iat: 1_600_000_000, exp: 1_600_003_600 }, many)
  return [
    { what: "malformed: two parts", tokens: good.map((token) => token.slice(0, token.lastIndexOf("."))) },
    { what: "another issuer", tokens: changed({ iss: "https://other.example" }, few) },
    { what: "bad signature, new", tokens: damaged },
    { what: "bad signature, seen before", tokens: damaged.slice(0, few) },
    { what: "expired, new", tokens: expired },
    { what: "expired, seen before", tokens: expired.slice(0, few) }
  ].map((stage): Stage => ({ ...stage, expected: "rejected" })).concat([
    { what: "for comparison: accepted, seen before", tokens: good.slice(0, few), expected: "accepted" }
  ])
}

export const rejections: Effect.Effect<ReadonlyArray<Finding>, unknown, Scope.Scope> = Effect.gen(function*() {
  const signer = signerOf("RS256")
  const origin = yield* originOf(JSON.stringify({ keys: [jwkOf(signer)] }))
  const stages = stagesOf(signer)
  const loops = yield* Effect.forEach(
    stages,
    ({ expected, tokens }) =>
      Effect.map(cached.make(signer, origin), (validator) => poolOf(validator, tokens, expected))
  )
  const times = yield* Effect.promise(() =>
    measure(loops, { sampleMillis: 20, warmUpMillis: 400, stopwatch: processor })
  )
  return stages.map(({ what }, index): Finding => ({
    group,
    what,
    value: spread(times[index] ?? []).median / 1000,
    unit: "µs"
  }))
})
