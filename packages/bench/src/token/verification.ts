/** Validation of tokens whose signature must be verified, and of cached tokens. */
import { Effect, type Scope } from "effect"
import type { Comparison, Figures, Finding } from "../figures.ts"
import { merge } from "../figures.ts"
import { originOf } from "../jwks/origin.ts"
import { each, mainThread, measure, processor, spread, type Stopwatch, type Times } from "../measure.ts"
import { forgeriesOf } from "./forgeries.ts"
import { type Alg, algs, jwkOf, poolOf as tokensOf, type Signer, signerOf } from "./issuer.ts"
import { accepts, poolOf } from "./pool.ts"
import {
  alwaysNew,
  cached,
  type Contestant,
  fastJwtCached,
  introspected,
  joseRemote,
  peers,
  uncached,
  type Validator,
  withWebCrypto
} from "./validators.ts"

const poolSize = 1024
/** Long enough that starting and ending the concurrent validations is negligible. */
const sampleMillis = 40
const warmUpMillis = 800

/** Fails unless a validator accepts valid tokens and rejects forged ones. */
const checkValidator = Effect.fnUntraced(function*(
  { name }: Contestant,
  validator: Validator,
  signer: Signer,
  good: ReadonlyArray<string>
) {
  for (const token of good.slice(0, 3)) {
    if (!(yield* accepts(validator, token))) return yield* Effect.fail(`${name}, ${signer.alg}: rejects a valid token`)
  }
  for (const [what, token] of forgeriesOf(signer)) {
    // Twice, since a cached token must be rejected too.
    if ((yield* accepts(validator, token)) || (yield* accepts(validator, token))) {
      return yield* Effect.fail(`${name}, ${signer.alg}: accepts a token with ${what}`)
    }
  }
})

/** Checks the validators with one signer's tokens, then measures them. Returns the times by name. */
const timesOf = Effect.fnUntraced(function*(
  contestants: ReadonlyArray<Contestant>,
  alg: Alg,
  stopwatch?: Stopwatch,
  width?: number
): Effect.fn.Return<ReadonlyMap<string, Times>, unknown, Scope.Scope> {
  const signer = signerOf(alg)
  const tokens = tokensOf(signer, poolSize)
  const origin = yield* originOf(JSON.stringify({ keys: [jwkOf(signer)] }))
  const entrants = contestants.filter(({ algs }) => algs.includes(alg))
  const validators = yield* Effect.forEach(
    entrants,
    (contestant) =>
      Effect.tap(contestant.make(signer, origin), (validator) => checkValidator(contestant, validator, signer, tokens))
  )
  const loops = validators.map((validator) => poolOf(validator, tokens, "accepted", width))
  // Fills the caches, however long a validator takes for a new token.
  yield* Effect.forEach(loops, (loop) => Effect.promise(async () => loop(poolSize)), { discard: true })
  const times = yield* Effect.promise(() =>
    measure(loops, { sampleMillis, warmUpMillis, ...(stopwatch === undefined ? {} : { stopwatch }) })
  )
  return new Map(entrants.map(({ name }, index) => [name, times[index] ?? []]))
})

const beside = (
  times: ReadonlyMap<string, Times>,
  group: string,
  own: string,
  other: string,
  target: number | undefined,
  measure: Comparison["measure"] = "time"
): Comparison => ({
  group,
  measure,
  other,
  ratio: spread(each(times.get(own) ?? [], times.get(other) ?? [], (a, b) => a / b)),
  target
})

const nanosecondsOf = (what: string, times: ReadonlyMap<string, Times>): Figures["nanoseconds"] =>
  Array.from(times, ([contestant, found]) => ({ what, contestant, median: Math.round(spread(found).median) }))

/** Upper bound of Keelson's time as a share of another library's. */
const targetOf = (alg: Alg, { name }: Contestant): number | undefined => {
  if (name.startsWith("jose")) return 1.1
  return alg === "RS256" && name === "fast-jwt" ? 0.6 : undefined
}

/** Every token is verified: without a cache, and with a cache that never contains it. */
export const verified: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.map(
  Effect.forEach(algs, (alg) =>
    Effect.map(timesOf([uncached, alwaysNew, ...peers], alg), (times): Figures => ({
      comparisons: [uncached, alwaysNew].flatMap((own) =>
        peers.filter(({ algs }) => algs.includes(alg)).map((peer) =>
          beside(
            times,
            `verified, ${alg}, ${own === uncached ? "no cache" : "cache misses"}`,
            own.name,
            peer.name,
            targetOf(alg, peer)
          )
        )
      ),
      nanoseconds: nanosecondsOf(`verified, ${alg}`, times),
      findings: []
    }))),
  merge
)

/** Every token was verified before and is cached. */
export const cachedTokens: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.map(
  timesOf([cached, introspected, fastJwtCached], "RS256"),
  (times) => ({
    comparisons: [
      beside(times, "cached, RS256", cached.name, fastJwtCached.name, 0.8),
      beside(times, "cached, introspected", introspected.name, cached.name, 1.2)
    ],
    nanoseconds: nanosecondsOf("cached, RS256", times),
    findings: []
  })
)

/** CPU time of verification on the main thread, which blocks everything else in an application. */
export const onMainThread: Effect.Effect<ReadonlyArray<Finding>, unknown, Scope.Scope> = Effect.map(
  timesOf([uncached, ...peers], "RS256", mainThread),
  (times) =>
    Array.from(times, ([name, found]): Finding => ({
      group: "verified, RS256, on the main thread",
      what: name,
      value: spread(found).median / 1000,
      unit: "µs"
    }))
)

/** Upper bounds of Keelson's processor time as a share of `jwtVerify`'s: of the whole process, and of the main thread. */
const engineTargets = [
  { alg: "RS256", width: 1, processor: 0.45, mainThread: undefined },
  { alg: "RS256", width: 64, processor: 0.6, mainThread: undefined },
  { alg: "ES256", width: 64, processor: 0.8, mainThread: 0.65 },
  { alg: "EdDSA", width: 64, processor: 0.95, mainThread: 1.05 }
] as const

/** Processor time of verifying each token, with each engine, beside that of `jwtVerify`. */
export const engines: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.map(
  Effect.forEach(
    engineTargets,
    ({ alg, width, ...targets }) =>
      Effect.forEach(["processor", "mainThread"] as const, (which) =>
        Effect.map(
          timesOf([uncached, withWebCrypto, joseRemote], alg, which === "processor" ? processor : mainThread, width),
          (times): Figures => {
            const group = `verified, ${alg}, ${width === 1 ? "one after the other" : `${width} at once`}`
            return {
              comparisons: [uncached, withWebCrypto].map((own) =>
                beside(
                  times,
                  own === uncached ? group : `${group}, WebCrypto`,
                  own.name,
                  joseRemote.name,
                  own === uncached ? targets[which] : undefined,
                  which
                )
              ),
              nanoseconds: nanosecondsOf(`${group}, ${which}`, times),
              findings: []
            }
          }
        ))
  ),
  (figures) => merge(figures.flat())
)
