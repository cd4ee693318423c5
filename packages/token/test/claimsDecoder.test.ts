import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Result, Schema, SchemaGetter } from "effect"
import { type ClaimsSchema, deepFreeze, makeClaimsDecoder } from "../src/internal/validation/claims.ts"

interface Tree {
  readonly label: string
  readonly children?: ReadonlyArray<Tree>
}
const Tree: Schema.Codec<Tree> = Schema.Struct({
  label: Schema.String,
  children: Schema.optionalKey(Schema.Array(Schema.suspend(() => Tree)))
})

class Account extends Schema.Class<Account>("test/Account")(Schema.Struct({ id: Schema.String })) {}

const refusal = (schema: ClaimsSchema, claims: unknown) => {
  const result = makeClaimsDecoder(schema)(claims)
  return Result.isFailure(result) ? result.failure : "accepted"
}

const pathOf = (reason: ReturnType<typeof refusal>) =>
  typeof reason === "object" && "path" in reason ? reason.path : undefined

describe("claimsDecoder", () => {
  it("[K-08] reports the path of the first problem, and a missing claim by its name", () => {
    const schema = Schema.Struct({
      tenant: Schema.String,
      limits: Schema.optionalKey(Schema.Struct({ daily: Schema.Int })),
      roles: Schema.optionalKey(Schema.Array(Schema.String))
    })
    assert.deepStrictEqual(refusal(schema, {}), { _tag: "ClaimMissing", claim: "tenant" })
    assert.deepStrictEqual(refusal(schema, { tenant: 1 }), { _tag: "ClaimInvalid", path: "tenant" })
    assert.deepStrictEqual(refusal(schema, { tenant: "a", limits: {} }), { _tag: "ClaimInvalid", path: "limits.daily" })
    assert.deepStrictEqual(refusal(schema, { tenant: "a", limits: { daily: 0.5 } }), {
      _tag: "ClaimInvalid",
      path: "limits.daily"
    })
    assert.deepStrictEqual(refusal(schema, { tenant: "a", roles: ["a", 1] }), { _tag: "ClaimInvalid", path: "roles.1" })
    assert.deepStrictEqual(refusal(schema, "text"), { _tag: "ClaimInvalid", path: "*" })
    assert.strictEqual(refusal(schema, { tenant: "a", roles: [] }), "accepted")
  })

  it("[R21] names that the token's author chose appear as *", () => {
    const schema = Schema.Struct({ quota: Schema.Record(Schema.String, Schema.Struct({ max: Schema.Int })) })
    assert.deepStrictEqual(refusal(schema, { quota: { secret: { max: "x" } } }), {
      _tag: "ClaimInvalid",
      path: "quota.*.max"
    })
    assert.deepStrictEqual(refusal(schema, { quota: { secret: 1 } }), { _tag: "ClaimInvalid", path: "quota.*" })
  })

  it("goes through unions, tuples, lists within themselves, classes and transformations", () => {
    const union = Schema.Struct({
      who: Schema.Union([Schema.Struct({ user: Schema.String }), Schema.Struct({ app: Schema.Int })])
    })
    assert.include(["who", "who.user"], pathOf(refusal(union, { who: { user: 1 } })))
    assert.deepStrictEqual(
      refusal(Schema.Struct({ pair: Schema.Tuple([Schema.String, Schema.Int]) }), { pair: ["a", "b"] }),
      {
        _tag: "ClaimInvalid",
        path: "pair.1"
      }
    )
    assert.deepStrictEqual(refusal(Tree, { label: "a", children: [{ label: "b", children: [{ label: 1 }] }] }), {
      _tag: "ClaimInvalid",
      path: "children.0.children.0.label"
    })
    assert.deepStrictEqual(refusal(Schema.Struct({ account: Account }), { account: { id: 1 } }), {
      _tag: "ClaimInvalid",
      path: "account.id"
    })
    assert.deepStrictEqual(refusal(Schema.Struct({ at: Schema.DateTimeUtcFromString }), { at: "never" }), {
      _tag: "ClaimInvalid",
      path: "at"
    })
  })

  it("[K-08] a schema that throws or is asynchronous rejects, and does not die", () => {
    const throwing = Schema.Struct({
      sub: Schema.String.check(Schema.makeFilter(() => {
        throw new Error("a bug")
      }))
    })
    assert.deepStrictEqual(refusal(throwing, { sub: "a" }), { _tag: "ClaimInvalid", path: "*" })
    const waiting = Schema.Struct({
      sub: Schema.String.pipe(Schema.decode({
        decode: SchemaGetter.transformEffect((text: string) => Effect.delay(Effect.succeed(text), "1 second")),
        encode: SchemaGetter.passthrough()
      }))
    })
    assert.deepStrictEqual(refusal(waiting, { sub: "a" }), { _tag: "ClaimInvalid", path: "*" })
  })
})

describe("deepFreeze", () => {
  it("[R6] freezes objects, lists and instances of schema classes, all the way down", () => {
    const account = new Account({ id: "a" })
    const value = deepFreeze({ list: [{ name: "a" }], account, none: null, empty: Object.create(null) })
    assert.isTrue([value, value.list, value.list[0], account, value.empty].every(Object.isFrozen))
  })

  it("[R6] continues past frozen objects, and handles cycles", () => {
    const inner = { name: "a" }
    const circle: { self?: object; readonly frozen: object } = { frozen: Object.freeze({ inner }) }
    circle.self = circle
    deepFreeze(circle)
    assert.isTrue(Object.isFrozen(inner))
  })

  it("does not freeze what would break: a DateTime, a Map, bytes", () => {
    const value = deepFreeze({ at: DateTime.makeUnsafe(0), map: new Map([["a", 1]]), bytes: new Uint8Array(2) })
    assert.strictEqual(DateTime.toPartsUtc(value.at).year, 1970)
    value.map.set("b", 2)
    value.bytes[0] = 1
    assert.strictEqual(value.map.size, 2)
  })
})
