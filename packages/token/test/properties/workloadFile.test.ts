import { assert, describe, it } from "@effect/vitest"
import { quiet } from "@keelson/testing/observe"
import { forAllEffect } from "@keelson/testing/properties"
import { ByteSize, Clock, Effect, FileSystem, Option, PlatformError, Redacted, Stream } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { WorkloadIdentity } from "../../src/index.ts"

const path = "/token"

/** A JWT with a signature that nobody checks. All have the same length. */
const tokenOf = (number: number, exp: number): string => {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")
  const claims = { n: String(number).padStart(6, "0"), exp: exp + 0.5 }
  return `${part({ alg: "ES256" })}.${part(claims)}.${"A".repeat(86)}`
}

type Content = { readonly lifetime: number } | "empty" | "cut" | "garbage" | "missing"

type Step =
  /** A new file is moved over the old one. */
  | { readonly do: "replace"; readonly content: Content }
  /** The same file is written again. */
  | { readonly do: "overwrite"; readonly content: Content }
  | { readonly do: "pass"; readonly millis: number }
  | { readonly do: "use" }

const content: fc.Arbitrary<Content> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ lifetime: fc.integer({ min: -2, max: 20 }) }) },
  { weight: 3, arbitrary: fc.constantFrom("empty", "cut", "garbage", "missing") }
)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant("replace" as const), content }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("overwrite" as const), content }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("pass" as const),
      millis: fc.oneof(fc.integer({ min: 0, max: 2_500 }), fc.integer({ min: 0, max: 30_000 }))
    })
  },
  { weight: 6, arbitrary: fc.constant({ do: "use" as const }) }
)

const unused = {
  atime: Option.none(),
  birthtime: Option.none(),
  dev: 0n,
  nlink: Option.none(),
  uid: Option.none(),
  gid: Option.none(),
  rdev: Option.none(),
  blksize: Option.none(),
  blocks: Option.none(),
  mode: 0o644
}

/** A file system whose time stamps have steps of 2 seconds, as FAT has. */
const files = () => {
  const own = { text: undefined as string | undefined, ino: 1, mtime: 0, reads: 0 }
  const missing = PlatformError.systemError({ _tag: "NotFound", module: "FileSystem", method: "stat" })
  const layer = FileSystem.layerNoop({
    stat: () =>
      own.text === undefined ? Effect.fail(missing) : Effect.succeed({
        type: "File",
        ino: Option.some(BigInt(own.ino)),
        mtime: Option.some(new Date(own.mtime)),
        size: ByteSize.bytes(own.text.length),
        ...unused
      }),
    stream: () => {
      own.reads++
      return Stream.make(new TextEncoder().encode(own.text))
    }
  })
  return { own, layer }
}

/** A token, and when it expires, in milliseconds. */
interface Issued {
  readonly token: string
  readonly expiresAt: number
}

const run = (steps: ReadonlyArray<Step>) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(1_000_000)
    const { layer, own } = files()
    const identity = yield* Effect.provide(WorkloadIdentity.file({ path }), layer)
    let issued = 0
    let current: Issued | Exclude<Content, { readonly lifetime: number }> = "missing"
    let last: Issued | undefined
    for (const step of steps) {
      const now = yield* Clock.currentTimeMillis
      if (step.do === "pass") yield* TestClock.adjust(step.millis)
      else if (step.do === "use") {
        const good = typeof current === "object" && current.expiresAt > now ? current : undefined
        if (good !== undefined) last = good
        const expected: Issued | undefined = good ?? (last !== undefined && last.expiresAt > now ? last : undefined)
        const result = yield* Effect.match(identity.assertion, {
          onSuccess: (token): unknown => Redacted.value(token),
          onFailure: ({ code, details }): unknown => [code, details["reason"]]
        })
        const reasons = { empty: "empty", cut: "malformed", garbage: "malformed", missing: "unreadable" }
        const reason = typeof current === "object" ? "expired" : reasons[current]
        assert.deepStrictEqual(result, expected?.token ?? ["WORKLOAD_TOKEN_INVALID", reason])
      } else {
        const at = Math.floor(now / 1_000)
        const exp = typeof step.content === "object" ? at + step.content.lifetime : 0
        const token = tokenOf(++issued, exp)
        current = typeof step.content === "object" ? { token, expiresAt: exp * 1_000 + 500 } : step.content
        const length = token.length
        const texts = { empty: "", cut: token.slice(0, -1), garbage: "x".repeat(length), missing: undefined }
        own.text = typeof step.content === "object" ? token : texts[step.content]
        own.mtime = Math.floor(now / 2_000) * 2_000
        if (step.do === "replace") own.ino++
      }
    }
  })

describe("A token in a file", () => {
  it("[K-39] each use gives the current token, else the last good one until it expires, else the reason", (context) =>
    forAllEffect(
      context,
      1000,
      fc.array(step, { minLength: 5, maxLength: 40 }),
      (steps) => quiet(run([...steps, { do: "use" }]))
    ))

  it.effect("[K-39] a file that does not change is read once", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000_000)
      const { layer, own } = files()
      Object.assign(own, { text: tokenOf(1, 2_000), mtime: 996_000 })
      const identity = yield* Effect.provide(WorkloadIdentity.file({ path }), layer)
      for (const _ of [1, 2, 3]) yield* identity.assertion
      assert.strictEqual(own.reads, 1)
    }))
})
