/** What an error about a configuration text says: where the option stands, and which one was meant. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Schema } from "effect"
import { Configuration, ResiliencePolicy, RetryPolicy } from "../src/index.ts"
import * as Field from "../src/unstable/Field.ts"

const yaml = (text: string, section?: string) =>
  Effect.flip(Configuration.decodeText(ResiliencePolicy.ResiliencePolicy, { format: "yaml", text, section }))

const document = `# the options of an application
keelson:
  billing:
    deadline: 5 seconds

    retry:
      maxAttempts: 1000
      statuses:
        - 429
        - 700
      "jitterRatio" : 7   # too large
    breaker: { failureThreshold: 0 }
  mail:
    retry:
      maxAttempt: 2
`

describe("the text of a configuration", () => {
  it.effect("[K-28 H9] an issue in YAML names its line", () =>
    Effect.gen(function*() {
      const error = yield* yaml(document, "keelson.billing")
      const { issues } = error.details
      assert.deepStrictEqual(
        Array.isArray(issues) && issues.map(({ line, path }) => [path, line]),
        [
          ["keelson.billing.retry.maxAttempts", 7],
          ["keelson.billing.retry.jitterRatio", 11],
          ["keelson.billing.retry.statuses.1", 10],
          ["keelson.billing.breaker.failureThreshold", 12]
        ]
      )
      assert.include(
        error.message,
        "keelson.billing.retry.maxAttempts (line 7) must be a whole number from 1 to 100"
      )
    }))

  it.effect("[K-28 H9] an unknown option in YAML names its line and the option that was probably meant", () =>
    Effect.gen(function*() {
      const error = yield* yaml(document, "keelson.mail")
      assert.strictEqual(
        error.message,
        "Invalid configuration: keelson.mail.retry.maxAttempt (line 15) is not an option; did you mean maxAttempts?"
      )
      assert.deepInclude(error.details, {
        issues: [{
          path: "keelson.mail.retry.maxAttempt",
          expected: "a known option",
          line: 15,
          suggestion: "maxAttempts"
        }]
      })
    }))

  const lists = Schema.Struct({ servers: Schema.Array(Schema.Struct({ name: Schema.String, port: Schema.Int })) })
  const sequences: ReadonlyArray<readonly [string, number]> = [
    ["servers:\n  - name: a\n    port: 1\n  - name: b\n    port: x\n", 5],
    ["servers:\n- name: a\n  port: 1\n- name: b\n  port: x\n", 5],
    ["servers:\n- port: 1\n  name: a\n-\n  name: b\n  port: x\n", 6],
    ["servers:\n  - {name: a, port: 1}\n  - {name: b, port: x}\n", 3],
    ["servers: [{name: a, port: 1}, {name: b, port: x}]\n", 1],
    ["'servers':\r\n  - name: a\r\n    port: 1\r\n  - name: b\r\n    port: x\r\n", 5]
  ]
  for (const [text, line] of sequences) {
    it.effect(`[K-28 H9] finds line ${line} of ${JSON.stringify(text)}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Configuration.decodeText(lists, { format: "yaml", text }))
        assert.include(error.message, `servers.1.port (line ${line}) must be`)
      }))
  }

  const twice: ReadonlyArray<readonly [string, string, number]> = [
    [`{"maxAttempts": 3, "maxAttempts": 9}`, "maxAttempts", 1],
    [`{"maxAttempts": 3,\n "max\\u0041ttempts": 9}`, "maxAttempts", 2],
    [`{"budget": {"ratio": 0.1},\n\n"budget": {"ratio": 0.2}}`, "budget", 3],
    [`{"budget": {"ratio": 0.1, "ratio": 0.2}}`, "budget.ratio", 1],
    [`{"statuses": [429], "budget": {}, "x": [{"a": 1}, {"b": 1, "b": [1]}]}`, "x.1.b", 1]
  ]
  for (const [text, path, line] of twice) {
    it.effect(`[K-28 G10] refuses a member that stands twice: ${text}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Configuration.decodeText(RetryPolicy.Data, { format: "json", text }))
        assert.strictEqual(error.message, `Invalid configuration: ${path} (line ${line}) occurs twice`)
        assert.deepInclude(error.details, { path, expected: "a member that stands once", line })
      }))
  }

  it.effect("[K-28 G10] refuses one in YAML too, and takes members that only look alike", () =>
    Effect.gen(function*() {
      const error = yield* yaml("deadline: 1 second\ndeadline: 2 seconds\n")
      assert.include(error.message, "not valid YAML at line 2")
      const text = `{"strategy": "fixed", "jitter": "none", "statuses": [500, 500], "budget": {"ratio": 0.1}}`
      assert.strictEqual(
        (yield* Configuration.decodeText(RetryPolicy.Data, { format: "json", text })).strategy,
        "fixed"
      )
      const quoted = `{"a": "\\"b\\": 1, \\"b\\": 2", "b": "{", "c": {"a": 1, "b": ["a", "a"]}}`
      const any = Schema.Record(Schema.String, Schema.Unknown)
      assert.deepStrictEqual(
        Object.keys(yield* Configuration.decodeText(any, { format: "json", text: quoted })),
        ["a", "b", "c"]
      )
    }))

  const near: ReadonlyArray<readonly [unknown, string]> = [
    [{ maxAttemps: 3 }, "maxAttemps is not an option; did you mean maxAttempts?"],
    [{ max_attempts: 3 }, "max_attempts is not an option; did you mean maxAttempts?"],
    [{ jitterRation: 0.1 }, "jitterRation is not an option; did you mean jitterRatio?"],
    [{ budget: { ratoi: 1 } }, "budget.ratoi is not an option; did you mean ratio?"],
    [{ colour: "red" }, "colour is not an option"]
  ]
  for (const [input, message] of near) {
    it.effect(`[K-28 H9] ${message}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Configuration.decode(RetryPolicy.Data)(input))
        assert.strictEqual(error.message, `Invalid configuration: ${message}`)
      }))
  }

  it.effect("[K-28 H9] a variable that is misspelled names the option", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Configuration.fromEnvironment(RetryPolicy.Data, ["keelson"])).pipe(
        Effect.provideService(
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromEnv({ env: { KEELSON_MAX_ATTEMPTS: "3", KEELSON_INITIAL_DELAI: "1 second" } })
        )
      )
      assert.strictEqual(
        error.message,
        "Invalid configuration: keelson.INITIAL_DELAI is not an option; did you mean initialDelay?"
      )
    }))

  const spellings: ReadonlyArray<readonly [string, number]> = [
    ["250ms", 250],
    ["250 ms", 250],
    ["250 millis", 250],
    ["1 sec", 1_000],
    ["1s", 1_000],
    ["1.5 Seconds", 1_500],
    ["2min", 120_000],
    ["2 mins", 120_000],
    ["2m", 120_000],
    ["3h", 10_800_000],
    ["3 hrs", 10_800_000],
    ["1d", 86_400_000],
    [" 5 s ", 5_000],
    ["1500\u00b5s", 1.5]
  ]
  const decode = Configuration.decode(Schema.Struct({ delay: Field.duration("0 millis", "7 days") }))
  for (const [text, millis] of spellings) {
    it.effect(`[K-28 H9] reads the duration ${JSON.stringify(text)}`, () =>
      Effect.gen(function*() {
        assert.strictEqual(Duration.toMillis((yield* decode({ delay: text })).delay), millis)
      }))
  }

  for (const text of ["250", "", "ms", "5 fortnights", "-1s", "1 s 2 ms", "1e3ms", "1 ss", "5mss", "2 hs"]) {
    it.effect(`[K-28 H9] refuses the duration ${JSON.stringify(text)}, and shows one that works`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(decode({ delay: text }))
        const [, shown = ""] = /from (.+) to/.exec(error.message) ?? []
        assert.strictEqual(shown, "0 millis")
        assert.isDefined(yield* decode({ delay: shown }))
      }))
  }
})
