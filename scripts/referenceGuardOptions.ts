/** The sections of docs/reference/configuration.md about guarded clients and the sidecar. */
import { GuardOptions, ServerOptions, TokenSidecar } from "@keelson/token"
import type { Section } from "./referenceConfiguration.ts"

const origins = ["https://api.example"]
const client = { issuer: "https://idp.example", clientId: "client", clientSecret: "secret" }
const guide = "The guide is [calling-apis.md](../guides/calling-apis.md)."

export const guardSections: ReadonlyArray<Section> = [
  {
    title: "GuardOptions",
    schema: GuardOptions.GuardOptions,
    modules: ["token/GuardOptions"],
    sample: { origins },
    intro: `For \`TokenGuard\`, beside \`name\`, \`source\` and \`validate\`. ${guide}`,
    rules: [
      {
        text: "Origins are https, unless `allowLocalhost` lets those on this machine be http.",
        broken: { origins: ["http://localhost:3000"] }
      },
      {
        text: "They have neither user nor password, query nor fragment, and a path that can be read in one way only.",
        broken: { origins: ["https://api.example/a/..%2fb"] }
      }
    ]
  },
  {
    title: "ServerOptions",
    schema: ServerOptions.ServerOptions,
    modules: ["token/GuardOptions", "token/ServerOptions"],
    sample: { url: "https://api.example", client },
    intro: `Of each server of \`TokenGuards\`, whose name is 1 to 64 of A-Z, a-z, 0-9, _, . and -. ${guide}`,
    rules: [
      {
        text: "`url` and `origins` are as those of [GuardOptions](#guardoptions).",
        broken: { url: "http://api.example", client }
      }
    ]
  },
  {
    title: "TokenSidecarOptions",
    schema: TokenSidecar.TokenSidecarOptions,
    modules: ["token/TokenSidecar"],
    sample: { secret: "0123456789abcdef0123456789abcdef", operations: ["append_rows"] },
    intro: `For \`TokenSidecar.layer\`. The guide is [token-sidecar.md](../guides/token-sidecar.md).`,
    rules: []
  }
]
