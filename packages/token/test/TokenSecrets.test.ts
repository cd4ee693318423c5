/** Errors, logs, spans and metrics contain nothing of a token. */
import { assert, describe, it } from "@effect/vitest"
import { Metrics, Problem, PrometheusEndpoint } from "@keelson/core"
import { JwksError, KeySource } from "@keelson/jwks"
import { recording, spanText } from "@keelson/testing/observe"
import { goodClaims, issuer, keysOf, pairOf, sign } from "@keelson/testing/tokens"
import { Cause, Context, Effect, Exit, Layer, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { Claims, TokenValidator, ValidationPolicy } from "../src/index.ts"

const secrets = {
  sub: "SecretSubject0123456789",
  jti: "SecretJti0123456789",
  kid: "SecretKid0123456789",
  client: "SecretClient0123456789",
  scope: "SecretScope0123456789",
  tenant: "SecretTenant0123456789",
  member: "SecretMember0123456789",
  typ: "SecretTyp0123456789",
  alg: "SecretAlg0123456789",
  iss: "https://SecretIssuer0123456789.example",
  aud: "SecretAudience0123456789"
}

class Tokens extends TokenValidator.Service<Tokens>()("test/Secrets", {
  claims: Schema.Struct({
    ...Claims.AccessToken.fields,
    limits: Schema.optionalKey(Schema.Record(Schema.String, Schema.Number))
  })
}) {}

const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: ["api"], algorithms: ["ES256", "EdDSA"] })

/** A token for every reason to reject it, and a valid one. */
const tokensOf = Effect.gen(function*() {
  const [pair, other, unknown] = yield* Effect.all([
    pairOf("ES256", "known"),
    pairOf("EdDSA"),
    pairOf("ES256", secrets.kid)
  ])
  const claims = {
    ...yield* goodClaims,
    sub: secrets.sub,
    jti: secrets.jti,
    client_id: secrets.client,
    scope: secrets.scope,
    tenant: secrets.tenant
  }
  const changed = (changes: Readonly<Record<string, unknown>>, header?: Readonly<Record<string, unknown>>) =>
    sign(pair, { ...claims, ...changes }, header)
  const good = yield* changed({})
  return {
    keys: keysOf([pair, other]),
    tokens: [
      good,
      `${good.slice(0, -8)}AAAAAAAA`,
      yield* sign(unknown, claims),
      yield* changed({ exp: 1, iat: 0 }),
      yield* changed({ iss: secrets.iss }),
      yield* changed({ aud: secrets.aud }),
      yield* changed({ sub: [secrets.sub] }),
      yield* changed({ limits: { [secrets.member]: "no number" } }),
      yield* changed({ jti: undefined }),
      yield* changed({}, { typ: secrets.typ }),
      `${Buffer.from(JSON.stringify({ alg: "ES256", crit: [secrets.member] })).toString("base64url")}.${
        good.split(".")[1]
      }.`,
      `${Buffer.from(JSON.stringify({ alg: secrets.alg })).toString("base64url")}.${good.split(".")[1]}.`,
      `${good.split(".")[0]}.${Buffer.from(`{"sub":"${secrets.sub}`).toString("base64url")}.AAAA`,
      secrets.sub
    ]
  }
})

/** All text representations of an error. */
const shown = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<string> => {
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  if (!(error instanceof Error)) return []
  return [
    String(error),
    JSON.stringify(error),
    inspect(error, { depth: 12, showHidden: true }),
    JSON.stringify(Problem.toProblemDetails(error)),
    Cause.pretty(Cause.fail(error))
  ]
}

describe("TokenValidator and secrets", () => {
  it.effect("[T5] [R21] no error, log line, span, metric or label holds anything of a token", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("20000 days")
      const { keys, tokens } = yield* tokensOf
      const { lines, record, spans } = recording()
      const outputs = yield* record(Effect.gen(function*() {
        const context = yield* Layer.build(Layer.provide(Tokens.layer(policy), keys))
        const service = Context.get(context, Tokens)
        const exits = yield* Effect.forEach(
          tokens,
          (token) =>
            Effect.exit(
              service.validate(token).pipe(
                Effect.tapError((error) => Effect.logError(error)),
                Effect.asVoid,
                Effect.withSpan("call")
              )
            )
        )
        yield* Effect.exit(service.validateWith(tokens[3] ?? "", { skipExpiry: true }))
        assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
        return exits.flatMap(shown)
      }))
      assert.isAbove(lines.length, 10)
      assert.isAbove(spans.length, 10)
      const all = [...outputs, ...lines, ...spans.map(spanText), yield* PrometheusEndpoint.format].join("\n")
      for (const [name, secret] of Object.entries(secrets)) assert.notInclude(all, secret, name)
      for (const part of tokens.flatMap((token) => token.split(".")).filter((part) => part.length > 16)) {
        assert.notInclude(all, part)
      }
    }).pipe(Effect.provide(Metrics.layerIsolated)))

  it.effect("[R21] [S4-37] where several keys fit, the log tells the place of the one that verified, and no name", () =>
    Effect.gen(function*() {
      const [first, second] = yield* Effect.all([pairOf("ES256", "first"), pairOf("ES256", secrets.kid)])
      const { lines, record } = recording()
      yield* record(Effect.gen(function*() {
        const service = Context.get(
          yield* Layer.build(Layer.provide(Tokens.layer(policy), keysOf([first, second]))),
          Tokens
        )
        yield* service.validate(yield* sign(second, yield* goodClaims, { kid: undefined }))
      }))
      assert.include(lines.join("\n"), "key 2 of 2")
      assert.notInclude(lines.join("\n"), secrets.kid)
    }))

  it.effect("an issuer of the policy that the key source does not serve is logged once", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("ES256")
      const { lines, record } = recording()
      const unserved = Layer.succeed(KeySource.KeySource, {
        find: () => Effect.fail(new JwksError.JwksNotRegistered())
      })
      yield* record(Effect.gen(function*() {
        const service = Context.get(yield* Layer.build(Layer.provide(Tokens.layer(policy), unserved)), Tokens)
        const token = yield* sign(pair, yield* goodClaims)
        yield* Effect.exit(service.validate(token))
        yield* Effect.exit(service.validate(token))
      }))
      assert.strictEqual(
        lines.filter((line) => line.includes("trusts an issuer that its key source does not serve")).length,
        1
      )
    }))
})
