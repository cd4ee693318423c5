import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { Configuration, RetryPolicy } from "../../src/index.ts"

const fromEnvironment = (env: Record<string, string>) =>
  Effect.provideService(
    Configuration.fromEnvironment(RetryPolicy.Data, ["keelson", "retry"]),
    ConfigProvider.ConfigProvider,
    ConfigProvider.fromEnv({ env })
  )

const decodeText = (format: "json" | "yaml", text: string, section?: string) =>
  Configuration.decodeText(RetryPolicy.Data, { format, text, section })

const nested = (levels: number) => `{"statuses":${"[".repeat(levels)}${"]".repeat(levels)}}`

/** Nine aliases of nine, seven times: some five million members in 300 characters. */
const bomb = ["l0: &l0 [503, 503, 503, 503, 503, 503, 503, 503, 503]"]
  .concat(Array.from({ length: 6 }, (_, n) => `l${n + 1}: &l${n + 1} [${Array(9).fill(`*l${n}`).join(", ")}]`))
  .concat("retry:", "  statuses: *l6")
  .join("\n")

describe("Configuration with two spellings of an option, or of excessive size", () => {
  it.effect("rejects one option in two spellings of the environment, in either order", () =>
    Effect.gen(function*() {
      const spellings = [["MAX_ATTEMPTS", "5"], ["max_attempts", "6"]] as const
      for (const order of [spellings, spellings.toReversed()]) {
        const env = Object.fromEntries(order.map(([name, value]) => [`KEELSON_RETRY_${name}`, value]))
        const error = yield* Effect.flip(fromEnvironment(env))
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.include(error.message, "MAX_ATTEMPTS is not an option")
      }
      for (const lower of ["keelson_retry_maxAttempts", "keelson_retry_max_attempts"]) {
        const prefixes = yield* Effect.flip(fromEnvironment({ KEELSON_RETRY_MAX_ATTEMPTS: "5", [lower]: "6" }))
        assert.include(prefixes.message, "MAX_ATTEMPTS is not an option")
      }
      const same = yield* fromEnvironment({ KEELSON_RETRY_MAX_ATTEMPTS: "5", keelson_retry_maxAttempts: "5" })
      assert.strictEqual(same.maxAttempts, 5)
      const lists = { KEELSON_RETRY_STATUSES: "503", KEELSON_RETRY_statuses: "502" }
      assert.strictEqual((yield* Effect.flip(fromEnvironment(lists))).code, "INVALID_CONFIG")
    }))

  it.effect("rejects a list with an excessive index without allocating it", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(fromEnvironment({ KEELSON_RETRY_STATUSES_4294967294: "503" }))
      assert.strictEqual(error.code, "INVALID_CONFIG")
      assert.include(error.message, "must be a list of at most 1000 items")
      assert.deepStrictEqual((yield* fromEnvironment({ KEELSON_RETRY_STATUSES_0: "503" })).statuses, [503])
    }))

  it.effect("rejects text that is nested too deeply or expanded by aliases, naming its section", () =>
    Effect.gen(function*() {
      for (const levels of [1_000, 100_000]) {
        const error = yield* Effect.flip(decodeText("json", nested(levels)))
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.include(error.message, "the document is too deep or too large")
      }
      const error = yield* Effect.flip(decodeText("yaml", bomb, "retry"))
      assert.include(error.message, "retry is too deep or too large")
      assert.strictEqual(error.details["path"], "retry")
    }))

  it.effect("rejects an object that contains itself, and one that is too deep", () =>
    Effect.gen(function*() {
      const cycle: Record<string, unknown> = {}
      cycle["budget"] = cycle
      cycle["statuses"] = [cycle, cycle]
      let deep: Record<string, unknown> = {}
      for (let level = 0; level < 100_000; level++) deep = { budget: deep }
      for (const input of [cycle, deep]) {
        assert.strictEqual((yield* Effect.flip(Configuration.decode(RetryPolicy.Data)(input))).code, "INVALID_CONFIG")
      }
    }))

  it.effect("accepts large options within the limits", () =>
    Effect.gen(function*() {
      const statuses = Array.from({ length: 50_000 }, () => 503)
      const policy = yield* decodeText("json", JSON.stringify({ statuses }))
      assert.lengthOf(policy.statuses, statuses.length)
      const error = yield* Effect.flip(decodeText("json", nested(50)))
      assert.include(error.message, "statuses.0 must be a whole number from 400 to 599")
    }))
})
