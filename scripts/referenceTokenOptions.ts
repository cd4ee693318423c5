/** The sections of docs/reference/configuration.md about tokens. */
import { HttpSecurityOptions, RevocationOptions, ValidationPolicy, ValidatorOptions } from "@keelson/token"
import { Schema } from "effect"
import type { Section } from "./referenceConfiguration.ts"

const policy = { issuers: ["https://idp.example"], audiences: ["api"], algorithms: ["RS256"] }
const keys = [{ algorithm: "RS256", path: "key.pem" }]
const { jwks, keys: staticKeys } = ValidatorOptions.ValidatorOptions.fields

export const tokenSections: ReadonlyArray<Section> = [
  {
    title: "ValidationPolicy",
    schema: ValidationPolicy.ValidationPolicy,
    modules: ["token/ValidationPolicy"],
    sample: policy,
    intro: [
      "For the `layer` of a `TokenValidator`, by way of `ValidationPolicy.accessToken`, `idToken` or `jwt`. The guide is",
      "[validating-tokens.md](../guides/validating-tokens.md)."
    ].join("\n"),
    rules: []
  },
  {
    title: "ValidatorOptions",
    schema: Schema.Struct({ keys: staticKeys, jwks }),
    checked: ValidatorOptions.ValidatorOptions,
    modules: ["token/ValidatorOptions"],
    sample: { ...policy, keys },
    intro: "For `ValidatorOptions.layer` and `layerConfig`, beside all of [ValidationPolicy](#validationpolicy).",
    rules: [
      { text: "Exactly one of `keys` and `jwks` is there.", broken: { ...policy, keys, jwks: {} } },
      {
        text: "`jwks` stands beside one issuer.",
        broken: { ...policy, issuers: ["https://a.example", "https://b.example"], jwks: {} }
      },
      {
        text: "The algorithm of each of `keys` is one of `algorithms`.",
        broken: { ...policy, keys: [{ algorithm: "ES256", path: "key.pem" }] }
      },
      {
        text: "`algorithms` has no secret's (`HS256` and so on) beside `jwks`.",
        broken: { ...policy, algorithms: ["HS256"], jwks: {} }
      }
    ]
  },
  {
    title: "HttpSecurityOptions",
    schema: HttpSecurityOptions.HttpSecurityOptions,
    modules: ["token/HttpSecurityOptions"],
    intro: [
      "For `HttpSecurity.layer`, `HttpSecurity.middleware` and `BearerAuthentication.make`, beside `validator` and `principal`, which",
      "are tags. The guide is [protecting-apis.md](../guides/protecting-apis.md)."
    ].join("\n"),
    rules: []
  },
  {
    title: "Cookie",
    schema: HttpSecurityOptions.Cookie,
    modules: ["token/HttpSecurityOptions"],
    sample: { name: "__Host-token", origins: ["https://app.example"] },
    intro: "For the section `cookie` of [HttpSecurityOptions](#httpsecurityoptions).",
    rules: []
  },
  {
    title: "Revocation.layerMemory",
    schema: RevocationOptions.Memory,
    modules: ["token/RevocationOptions"],
    intro: "For a list of revocations in one process. The guide is [revocation.md](../guides/revocation.md).",
    rules: []
  },
  {
    title: "Revocation.layerRedis",
    schema: RevocationOptions.Redis,
    modules: ["token/RevocationOptions"],
    intro: [
      "For a list that processes share, beside `redis`, the `Layer` of the connection: it is made in the background, and again",
      "when it is lost. `layerRedisConfig` takes the connection as its second argument."
    ].join("\n"),
    rules: []
  }
]
