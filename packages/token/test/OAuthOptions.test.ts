import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import * as Configuration from "@keelson/core/Configuration"
import { ConfigProvider, Duration, Effect, Redacted } from "effect"
import { ClientAuth, OAuthClient, OAuthOptions } from "../src/index.ts"

const auth = ClientAuth.secretBasic(Redacted.make("secret"))
const base = { issuer: "https://idp.example", clientId: "client", clientSecret: "secret" }

describe("OAuthOptions", () => {
  it.effect("[S2-24] [S3-23] are read from a file with `${VAR}` and from the environment; secrets are redacted", () =>
    Effect.gen(function*() {
      const text = JSON.stringify({ oauth: { ...base, clientSecret: "${SECRET}", requestTimeout: "5 seconds" } })
      const env = {
        SECRET: "secret",
        OAUTH_ISSUER: "https://idp.example",
        OAUTH_CLIENT_ID: "client",
        OAUTH_CLIENT_SECRET: "secret",
        OAUTH_REQUEST_TIMEOUT: "5 seconds"
      }
      const [file, environment] = yield* Effect.all([
        Configuration.decodeText(OAuthOptions.OAuthOptions, { format: "json", text, section: "oauth" }),
        Configuration.fromEnvironment(OAuthOptions.OAuthOptions, ["oauth"])
      ]).pipe(Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })))
      for (const options of [file, environment]) {
        assert.deepInclude(options, {
          authMethod: "client_secret_basic",
          discovery: "oidc",
          requestTimeout: Duration.seconds(5),
          maxBytes: 65_536,
          allowLocalhost: false
        })
        assert.strictEqual(options.clientSecret && Redacted.value(options.clientSecret), "secret")
        assert.notInclude(JSON.stringify(options), "\"secret\"")
      }
    }))

  it.effect("[S3-35] the default time limit of a request is 30 seconds", () =>
    Effect.map(
      Configuration.decode(OAuthOptions.OAuthOptions)(base),
      ({ requestTimeout }) => assert.deepStrictEqual(requestTimeout, Duration.seconds(30))
    ))

  const wrong: ReadonlyArray<readonly [object, string]> = [
    [{ clientId: "client", clientSecret: "s" }, "issuer"],
    [{ ...base, issuer: "http://idp.example" }, "issuer"],
    [{ ...base, issuer: "https://user@idp.example" }, "issuer"],
    [{ ...base, issuer: "https://idp.example?x" }, "issuer"],
    [{ ...base, issuer: "https://idp.example#x" }, "issuer"],
    [{ ...base, issuer: "idp" }, "issuer"],
    [{ ...base, issuer: "http://127.0.0.1:1" }, "issuer"],
    [{ ...base, issuer: "http://127.evil.example", allowLocalhost: true }, "issuer"],
    [{ ...base, issuer: "http://localhost.evil.example", allowLocalhost: true }, "issuer"],
    [{ ...base, issuer: "http://192.168.0.1", allowLocalhost: true }, "issuer"],
    [{ ...base, tokenEndpoint: "http://idp.example/token" }, "tokenEndpoint"],
    [{ ...base, tokenEndpoint: "https://idp.example/token#" }, "tokenEndpoint"],
    [{ ...base, tokenEndpoint: "ftp://idp.example/token" }, "tokenEndpoint"],
    [{ ...base, clientId: "" }, "clientId"],
    [{ ...base, clientSecret: undefined }, "clientSecret"],
    [{ ...base, authMethod: "private_key_jwt" }, "clientSecret"],
    [{ ...base, privateKey: "k" }, "privateKey"],
    [{ ...base, clientSecret: undefined, authMethod: "private_key_jwt" }, "privateKey"],
    [{ ...base, authMethod: "nothing" }, "authMethod"],
    [{ ...base, authMethod: "none" }, "clientSecret"],
    [{ ...base, maxBytes: 1023 }, "maxBytes"],
    [{ ...base, requestTimeout: "6 minutes" }, "requestTimeout"],
    [{ ...base, scpoe: "a" }, "scpoe"]
  ]
  for (const [input, path] of wrong) {
    it.effect(`${JSON.stringify(input)} fails, naming ${path}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Configuration.decode(OAuthOptions.OAuthOptions)(input))
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.include(JSON.stringify(error.details), path)
      }))
  }

  it.effect("http to this machine is accepted with allowLocalhost", () =>
    Effect.gen(function*() {
      for (const host of ["localhost", "127.0.0.1:8080", "127.1.2.3", "[::1]:1"]) {
        yield* Configuration.decode(OAuthOptions.OAuthOptions)({
          ...base,
          issuer: `http://${host}`,
          allowLocalhost: true
        })
      }
    }))

  it.effect("[K-28 A6] http to a named host is accepted with insecureHosts, and errors name the option", () =>
    Effect.gen(function*() {
      const options = { ...base, issuer: "http://keycloak:8080/realms/a", tokenEndpoint: "http://keycloak:8080/token" }
      yield* Configuration.decode(OAuthOptions.OAuthOptions)({ ...options, insecureHosts: ["keycloak"] })
      for (const insecureHosts of [[], ["other"], ["8.8.8.8"]]) {
        const error = yield* Effect.flip(Configuration.decode(OAuthOptions.OAuthOptions)({ ...options, insecureHosts }))
        assert.strictEqual(error.code, "INVALID_CONFIG")
      }
      const error = yield* Effect.flip(Configuration.decode(OAuthOptions.OAuthOptions)(options))
      assert.include(error.message, "LocalDevelopment.layer or allowLocalhost, or for a host in insecureHosts")
      const publicly = yield* Effect.flip(
        Configuration.decode(OAuthOptions.OAuthOptions)({ ...options, insecureHosts: ["8.8.8.8"] })
      )
      assert.include(publicly.message, "requests to public addresses need https")
    }))

  it("the constructor of a source throws on a wrong option", () => {
    const make = (options: Partial<OAuthClient.Options>) => () =>
      OAuthClient.clientCredentials({ issuer: "https://idp.example", clientId: "client", auth, ...options })
    assert.doesNotThrow(make({ parameters: { tenant: "one" } }))
    for (const options of [{ issuer: "idp" }, { clientId: "" }, { maxBytes: 1 }, { parameters: { grant_type: "x" } }]) {
      assert.throws(make(options), KeelsonError.ConfigurationError)
    }
    assert.throws(make({ parameters: { refresh_token: "x" } }), /parameters/)
  })

  it("make accepts redacted secrets", () => {
    const options = OAuthOptions.make({ ...base, clientSecret: Redacted.make("secret") })
    assert.strictEqual(options.clientSecret && Redacted.value(options.clientSecret), "secret")
    assert.throws(() => OAuthOptions.make({ clientId: "client" }), KeelsonError.ConfigurationError)
  })

  it.effect("sourcesFromOptions fails on an unusable private key", () =>
    Effect.gen(function*() {
      const options = yield* Configuration.decode(OAuthOptions.OAuthOptions)({
        issuer: "https://idp.example",
        clientId: "client",
        authMethod: "private_key_jwt",
        privateKey: "no key",
        privateKeyAlgorithm: "ES256"
      })
      assert.strictEqual((yield* Effect.flip(OAuthClient.fromOptions(options))).code, "KEY_INVALID")
    }))
})
