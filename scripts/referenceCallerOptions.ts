/** The sections of docs/reference/configuration.md about holding tokens for callers. */
import { OAuthOptions, RefreshPolicy, SelfSignedJwt } from "@keelson/token"
import type { Section } from "./referenceConfiguration.ts"

const client = { issuer: "https://idp.example", clientId: "client" }

export const callerSections: ReadonlyArray<Section> = [
  {
    title: "RefreshPolicy",
    schema: RefreshPolicy.RefreshPolicy,
    modules: ["token/RefreshPolicy"],
    intro: "For `policy` of a `TokenProvider`. The guide is [token-providers.md](../guides/token-providers.md).",
    rules: [
      {
        text: "At most one of `threshold` and `buffer` is there.",
        broken: { threshold: "2 minutes", buffer: "2 minutes" }
      },
      { text: "`maxSkew` is below `threshold`.", broken: { threshold: "30 seconds" } },
      {
        text: "`minLifetime` is not above `defaultLifetime`, nor that above `maxLifetime`.",
        broken: { minLifetime: "30 minutes", defaultLifetime: "20 minutes" }
      },
      {
        text: "`failureDelay` is not above `maxFailureDelay`.",
        broken: { failureDelay: "2 seconds", maxFailureDelay: "1 second" }
      }
    ]
  },
  {
    title: "OAuthOptions",
    schema: OAuthOptions.OAuthOptions,
    modules: ["token/OAuthOptions"],
    sample: { ...client, clientSecret: "secret" },
    intro: [
      "For `OAuthClient.fromOptions`. In code, `OAuthClient.clientCredentials` and `refreshToken` take the same ones about the",
      "request, and `auth` in place of those about the client's secret and key. The guide is",
      "[client-authentication.md](../guides/client-authentication.md)."
    ].join("\n"),
    rules: [
      { text: "There is an `issuer` or a `tokenEndpoint`.", broken: { clientId: "client", clientSecret: "secret" } },
      {
        text: "Both are https URLs, unless `allowLocalhost` lets this machine be asked by http.",
        broken: { ...client, issuer: "http://idp.example", clientSecret: "secret" }
      },
      {
        text: "`clientSecret` is there for `client_secret_basic` and `client_secret_post`, and only for these.",
        broken: client
      },
      {
        text: "`privateKey` is there for `private_key_jwt`, and only for it.",
        broken: { ...client, authMethod: "private_key_jwt" }
      }
    ]
  },
  {
    title: "SelfSignedJwt",
    schema: SelfSignedJwt.SelfSignedJwtOptions,
    modules: ["token/SelfSignedJwt"],
    sample: { alg: "RS256", issuer: "account", subject: "account" },
    intro: "For `SelfSignedJwt.make`, beside `keys` and `claims`.",
    rules: []
  }
]
