import { assert, describe, it } from "@effect/vitest"
import { type Configuration, KeelsonError } from "@keelson/core"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import { ConfigProvider, Duration, Effect, Redacted, Schema } from "effect"

const Part = Schema.Struct({ template: Schema.String, size: Field.defaulted(Field.int(1, 9), 1) })
interface Part {
  readonly template: string
  readonly size?: number | undefined
}

const All = Schema.Struct({
  name: Schema.String,
  kind: Field.defaulted(Schema.Literals(["a", "b"]), "a"),
  wait: Schema.optionalKey(Field.duration("0 millis", "1 hour")),
  secret: Schema.optionalKey(Schema.RedactedFromValue(Schema.String)),
  part: Schema.optionalKey(Part),
  parts: Field.defaulted(Schema.Array(Schema.Union([Schema.String, Part])), [])
})

interface Options {
  readonly name: string
  readonly kind?: "a" | "b" | undefined
  readonly wait?: Configuration.DurationInput | undefined
  readonly secret?: Redacted.Redacted | undefined
  readonly part?: Part | undefined
  readonly parts?: ReadonlyArray<string | Part> | undefined
}

const decoders = Decoders.decoders<Options, typeof All>(All)

const size = Schema.Struct({ size: Field.defaulted(Field.int(1, 9), 1) })
type Size = typeof size

/** What does not compile: each call names an interface that differs from its schema. */
export const refused = () => {
  // @ts-expect-error an option that the schema lacks
  Decoders.decoders<{ readonly size?: number | undefined; readonly more?: number | undefined }, Size>(size)
  // @ts-expect-error an option that the interface lacks
  Decoders.decoders<{}, Size>(size)
  // @ts-expect-error another type
  Decoders.decoders<{ readonly size?: string | undefined }, Size>(size)
  // @ts-expect-error a narrower type
  Decoders.decoders<{ readonly size?: 1 | undefined }, Size>(size)
  // @ts-expect-error required, though the schema has a default
  Decoders.decoders<{ readonly size: number }, Size>(size)
  // @ts-expect-error undefined is not accepted
  Decoders.decoders<{ readonly size?: number }, Size>(size)
  // @ts-expect-error not readonly
  Decoders.decoders<{ size?: number | undefined }, Size>(size)
  // @ts-expect-error optional, though the schema requires it
  Decoders.decoders<Omit<Options, "name"> & { readonly name?: string | undefined }, typeof All>(All)
  // @ts-expect-error an option more in a section
  Decoders.decoders<Omit<Options, "part"> & { readonly part?: (Part & { a: 1 }) | undefined }, typeof All>(All)
  // @ts-expect-error an option that may not be left out
  decoders.make()
}

describe("Decoders.decoders", () => {
  it("checks options given in code, and throws where they are wrong", () => {
    const checked = decoders.make({ name: "n", wait: "1 second", secret: Redacted.make("s"), part: { template: "t" } })
    assert.deepStrictEqual(checked.wait, Duration.seconds(1))
    assert.deepStrictEqual(checked.part, { template: "t", size: 1 })
    assert.strictEqual(checked.kind, "a")
    assert.throws(() => decoders.make({ name: "n", part: { template: "t", size: 0 } }), KeelsonError.ConfigurationError)
  })

  it("takes no options at all where each may be left out", () => {
    const of = Decoders.decoders<{ readonly size?: number | undefined }, Size>(size)
    assert.deepStrictEqual(of.make(), { size: 1 })
  })

  it.effect("decodes plain objects, text and the environment", () =>
    Effect.gen(function*() {
      const expected = decoders.make({ name: "n", wait: "2 seconds" })
      assert.deepStrictEqual(yield* decoders.decode({ name: "n", wait: "2 seconds" }), expected)
      const text = JSON.stringify({ app: { name: "n", wait: "2 seconds" } })
      assert.deepStrictEqual(yield* decoders.decodeText({ format: "json", text, section: "app" }), expected)
      const provider = ConfigProvider.fromEnv({ env: { APP_NAME: "n", APP_WAIT: "2 seconds" } })
      const read = Effect.provideService(decoders.config(["app"]), ConfigProvider.ConfigProvider, provider)
      assert.deepStrictEqual(yield* read, expected)
      assert.strictEqual((yield* Effect.flip(decoders.decode({}))).code, "INVALID_CONFIG")
    }))
})
