import { assert, describe, it } from "@effect/vitest"
import * as Decoders from "@keelson/core/unstable/Decoders"
import { Cause, ConfigProvider, Duration, Effect, Redacted, Result, Schema } from "effect"
import { inspect } from "node:util"
import * as Configuration from "../src/Configuration.ts"
import { decodeResult } from "../src/internal/configuration/decodeResult.ts"
import { ConfigurationError } from "../src/KeelsonError.ts"
import * as Problem from "../src/Problem.ts"
import * as ResiliencePolicy from "../src/ResiliencePolicy.ts"
import * as RetryPolicy from "../src/RetryPolicy.ts"
import * as Field from "../src/unstable/Field.ts"

const provide = (variables: Record<string, string>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables))

/** The retry options from variables that begin with `KEELSON_RETRY_`. */
const fromEnvironment = (variables: Record<string, string>) =>
  Configuration.fromEnvironment(RetryPolicy.Data, ["keelson", "retry"]).pipe(
    provide(Object.fromEntries(Object.entries(variables).map(([name, value]) => [`KEELSON_RETRY_${name}`, value])))
  )

const decodeText = (format: "json" | "yaml", text: string, section?: string) =>
  Configuration.decodeText(RetryPolicy.Data, { format, text, section })

const expected = (options: RetryPolicy.Options) => Decoders.decodeUnsafe(RetryPolicy.Data)(options)

describe("Configuration", () => {
  describe("decodeResult", () => {
    const decode = decodeResult(RetryPolicy.Data, ["app", "retry"])

    it("[S3-32] what is wrong within a list is named at its place, also where the list has a bound and a default", () => {
      const names = Schema.Array(Schema.NonEmptyString).check(
        Schema.isMaxLength(2, { expected: "a list of at most 2 names" })
      )
      const decode = decodeResult(Schema.Struct({ names: Field.defaulted(names, []) }))
      const expectedOf = (input: object) => {
        const { details } = Result.getOrThrow(Result.flip(decode(input)))
        return [details["path"], details["expected"]]
      }
      assert.strictEqual(expectedOf({ names: ["a", ""] })[0], "names.1")
      assert.deepStrictEqual(expectedOf({ names: ["a", "b", "c"] }), ["names", "a list of at most 2 names"])
      assert.deepStrictEqual(expectedOf({ names: "a" }), ["names", "a list of at most 2 names"])
    })

    it("[S3-32] a schema failure is INVALID_CONFIG (CFG-002), with the path from the root", () => {
      const result = decode({ maxAttempts: 0 })
      assert.isTrue(Result.isFailure(result))
      const error = Result.getOrThrow(Result.flip(result))
      assert.instanceOf(error, ConfigurationError)
      assert.strictEqual(error.code, "INVALID_CONFIG")
      assert.strictEqual(Problem.encode(error).error_code, "CFG-002")
      assert.deepEqual(error.details, {
        path: "app.retry.maxAttempts",
        expected: "a whole number from 1 to 100",
        issues: [{ path: "app.retry.maxAttempts", expected: "a whole number from 1 to 100" }]
      })
    })

    it("accepts Duration values and text alike, at any depth", () => {
      const values = { deadline: Duration.seconds(9), budget: { window: Duration.seconds(20) } }
      const text = { deadline: "9 seconds", budget: { window: "20 seconds" } }
      assert.deepEqual(Result.getOrThrow(decode(values)), Result.getOrThrow(decode(text)))
      assert.deepEqual(
        Result.getOrThrow(decode({ initialDelay: Duration.nanos(1500n) })).initialDelay,
        Duration.nanos(1500n)
      )
    })

    for (const input of [undefined, null, 5, "text", [], true]) {
      it(`refuses ${typeof input} ${String(input)} for a section`, () => {
        const result = decode(input)
        assert.include(Result.getOrThrow(Result.flip(result)).message, "app.retry must be a section of options")
      })
    }

    const secretive = ["clientSecret", "token", "apiKey", "password", "privateKey", "authorization"]
    for (const name of secretive) {
      it(`names ${name}, though it looks like the name of a secret`, () => {
        const decode = decodeResult(Schema.Struct({ [name]: Schema.String }))
        const errorOf = (input: unknown) => Result.getOrThrow(Result.flip(decode(input)))
        assert.strictEqual(errorOf({}).message, `Invalid configuration: ${name} is missing`)
        assert.strictEqual(errorOf({ [name]: 5 }).message, `Invalid configuration: ${name} must be string`)
        const unknown = errorOf({ [name]: "x", [`${name}s`]: "x" })
        assert.strictEqual(unknown.message, `Invalid configuration: ${name}s is not an option; did you mean ${name}?`)
        assert.deepEqual(unknown.details["path"], `${name}s`)
      })
    }

    it("opens what is Redacted in code for the schema, and shows nothing of it where it does not fit", () => {
      const Secret = Schema.Struct({ secret: Schema.RedactedFromValue(Schema.String.check(Schema.isMinLength(8))) })
      const decode = decodeResult(Secret)
      const accepted = Result.getOrThrow(decode({ secret: Redacted.make("long enough") }))
      assert.strictEqual(Redacted.value(accepted.secret), "long enough")
      const refused = Result.getOrThrow(Result.flip(decode({ secret: Redacted.make("tiny") })))
      assert.notInclude(inspect(refused) + JSON.stringify(refused), "tiny")
    })

    it("decodeUnsafe throws the error itself", () => {
      assert.throws(() => Decoders.decodeUnsafe(RetryPolicy.Data)({ maxAttempts: 0 }), ConfigurationError)
    })
  })

  describe("decodeText", () => {
    it.effect("[S3-24] an empty section has the defaults", () =>
      Effect.gen(function*() {
        assert.deepEqual(yield* decodeText("json", "{\"retry\":{}}", "retry"), expected({}))
        assert.deepEqual(yield* decodeText("yaml", "retry: {}\n", "retry"), expected({}))
        assert.deepEqual(yield* decodeText("yaml", "{}"), expected({}))
      }))

    it.effect("numbers and booleans may be quoted", () =>
      Effect.gen(function*() {
        const quoted = "{\"maxAttempts\":\"5\",\"multiplier\":\"1.5\",\"enabled\":\"false\",\"statuses\":[\"503\",429]}"
        const options = { maxAttempts: 5, multiplier: 1.5, enabled: false, statuses: [503, 429] }
        assert.deepEqual(yield* decodeText("json", quoted), expected(options))
      }))

    const missing = [
      ["retry", "{}", "retry"],
      ["app.retry", "{\"app\":{}}", "app.retry"],
      ["app.retry.http", "{\"app\":{}}", "app.retry"],
      ["app.retry", "{}", "app"],
      ["app.retry", "{\"app\":5}", "app.retry"],
      ["app.retry", "null", "app"],
      ["toString", "{}", "toString"],
      ["__proto__", "{}", "__proto__"]
    ] as const
    for (const [section, text, key] of missing) {
      it.effect(`[S3-32] ${section} missing from ${text} is CONFIG_MISSING (CFG-001) with missing_key ${key}`, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(decodeText("json", text, section))
          assert.strictEqual(error.code, "CONFIG_MISSING")
          assert.strictEqual(Problem.encode(error).error_code, "CFG-001")
          assert.deepEqual(error.details, { missing_key: key })
          assert.include(error.message, key)
        }))
    }

    it.effect("looks at the section that is asked for alone", () =>
      Effect.gen(function*() {
        const text = "{\"other\":{\"password\":\"${UNSET}\",\"x\":1},\"a\":{\"b\":{\"maxAttempts\":2}}}"
        assert.deepEqual(yield* decodeText("json", text, "a.b").pipe(provide({})), expected({ maxAttempts: 2 }))
      }))

    const malformed = [["json", "{"], ["json", ""], ["json", "{maxAttempts: 3}"], ["yaml", "{a: 1"], [
      "yaml",
      "a: *b"
    ]] as const
    for (const [format, text] of malformed) {
      it.effect(`${JSON.stringify(text)} is not ${format}: INVALID_CONFIG`, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(decodeText(format, text))
          assert.strictEqual(error.code, "INVALID_CONFIG")
          assert.include(error.message, `not valid ${format.toUpperCase()}`)
        }))
    }

    it.effect("what can't be read is told with its place, and nothing of what stands there", () =>
      Effect.gen(function*() {
        const duplicate = yield* Effect.flip(decodeText("yaml", "a: 1\na: hunter2hunter2\n"))
        assert.strictEqual(duplicate.message, "The configuration is not valid YAML at line 2")
        assert.deepStrictEqual(duplicate.details, { expected: "yaml", place: "line 2" })
        const json = yield* Effect.flip(decodeText("json", "{\"a\": hunter2hunter2}"))
        assert.strictEqual(json.message, "The configuration is not valid JSON")
        assert.notInclude(JSON.stringify([duplicate, json]), "hunter2")
      }))

    const refused = [
      ["{\"maxAttempts\":\"\"}", "maxAttempts must be a whole number from 1 to 100"],
      ["{\"maxAttempts\":\" 3\"}", "maxAttempts must be a whole number from 1 to 100"],
      ["{\"maxAttempts\":\"0x3\"}", "maxAttempts must be a whole number from 1 to 100"],
      ["{\"maxAttempts\":true}", "maxAttempts must be a whole number from 1 to 100"],
      ["{\"maxAttempts\":null}", "maxAttempts must be a whole number from 1 to 100"],
      ["{\"jitterRatio\":\"\"}", "jitterRatio must be a number from 0 to 1"],
      ["{\"jitterRatio\":\"NaN\"}", "jitterRatio must be a number from 0 to 1"],
      ["{\"multiplier\":\"Infinity\"}", "multiplier must be a number from 1 to 100"],
      ["{\"initialDelay\":250}", "initialDelay must be a duration with its unit, from 0 millis to 24 hours"],
      ["{\"enabled\":1}", "enabled must be \"true\" | \"false\""],
      ["{\"enabled\":\"yes\"}", "enabled must be \"true\" | \"false\""],
      ["{\"statuses\":503}", "statuses must be array"],
      ["{\"statuses\":[503,\"x\"]}", "statuses.1 must be a whole number from 400 to 599"],
      ["{\"__proto__\":{\"maxAttempts\":9}}", "__proto__ is not an option"]
    ] as const
    for (const [text, message] of refused) {
      it.effect(`[S3-23] refuses ${text} by its bound`, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(decodeText("json", text))
          assert.strictEqual(error.message, `Invalid configuration: ${message}`)
        }))
    }
  })

  describe("fromEnvironment", () => {
    const accepted: ReadonlyArray<readonly [variables: Record<string, string>, options: RetryPolicy.Options]> = [
      [{ MAX_ATTEMPTS: "5", RETRY_AFTER_BEYOND: "clamp" }, { maxAttempts: 5, retryAfterBeyond: "clamp" }],
      [{ INITIAL_DELAY: "250 millis", ENABLED: "false" }, { initialDelay: "250 millis", enabled: false }],
      [{ STATUSES: "429,503" }, { statuses: [429, 503] }],
      [{ STATUSES: " 429 , 503 " }, { statuses: [429, 503] }],
      [{ STATUSES: "503" }, { statuses: [503] }],
      [{ STATUSES_1: "503", STATUSES_0: "429" }, { statuses: [429, 503] }],
      [
        Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`STATUSES_${11 - n}`, String(500 + 11 - n)])),
        { statuses: Array.from({ length: 12 }, (_, n) => 500 + n) }
      ],
      [{ BUDGET_MIN_PER_SECOND: "2", BUDGET_WINDOW: "1 minute" }, { budget: { minPerSecond: 2, window: "1 minute" } }],
      [{ MAX_ATTEMPTS: "5", MULTIPLIER: "" }, { maxAttempts: 5 }]
    ]
    for (const [variables, options] of accepted) {
      it.effect(`[S2-24] reads ${JSON.stringify(variables)}`, () =>
        Effect.gen(function*() {
          assert.deepEqual(yield* fromEnvironment(variables), expected(options))
        }))
    }

    const refused: ReadonlyArray<readonly [variables: Record<string, string>, message: string]> = [
      [{ MAX_RETRIES: "3" }, "keelson.retry.MAX_RETRIES is not an option"],
      [{ MAX_ATTEMPTS: "3", TYPO: "x" }, "keelson.retry.TYPO is not an option"],
      [{ BUDGET_RATE: "3" }, "keelson.retry.BUDGET_RATE is not an option"],
      [{ BUDGET: "3" }, "keelson.retry.BUDGET is not an option"],
      [{ MAX_ATTEMPTS_0: "3" }, "keelson.retry.MAX_ATTEMPTS_0 is not an option"],
      [{ STATUSES: "429", STATUSES_0: "503" }, "keelson.retry.STATUSES_0 is not an option"],
      [{ STATUSES_FIRST: "429" }, "keelson.retry.STATUSES_FIRST is not an option"],
      [{ MAX__ATTEMPTS: "3" }, "keelson.retry.MAX__ATTEMPTS is not an option"],
      [{ MAX_ATTEMPTS: "101" }, "keelson.retry.maxAttempts must be a whole number from 1 to 100"],
      [{ MAX_ATTEMPTS: "three" }, "keelson.retry.maxAttempts must be a whole number from 1 to 100"],
      [{ JITTER_RATIO: " " }, "keelson.retry.jitterRatio must be a number from 0 to 1"],
      [
        { INITIAL_DELAY: "250" },
        "keelson.retry.initialDelay must be a duration with its unit, from 0 millis to 24 hours"
      ],
      [{ STATUSES: "429,,503" }, "keelson.retry.statuses.1 must be a whole number from 400 to 599"],
      [{ ENABLED: "1" }, "keelson.retry.enabled must be \"true\" | \"false\""],
      [{ INITIAL_DELAY: "2 seconds", MAX_DELAY: "1 second" }, "keelson.retry.maxDelay must be at least initialDelay"]
    ]
    for (const [variables, message] of refused) {
      it.effect(`[S3-23] refuses ${JSON.stringify(variables)}`, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(fromEnvironment(variables))
          assert.include(error.message, message)
          assert.strictEqual(error.code, "INVALID_CONFIG")
        }))
    }

    it.effect("[S2-24] refuses an unknown jitter", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(fromEnvironment({ JITTER: "some" }))
        assert.include(error.message, "keelson.retry.jitter must be \"none\" | \"full\"")
      }))

    for (const variables of [{}, { MAX_ATTEMPTS: "" }]) {
      it.effect(`[S3-32] no section in ${JSON.stringify(variables)} is CONFIG_MISSING with missing_key`, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(fromEnvironment(variables))
          assert.strictEqual(error.code, "CONFIG_MISSING")
          assert.deepEqual(error.details, { missing_key: "keelson.retry" })
          assert.include(error.message, "KEELSON_RETRY_")
        }))
    }

    it.effect("finds a section whose name has several words", () =>
      Effect.gen(function*() {
        const read = Configuration.fromEnvironment(RetryPolicy.Data, ["keelson", "objectStore"])
        const decoded = yield* provide({ KEELSON_OBJECT_STORE_MAX_ATTEMPTS: "7", KEELSON_OBJECT: "x" })(read)
        assert.deepEqual(decoded, expected({ maxAttempts: 7 }))
      }))

    it.effect("takes the names as the schema writes them from a provider of plain data", () =>
      Effect.gen(function*() {
        const data = { keelson: { retry: { maxAttempts: 4, statuses: [503, 429], budget: { ratio: 0.5 } } } }
        const decoded = yield* Configuration.fromEnvironment(RetryPolicy.Data, ["keelson", "retry"]).pipe(
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(data))
        )
        assert.deepEqual(decoded, expected(data.keelson.retry))
      }))

    it.effect("a source that can't be read is INVALID_CONFIG", () =>
      Effect.gen(function*() {
        const broken = ConfigProvider.make(() => Effect.fail(new ConfigProvider.SourceError({ message: "disk" })))
        const error = yield* Configuration.fromEnvironment(RetryPolicy.Data, ["a"]).pipe(
          Effect.provideService(ConfigProvider.ConfigProvider, broken),
          Effect.flip
        )
        assert.deepStrictEqual([error.code, error.message], [
          "INVALID_CONFIG",
          "The configuration source could not be read"
        ])
      }))
  })

  describe("secrets", () => {
    const secret = "hunter2-s3cr3t"

    /** Everything that an error shows of itself, in any of the usual ways. */
    const shown = (error: ConfigurationError): string =>
      [
        error.message,
        String(error),
        error.stack,
        JSON.stringify(error),
        JSON.stringify(error.details),
        inspect(error, { depth: Infinity, showHidden: true }),
        inspect(error.cause, { depth: Infinity, showHidden: true }),
        JSON.stringify(Problem.toProblemDetails(error)),
        Cause.pretty(Cause.fail(error))
      ].join("\n")

    const places: ReadonlyArray<unknown> = [
      ...[...Object.keys(RetryPolicy.Data.fields), "nowhere"].flatMap((name) => [
        { retry: { [name]: secret } },
        { retry: { [name]: [secret] } },
        { retry: { [name]: { deep: secret } } }
      ]),
      { deadline: secret, detach: secret, attemptTimeout: secret, breaker: secret },
      { retry: { budget: { ratio: secret, window: secret, other: secret } } },
      { retry: { statuses: [503, secret, { secret }] } },
      { breaker: { strategy: secret, openDuration: secret, failureThreshold: secret } },
      secret,
      [secret]
    ]
    const leaks: ReadonlyArray<
      readonly [source: string, decode: (place: unknown) => Effect.Effect<unknown, ConfigurationError>]
    > = [
      ["an object", Configuration.decode(ResiliencePolicy.ResiliencePolicy)],
      [
        "JSON",
        (place) =>
          Configuration.decodeText(ResiliencePolicy.ResiliencePolicy, { format: "json", text: JSON.stringify(place) })
      ],
      [
        "YAML",
        (place) =>
          Configuration.decodeText(ResiliencePolicy.ResiliencePolicy, { format: "yaml", text: JSON.stringify(place) })
      ],
      ["a variable", (place) => {
        const text = JSON.stringify(place).replaceAll(`"${secret}"`, "\"${SECRET}\"")
        return Configuration.decodeText(ResiliencePolicy.ResiliencePolicy, { format: "json", text }).pipe(
          provide({ SECRET: secret })
        )
      }]
    ]
    for (const [source, decode] of leaks) {
      it.effect(`[R21] a value of ${source} in a wrong place appears nowhere in the error`, () =>
        Effect.gen(function*() {
          for (const place of places) {
            const error = yield* Effect.flip(decode(place))
            assert.notInclude(shown(error), "hunter2", JSON.stringify(place))
            assert.notInclude(shown(error), "s3cr3t")
          }
        }))
    }

    it.effect("[R21] a value of the environment in a wrong place appears nowhere in the error", () =>
      Effect.gen(function*() {
        const names = [
          "MAX_ATTEMPTS",
          "INITIAL_DELAY",
          "JITTER",
          "ENABLED",
          "STATUSES",
          "STATUSES_0",
          "BUDGET",
          "NO_OPTION"
        ]
        for (const name of names) {
          assert.notInclude(shown(yield* Effect.flip(fromEnvironment({ [name]: secret }))), "hunter2", name)
        }
      }))

    it.effect("[R21] text that can't be parsed appears nowhere in the error", () =>
      Effect.gen(function*() {
        for (const text of [`{"password":"${secret}",}`, secret, `{"password":${secret}}`, `"${secret}`]) {
          assert.notInclude(shown(yield* Effect.flip(decodeText("json", text))), "hunter2", text)
        }
        for (
          const text of [
            `a: "${secret}`,
            `a: *${secret}`,
            `{${secret}: 1`,
            `${secret}: 1\n${secret}: 2`,
            `\t${secret}: !!x`
          ]
        ) {
          assert.notInclude(shown(yield* Effect.flip(decodeText("yaml", text, "retry"))), "hunter2", text)
        }
      }))
  })
})
