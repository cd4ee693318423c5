import { assert, describe, it } from "@effect/vitest"
import { Configuration, KeelsonError } from "@keelson/core"
import { ConfigProvider, Duration, Effect, Schema } from "effect"
import * as JwksOptions from "../src/JwksOptions.ts"

const issuer = "https://idp.example"
const millis = Schema.decodeUnknownSync(Schema.DurationFromString)

const refusal = (options: unknown): KeelsonError.ConfigurationError => {
  try {
    Reflect.apply(JwksOptions.make, undefined, [options])
  } catch (error) {
    assert.instanceOf(error, KeelsonError.ConfigurationError)
    assert.strictEqual(error.code, "INVALID_CONFIG")
    return error
  }
  return assert.fail(`accepted ${JSON.stringify(options)}`)
}

const defaults: JwksOptions.JwksOptions = {
  issuer,
  discovery: "oidc",
  maxBytes: 1_048_576,
  maxRedirects: 3,
  ttl: Duration.hours(1),
  minTtl: Duration.seconds(30),
  maxTtl: Duration.hours(24),
  refreshEarly: Duration.seconds(30),
  refreshJitter: Duration.seconds(5),
  staleWindow: Duration.minutes(1),
  negativeCacheTtl: Duration.seconds(30),
  failureDelay: Duration.seconds(1),
  maxFailureDelay: Duration.minutes(1),
  maxAttempts: 3,
  attemptTimeout: Duration.seconds(3),
  retryDelay: Duration.millis(250),
  maxRetryDelay: Duration.seconds(2),
  retryJitter: "full",
  deadline: Duration.seconds(8),
  prefetch: true
}

const pin = Buffer.alloc(32, 0xfe).toString("base64")

describe("JwksOptions", () => {
  it("[S0-14] [S1-07] [S1-11] [S1-14] [S1-16] [S1-23] [S1-27] [S4-38] of an issuer alone are the defaults", () => {
    assert.deepEqual(JwksOptions.make({ issuer }), defaults)
  })

  /** Both ends of each duration, and what lies just outside; `with` keeps other options out of the way. */
  const durations: ReadonlyArray<
    readonly [
      row: string,
      option: string,
      ends: readonly [string, string],
      outside: ReadonlyArray<unknown>,
      more?: object
    ]
  > = [
    ["S0-14", "ttl", ["1 minute", "24 hours"], ["59999 millis", "86400001 millis", "0 millis"]],
    ["S1-07", "minTtl", ["30 seconds", "24 hours"], ["29999 millis", "86400001 millis"]],
    ["S1-07", "maxTtl", ["30 seconds", "24 hours"], ["29999 millis", "86400001 millis"], { refreshEarly: "1 second" }],
    ["S1-11", "refreshEarly", ["1 second", "86399999 millis"], ["999 millis", "86400001 millis", "0 millis"]],
    ["S1-11", "refreshJitter", ["0 millis", "1 hour"], ["-1 millis", "3600001 millis"]],
    ["S1-14", "staleWindow", ["0 millis", "24 hours"], ["-1 millis", "86400001 millis"]],
    ["S1-27", "negativeCacheTtl", ["0 millis", "24 hours"], ["-1 millis", "86400001 millis"]],
    ["S1-16", "failureDelay", ["100 millis", "1 hour"], ["99 millis", "3600001 millis"], {
      maxFailureDelay: "24 hours"
    }],
    ["S1-16", "maxFailureDelay", ["100 millis", "24 hours"], ["99 millis", "86400001 millis"], {
      failureDelay: "100 millis"
    }],
    ["S1-16", "attemptTimeout", ["100 millis", "1 minute"], ["99 millis", "60001 millis"], { deadline: "1 minute" }],
    ["S1-16", "retryDelay", ["1 millis", "1 minute"], ["0 millis", "60001 millis"], { maxRetryDelay: "1 minute" }],
    ["S1-16", "maxRetryDelay", ["1 millis", "1 minute"], ["0 millis", "60001 millis"], { retryDelay: "1 millis" }],
    ["S1-16", "deadline", ["100 millis", "1 minute"], ["99 millis", "60001 millis"], { attemptTimeout: "100 millis" }]
  ]
  const written: Readonly<Record<string, string>> = {
    "1 millis": "1 milli",
    // One below its bound, which is that of a duration.
    "86399999 millis": "24 hours"
  }
  for (const [row, option, ends, outside, more] of durations) {
    const [least, most] = ends.map((end) => written[end] ?? end)
    const bound = `a duration with its unit, from ${least} to ${most}`
    for (const end of ends) {
      it(`[${row}] accepts ${option} ${end}`, () => {
        const made: Readonly<Record<string, unknown>> = JwksOptions.make({ issuer, ...more, [option]: end })
        assert.deepEqual(made[option], millis(end))
      })
    }
    for (const value of [...outside, 60, "60", "x", null, NaN, "Infinity"]) {
      it(`[${row}] refuses ${option} ${JSON.stringify(value)}, naming option and bound`, () => {
        const { details, message } = refusal({ issuer, ...more, [option]: value })
        assert.deepStrictEqual([details["path"], details["expected"]], [option, bound])
        assert.strictEqual(message, `Invalid configuration: ${option} must be ${bound}`)
      })
    }
  }

  const counts: ReadonlyArray<readonly [row: string, option: string, least: number, most: number]> = [
    ["S1-23", "maxBytes", 1, 16_777_216],
    ["S1-21", "maxRedirects", 0, 10],
    ["S1-16", "maxAttempts", 1, 10]
  ]
  for (const [row, option, least, most] of counts) {
    it(`[${row}] accepts ${option} from ${least} to ${most}, and refuses others, naming the bound`, () => {
      for (const value of [least, most]) {
        const made: Readonly<Record<string, unknown>> = JwksOptions.make({ issuer, [option]: value })
        assert.strictEqual(made[option], value)
      }
      for (const value of [least - 1, most + 1, least + 0.5, NaN, Infinity, "5", null]) {
        const { details, message } = refusal({ issuer, [option]: value })
        assert.strictEqual(message, `Invalid configuration: ${option} must be a whole number from ${least} to ${most}`)
        assert.strictEqual(details["path"], option)
      }
    })
  }

  it("[S1-27] negativeCacheTtl is 0 or at least 1 second", () => {
    for (const value of ["0 millis", "1 second", "1001 millis"] as const) {
      assert.deepEqual(JwksOptions.make({ issuer, negativeCacheTtl: value }).negativeCacheTtl, millis(value))
    }
    for (const value of ["1 millis", "999 millis", "1 nanos"]) {
      const { details, message } = refusal({ issuer, negativeCacheTtl: value })
      assert.strictEqual(message, "Invalid configuration: negativeCacheTtl must be 0 millis, or at least 1 second")
      assert.strictEqual(details["path"], "negativeCacheTtl")
    }
  })

  const contradictions: ReadonlyArray<
    readonly [row: string, lower: string, value: string, relation: string, upper: string, bound: string, equal: boolean]
  > = [
    ["S1-07", "minTtl", "2 minutes", "at most", "maxTtl", "1 minute", true],
    ["S1-11", "refreshEarly", "2 minutes", "below", "maxTtl", "1 minute", false],
    ["S1-16", "failureDelay", "31 seconds", "at most", "maxFailureDelay", "30 seconds", true],
    ["S1-16", "retryDelay", "501 millis", "at most", "maxRetryDelay", "500 millis", true],
    ["S1-16", "attemptTimeout", "4001 millis", "at most", "deadline", "4 seconds", true]
  ]
  for (const [row, lower, value, relation, upper, bound, isEqualFine] of contradictions) {
    it(`[${row}] refuses ${lower} that is not ${relation} ${upper}, naming both`, () => {
      const expected = `${relation} ${upper}, which is ${bound}`
      const { details, message } = refusal({ issuer, [lower]: value, [upper]: bound })
      assert.strictEqual(message, `Invalid configuration: ${lower} must be ${expected}`)
      assert.deepStrictEqual([details["path"], details["expected"]], [lower, expected])
      const equal = { issuer, [lower]: bound, [upper]: bound }
      if (isEqualFine) assert.isDefined(JwksOptions.make(equal))
      else assert.include(refusal(equal).message, `${lower} must be ${expected}`)
      const below = millis(bound).pipe(Duration.toMillis)
      assert.isDefined(JwksOptions.make({ issuer, [lower]: `${below - 1} millis`, [upper]: bound }))
    })
  }

  it("[S1-07] [S1-11] [S1-16] reports every contradiction at once", () => {
    const { details } = refusal({ issuer, minTtl: "1 hour", maxTtl: "30 seconds", attemptTimeout: "9 seconds" })
    assert.deepStrictEqual(details["issues"], [
      { path: "minTtl", expected: "at most maxTtl, which is 30 seconds" },
      { path: "refreshEarly", expected: "below maxTtl, which is 30 seconds" },
      { path: "attemptTimeout", expected: "at most deadline, which is 8 seconds" }
    ])
  })

  it("[S1-29] issuer and url have 1 to 2048 characters, and the issuer is required", () => {
    assert.strictEqual(refusal({}).message, "Invalid configuration: issuer is missing")
    for (const option of ["issuer", "url"]) {
      for (const value of ["a", "a".repeat(2048)]) {
        const made: Readonly<Record<string, unknown>> = JwksOptions.make({ issuer, [option]: value })
        assert.strictEqual(made[option], value)
      }
      for (const value of ["", "a".repeat(2049), 1, null]) {
        const { message } = refusal({ issuer, [option]: value })
        assert.strictEqual(message, `Invalid configuration: ${option} must be text from 1 to 2048 characters`)
      }
    }
  })

  it("[S1-22] a pin is the base64 of 32 bytes; others are refused by their place", () => {
    assert.deepEqual(JwksOptions.make({ issuer, pins: [pin, pin] }).pins, [pin, pin])
    assert.deepEqual(JwksOptions.make({ issuer, pins: [] }).pins, [])
    const url = Buffer.alloc(32, 0xfe).toString("base64url")
    const others = [31, 33].map((length) => Buffer.alloc(length).toString("base64"))
    for (
      const value of ["", url, ...others, `${pin.slice(0, -2)}5=`, pin.slice(0, -1), `${pin}\n`, `sha256/${pin}`, 1]
    ) {
      const { message } = refusal({ issuer, pins: [pin, value] })
      assert.strictEqual(message, "Invalid configuration: pins.1 must be the base64 of a SHA-256 digest, 32 bytes")
    }
    assert.include(refusal({ issuer, pins: pin }).message, "pins must be")
  })

  it("[S1-19] [S1-20] allowedHosts must be host names, and no option weakens the egress", () => {
    const hosts = ["idp.example", "8.8.8.8", "[::1]"]
    assert.deepEqual(JwksOptions.make({ issuer, allowedHosts: hosts }).allowedHosts, hosts)
    for (const host of ["", "https://idp.example", "*.example", "idp.example:443", "a/b"]) {
      assert.strictEqual(
        refusal({ issuer, allowedHosts: [host] }).message,
        "Invalid configuration: allowedHosts.0 must be a host name or address, without pattern, scheme or port"
      )
    }
    for (const name of ["allowHttp", "allowLocalhost", "allowedNetworks", "rejectUnauthorized", "proxy"]) {
      assert.strictEqual(refusal({ issuer, [name]: true }).message, `Invalid configuration: ${name} is not an option`)
    }
  })

  it("rejects values outside an enumeration, and unknown options", () => {
    for (const discovery of ["oidc", "oauth2"] as const) {
      assert.strictEqual(JwksOptions.make({ issuer, discovery }).discovery, discovery)
    }
    for (const retryJitter of ["none", "full", "decorrelated"] as const) {
      assert.strictEqual(JwksOptions.make({ issuer, retryJitter }).retryJitter, retryJitter)
    }
    assert.isFalse(JwksOptions.make({ issuer, prefetch: false }).prefetch)
    assert.include(refusal({ issuer, discovery: "OIDC" }).message, "discovery must be \"oidc\" | \"oauth2\"")
    assert.include(refusal({ issuer, retryJitter: "some" }).message, "retryJitter must be")
    assert.include(refusal({ issuer, prefetch: "true" }).message, "prefetch must be boolean")
    assert.include(refusal({ issuer, TTL: "1 hour" }).message, "TTL is not an option")
  })

  describe("ids", () => {
    const decode = Configuration.decode(JwksOptions.Names)
    const bounds = {
      tenantId: "1 to 64 of A-Z, a-z, 0-9 and -",
      providerId: "1 to 64 of A-Z, a-z, 0-9, _ and -"
    } as const

    it.effect("[S1-29] are `default` if not given", () =>
      Effect.gen(function*() {
        assert.deepEqual(yield* decode({}), { tenantId: "default", providerId: "default" })
      }))

    for (const field of ["tenantId", "providerId"] as const) {
      it.effect(`[S1-29] ${field} has 1 to 64 of its characters; others are refused with name and reason`, () =>
        Effect.gen(function*() {
          const own = field === "providerId" ? ["a_b", "_"] : []
          for (const id of ["a", "Z", "0", "-", "a-B-9", "x".repeat(64), ...own]) {
            assert.strictEqual((yield* decode({ [field]: id }))[field], id)
          }
          const foreign = field === "tenantId" ? ["a_b", "_"] : []
          const outside = ["", "x".repeat(65), "a b", "a.b", "a/b", "..", "ä", "a\n", "\na", "a:b", "a%20", 1, null]
          for (const id of [...outside, ...foreign]) {
            const { details, message } = yield* Effect.flip(decode({ [field]: id }))
            assert.strictEqual(message, `Invalid configuration: ${field} must be ${bounds[field]}`)
            assert.deepStrictEqual([details["path"], details["expected"]], [field, bounds[field]])
          }
        }))
    }
  })

  describe("from data", () => {
    const plain = {
      issuer,
      url: "https://idp.example/keys",
      allowedHosts: ["idp.example", "cdn.example"],
      pins: [pin],
      maxBytes: 5,
      ttl: "5 minutes",
      staleWindow: "0 millis",
      retryJitter: "none",
      prefetch: false
    } as const
    const made = JwksOptions.make(plain)
    const yaml = [
      "jwks:",
      `  issuer: ${issuer}`,
      "  url: https://idp.example/keys",
      "  allowedHosts: [idp.example, cdn.example]",
      `  pins: ["${pin}"]`,
      "  maxBytes: 5",
      "  ttl: 5 minutes",
      "  staleWindow: 0 millis",
      "  retryJitter: none",
      "  prefetch: false"
    ].join("\n")
    const environment = {
      APP_JWKS_ISSUER: issuer,
      APP_JWKS_URL: "https://idp.example/keys",
      APP_JWKS_ALLOWED_HOSTS: "idp.example, cdn.example",
      APP_JWKS_PINS: pin,
      APP_JWKS_MAX_BYTES: "5",
      APP_JWKS_TTL: "5 minutes",
      APP_JWKS_STALE_WINDOW: "0 millis",
      APP_JWKS_RETRY_JITTER: "none",
      APP_JWKS_PREFETCH: "false"
    }
    const fromEnvironment = (variables: Readonly<Record<string, string>>) =>
      Effect.provideService(
        Configuration.fromEnvironment(JwksOptions.JwksOptions, ["app", "jwks"]),
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromEnvRecord(variables)
      )

    it.effect("by object, JSON, YAML or environment are the same", () =>
      Effect.gen(function*() {
        assert.deepEqual(made, { ...defaults, ...plain, ttl: Duration.minutes(5), staleWindow: Duration.zero })
        assert.deepEqual(yield* Configuration.decode(JwksOptions.JwksOptions)(plain), made)
        assert.deepEqual(
          yield* Configuration.decode(JwksOptions.JwksOptions)({ ...plain, ttl: Duration.minutes(5) }),
          made
        )
        assert.deepEqual(
          yield* Configuration.decodeText(JwksOptions.JwksOptions, { format: "json", text: JSON.stringify(plain) }),
          made
        )
        assert.deepEqual(
          yield* Configuration.decodeText(JwksOptions.JwksOptions, { format: "yaml", text: yaml, section: "jwks" }),
          made
        )
        assert.deepEqual(yield* fromEnvironment(environment), made)
      }))

    it.effect("[S0-14] [S1-29] each way names the option and its bound, and rejects unknown options", () =>
      Effect.gen(function*() {
        const bound = "must be a duration with its unit, from 1 minute to 24 hours"
        const text = (format: "json" | "yaml", text: string) =>
          Configuration.decodeText(JwksOptions.JwksOptions, { format, text })
        const errors = yield* Effect.all([
          Effect.flip(Configuration.decode(JwksOptions.JwksOptions)({ issuer, ttl: "59 seconds", x: 1 })),
          Effect.flip(text("json", JSON.stringify({ issuer, ttl: "59 seconds", x: 1 }))),
          Effect.flip(text("yaml", `issuer: ${issuer}\nttl: 59 seconds\nx: 1`)),
          Effect.flip(fromEnvironment({ APP_JWKS_ISSUER: issuer, APP_JWKS_TTL: "59 seconds", APP_JWKS_X: "1" }))
        ])
        for (const { code, message } of errors) {
          assert.strictEqual(code, "INVALID_CONFIG")
          assert.match(message, new RegExp(`ttl(?: \\(line 2\\))? ${bound}`))
          assert.match(message, /\bx(?: \(line 3\))? is not an option/i)
        }
        assert.strictEqual((yield* Effect.flip(fromEnvironment({}))).code, "CONFIG_MISSING")
      }))
  })
})
