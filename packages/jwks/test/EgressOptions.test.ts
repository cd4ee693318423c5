import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import * as Configuration from "@keelson/core/Configuration"
import { ConfigProvider, Context, Effect, Layer, Redacted, Schema } from "effect"
import { inspect } from "node:util"
import { Egress } from "../src/Egress.ts"
import * as EgressOptions from "../src/EgressOptions.ts"
import * as FetchEgress from "../src/FetchEgress.ts"
import { Pin } from "../src/internal/egress/hostSchemas.ts"
import * as NodeEgress from "../src/NodeEgress.ts"

const refusal = (options: unknown): KeelsonError.ConfigurationError => {
  try {
    Reflect.apply(EgressOptions.make, undefined, [options])
  } catch (error) {
    assert.instanceOf(error, KeelsonError.ConfigurationError)
    return error
  }
  return assert.fail(`accepted ${JSON.stringify(options)}`)
}

const defaults = {
  allowedHosts: [],
  allowLocalhost: false,
  allowedNetworks: [],
  insecureHosts: [],
  headers: {},
  maxBytes: 1_048_576,
  maxRedirects: 3
}

describe("EgressOptions", () => {
  it("[S1-19] [S1-21] [S1-23] of nothing allow https to public addresses, 1 MiB and three redirects", () => {
    assert.deepEqual(EgressOptions.make(), defaults)
  })

  const accepted: ReadonlyArray<EgressOptions.Options> = [
    { allowedHosts: ["idp.example", "IDP.Example.", "bücher.example", "8.8.8.8", "::1", "[::1]", "localhost"] },
    { allowedNetworks: ["10.0.0.0/8", "fd00::/8", "192.168.1.1/32", "::/0"] },
    { maxBytes: 1 },
    { maxBytes: 16_777_216 },
    { maxRedirects: 0 },
    { maxRedirects: 10 },
    { allowLocalhost: true },
    { insecureHosts: ["keycloak", "10.0.0.7", "[fd00::1]", "localhost"] },
    { userAgent: "acme/1.0 (+https://acme.example)" }
  ]
  for (const options of accepted) {
    it(`[S1-20] [S1-21] [S1-23] accept ${JSON.stringify(options)}`, () => {
      assert.deepEqual(EgressOptions.make(options), { ...defaults, ...options })
    })
  }

  const host = "a host name or address, without pattern, scheme or port"
  const network = "a network in CIDR notation, without host bits"
  const bytes = "a whole number from 1 to 16777216"
  const redirects = "a whole number from 0 to 10"
  const refused: ReadonlyArray<readonly [option: string, path: string, values: ReadonlyArray<unknown>, bound: string]> =
    [
      [
        "allowedHosts",
        "allowedHosts.0",
        ["", ".", ".a", "a..b", "*", "*.a.test", "https://a.test", "a.test:443"],
        host
      ],
      ["allowedHosts", "allowedHosts.0", [
        "a.test/",
        "a@b.test",
        "a b",
        "[::1]:443",
        "[]",
        "a%2eb",
        "a\\b",
        "1.2.3.4.5"
      ], host],
      ["allowedNetworks", "allowedNetworks.0", ["10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "::/129", "x/8", ""], network],
      ["maxBytes", "maxBytes", [0, -1, 1.5, NaN, Infinity, 16_777_217, "5"], bytes],
      ["maxRedirects", "maxRedirects", [-1, 11, 0.5, NaN, "3"], redirects]
    ]
  for (const [option, path, values, bound] of refused) {
    for (const value of values) {
      it(`[S1-20] [S1-21] [S1-23] refuse ${option} ${JSON.stringify(value)}, naming option and bound`, () => {
        const { details, message } = refusal({ [option]: path === option ? value : [value] })
        assert.deepStrictEqual([details["path"], details["expected"]], [path, bound])
        assert.strictEqual(message, `Invalid configuration: ${path} must be ${bound}`)
      })
    }
  }

  it("[R26] have no option that turns certificate verification off", () => {
    for (const name of ["rejectUnauthorized", "insecure", "verify", "strictSSL"]) {
      assert.include(refusal({ [name]: false }).message, `${name} is not an option`)
    }
  })

  it("[S1-22] a pin is the canonical base64 of 32 bytes", () => {
    const isPin = Schema.is(Pin)
    const pin = Buffer.alloc(32, 0xfe).toString("base64")
    assert.isTrue(isPin(pin))
    const url = Buffer.alloc(32, 0xfe).toString("base64url")
    const others = [31, 33].map((length) => Buffer.alloc(length).toString("base64"))
    const unusedBits = pin.replace(/.=$/, "5=")
    for (
      const text of [
        "",
        url,
        ...others,
        unusedBits,
        pin.slice(0, -1),
        `${pin}=`,
        `${pin}\n`,
        ` ${pin}`,
        `sha256/${pin}`
      ]
    ) {
      assert.isFalse(isPin(text), text)
    }
  })

  it.effect("[S1-20] by object, file or environment are the same", () =>
    Effect.gen(function*() {
      const plain = {
        allowedHosts: ["a.test", "b.test"],
        allowedNetworks: ["10.0.0.0/8"],
        maxBytes: 5,
        allowLocalhost: true
      }
      const made = EgressOptions.make(plain)
      const yaml = "allowedHosts: [a.test, b.test]\nallowedNetworks: [10.0.0.0/8]\nmaxBytes: 5\nallowLocalhost: true\n"
      const environment = ConfigProvider.fromEnvRecord({
        EGRESS_ALLOWED_HOSTS: "a.test, b.test",
        EGRESS_ALLOWED_NETWORKS: "10.0.0.0/8",
        EGRESS_MAX_BYTES: "5",
        EGRESS_ALLOW_LOCALHOST: "true"
      })
      assert.deepEqual(yield* Configuration.decode(EgressOptions.EgressOptions)(plain), made)
      assert.deepEqual(
        yield* Configuration.decodeText(EgressOptions.EgressOptions, { format: "json", text: JSON.stringify(plain) }),
        made
      )
      assert.deepEqual(
        yield* Configuration.decodeText(EgressOptions.EgressOptions, { format: "yaml", text: yaml }),
        made
      )
      const config = Configuration.fromEnvironment(EgressOptions.EgressOptions, ["egress"])
      assert.deepEqual(yield* Effect.provideService(config, ConfigProvider.ConfigProvider, environment), made)
    }))

  const built = (layer: Layer.Layer<Egress, KeelsonError.ConfigurationError>, environment: Record<string, string>) =>
    Layer.build(layer).pipe(
      Effect.map((context) => Context.get(context, Egress)),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))
    )

  it.effect("[R17] [R26] layers take them from the environment, and fail with a code", () =>
    Effect.gen(function*() {
      const layers = { node: NodeEgress.layerConfig(["egress"]), fetch: FetchEgress.layerConfig(["egress"]) }
      for (const layer of Object.values(layers)) {
        const egress = yield* built(layer, { EGRESS_ALLOWED_HOSTS: "a.test" })
        assert.strictEqual((yield* egress.check("https://a.test/")).host, "a.test")
        assert.strictEqual((yield* Effect.flip(egress.check("https://b.test/"))).details["reason"], "host")
        assert.strictEqual((yield* Effect.flip(built(layer, { EGRESS_MAX_BYTES: "0" }))).code, "INVALID_CONFIG")
      }
      const missing = yield* Effect.flip(built(layers.node, { EGRESS_CA_FILE: "/nowhere.pem" }))
      assert.strictEqual(missing.code, "KEY_FILE_UNREADABLE")
      for (const proxy of ["always", "socks5://a:1", ""]) {
        const error = yield* Effect.flip(built(NodeEgress.layer({ proxy }), {}))
        assert.strictEqual(
          error.message,
          "Invalid configuration: proxy must be environment, none, or the URL of an http or https proxy"
        )
      }
    }))

  it.effect("[K-28 H3] an egress on Node needs no variable, since all its options may be left out", () =>
    Effect.gen(function*() {
      const egress = yield* built(NodeEgress.layerConfig(["egress"]), {})
      assert.strictEqual((yield* egress.check("https://a.test/")).host, "a.test")
      yield* built(NodeEgress.layerConfig(["egress"]), { OTHER: "1" })
      // `FetchEgress` needs a list of hosts.
      const error = yield* Effect.flip(built(FetchEgress.layerConfig(["egress"]), {}))
      assert.deepInclude(error, { code: "CONFIG_MISSING" })
      assert.strictEqual(
        (yield* Effect.flip(built(NodeEgress.layerConfig(["egress"]), { EGRESS_MAX: "1" }))).code,
        "INVALID_CONFIG"
      )
    }))

  it("[K-28 A6] hosts over http are no public addresses", () => {
    for (const host of ["8.8.8.8", "2606:4700::1111", "[2606:4700::1111]"]) {
      assert.include(refusal({ insecureHosts: [host] }).message, "a host name or a private address")
    }
  })

  it("[K-28 A7] headers need the hosts that receive them, and concern no part of the message", () => {
    const value = Redacted.make("secret")
    assert.strictEqual(refusal({ headers: { "x-key": value } }).details["path"], "allowedHosts")
    const { headers } = EgressOptions.make({ allowedHosts: ["a.test"], headers: { "X-Key": value } })
    assert.deepEqual(Object.entries(headers).map(([name, header]) => [name, Redacted.value(header)]), [[
      "X-Key",
      "secret"
    ]])
    assert.notInclude(inspect(headers), "secret")
    for (const name of ["host", "Content-Length", "transfer-encoding", "if-none-match", "cookie", "a b", "", "x:y"]) {
      const { message } = refusal({ allowedHosts: ["a.test"], headers: { [name]: value } })
      assert.include(message, `headers.${name} is not an option`)
      assert.notInclude(message, "secret")
    }
    for (const text of ["", "a\r\nb: c", "\u0000", "\u0100"]) {
      const { message } = refusal({ allowedHosts: ["a.test"], headers: { "x-key": Redacted.make(text) } })
      assert.include(message, "text without line breaks")
    }
  })

  it.effect("[R17] the default layer of Node wants no options", () =>
    Effect.gen(function*() {
      const egress = yield* built(NodeEgress.layer(), {})
      assert.strictEqual((yield* egress.check("https://a.test/")).host, "a.test")
    }))
})
