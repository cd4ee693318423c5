import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, DateTime, Effect } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { Revocation } from "../../src/index.ts"
import { type List, listOf, token } from "../RevocationSuite.ts"

const tolerance = 30_000
const tolerated = 300_000
const maxEntries = 6

type Kind = "jti" | "sid" | "sub"
const kinds: ReadonlyArray<Kind> = ["jti", "sid", "sub"]

/** Names from a small pool, so that they collide. */
const name = fc.constantFrom("a", "b", "c")
const issuer = fc.constantFrom("https://one.example", "https://two.example")

type Step =
  | { readonly do: "revoke"; readonly issuer: string; readonly kind: Kind; readonly id: string; readonly life: number }
  | { readonly do: "check"; readonly token: Revocation.Identity; readonly issuedBefore: number }
  | { readonly do: "pass"; readonly millis: number }
  | { readonly do: "skew"; readonly millis: number }

const optional = fc.option(name, { nil: undefined, freq: 4 })

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("revoke" as const),
      issuer,
      kind: fc.constantFrom(...kinds),
      id: name,
      life: fc.oneof(fc.integer({ min: -tolerated - 2, max: 0 }), fc.integer({ min: 0, max: 1_800_000 }))
    })
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("check" as const),
      token: fc.record({ iss: issuer, jti: optional, sid: optional, sub: optional }).map(token),
      // Times near the second up to which a revocation made now applies, and times far from it.
      issuedBefore: fc.oneof(fc.integer({ min: -32_000, max: -28_000 }), fc.integer({ min: -90_000, max: 600_000 }))
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("pass" as const), millis: fc.integer({ min: 0, max: 400_000 }) })
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("skew" as const), millis: fc.integer({ min: -600_000, max: 900_000 }) })
  }
)

/** One requested revocation. */
interface Asked {
  readonly key: string
  readonly issuedUntil: number
  readonly monotonic: number
  readonly wall: number
  /** Whether it was over on both clocks at the same time, after which the list may drop it. */
  isOver: boolean
}

/**
 * The list as documented: it contains only requested revocations. Time only decides when the list may drop an entry, and
 * when an entry no longer applies.
 */
class Model {
  readonly asked: Array<Asked> = []
  monotonic = 10_000_000
  skew = 0
  get wall(): number {
    return this.monotonic + this.skew
  }

  #hasEnded({ monotonic, wall }: Pick<Asked, "monotonic" | "wall">): boolean {
    return this.monotonic >= monotonic && this.wall >= wall
  }
  tick(): void {
    for (const one of this.asked) one.isOver ||= this.#hasEnded(one)
  }
  add({ id, issuer, kind, life }: Extract<Step, { do: "revoke" }>): void {
    const left = life + tolerated
    if (left <= 0) return
    this.asked.push({
      key: `${issuer} ${kind} ${id}`,
      issuedUntil: kind === "sub" ? Math.ceil((this.wall + tolerance) / 1000) : Number.POSITIVE_INFINITY,
      monotonic: this.monotonic + left,
      wall: this.wall + left,
      isOver: false
    })
  }
  #of({ iss, ...names }: Revocation.Identity): ReadonlyArray<ReadonlyArray<Asked>> {
    return kinds.map((kind) => this.asked.filter(({ key }) => key === `${iss} ${kind} ${names[kind]}`))
  }
  /** Whether the list must revoke the token: each revocation applies until it is over. */
  must(token: Revocation.Identity): boolean {
    return this.#of(token).flat().some(({ isOver, issuedUntil }) => !isOver && isMeant(issuedUntil, token))
  }
  /** Whether the list may revoke the token: revocations of one key extend each other. */
  may(token: Revocation.Identity): boolean {
    return this.#of(token).some((all) =>
      isMeant(Math.max(...all.map(({ issuedUntil }) => issuedUntil)), token) &&
      !this.#hasEnded({
        monotonic: Math.max(...all.map(({ monotonic }) => monotonic)),
        wall: Math.max(...all.map(({ wall }) => wall))
      }) && all.length > 0
    )
  }
  keys(isHeld: (asked: Asked) => boolean): ReadonlySet<string> {
    return new Set(this.asked.filter(isHeld).map(({ key }) => key))
  }
}

const isMeant = (issuedUntil: number, { iat }: Revocation.Identity): boolean => iat === undefined || iat <= issuedUntil

const revokes = (list: List, { id, issuer, kind, life }: Extract<Step, { do: "revoke" }>, wall: number) => {
  const until = DateTime.makeUnsafe(wall + life)
  if (kind === "jti") return list.revoke({ issuer, jti: id }, until)
  return list.revoke(kind === "sid" ? { issuer, sid: id } : { issuer, sub: id }, until)
}

/** Adds a revocation and checks the limit: the list fails as full only at its limit, and never exceeds it. */
const tryRevoke = Effect.fnUntraced(function*(list: List, model: Model, step: Extract<Step, { do: "revoke" }>) {
  const key = `${step.issuer} ${step.kind} ${step.id}`
  const [ever, surely] = [model.keys(() => true), model.keys(({ isOver }) => !isOver)]
  const isRefused = yield* Effect.match(revokes(list, step, model.wall), {
    onSuccess: () => false,
    onFailure: ({ reason }) => reason === "full"
  })
  if (isRefused) {
    assert.isAtLeast(ever.size, maxEntries)
    assert.isFalse(surely.has(key))
  } else {
    model.add(step)
    if (step.life + tolerated > 0 && !surely.has(key)) assert.isBelow(surely.size, maxEntries)
  }
})

/** How often the list returned each result, and how often the model allowed both. */
const seen = { revoked: 0, not: 0, open: 0 }

const run = Effect.fnUntraced(function*(steps: ReadonlyArray<Step>) {
  const { clock, skew } = yield* skewedClock
  const model = new Model()
  yield* TestClock.setTime(model.monotonic)
  const body = Effect.gen(function*() {
    const list = yield* listOf(Revocation.layerMemory({ maxEntries }))
    for (const step of steps) {
      if (step.do === "revoke") yield* tryRevoke(list, model, step)
      else if (step.do === "pass") {
        yield* TestClock.adjust(step.millis)
        model.monotonic += step.millis
      } else if (step.do === "skew") {
        skew.millis += step.millis
        model.skew = skew.millis
      } else {
        const iat = Math.max(0, Math.floor((model.wall - step.issuedBefore) / 1000))
        for (const one of [step.token, { ...step.token, iat }]) {
          const [must, may, is] = [model.must(one), model.may(one), yield* list.isRevoked(one)]
          assert.isTrue(is ? may : !must)
          seen[must === may ? (is ? "revoked" : "not") : "open"]++
        }
      }
      model.tick()
    }
  })
  yield* Effect.provideService(body, Clock.Clock, clock)
})

describe("Revocation", () => {
  it("[R10] [R23] [K-04] the list in memory agrees with a naive model, for any revocations and clock changes", async (context) => {
    await forAllEffect(context, 500, fc.array(step, { maxLength: 60, size: "max" }), run)
    assert.isAbove(seen.revoked, 1_000)
    assert.isAbove(seen.not, 1_000)
    assert.isBelow(seen.open, seen.revoked)
  })
})
