/** The sections of docs/reference/configuration.md about key sets. */
import { EgressOptions, FetchEgress, JwksOptions, StaticKeys } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { Schema } from "effect"
import type { Section } from "./referenceConfiguration.ts"
import type { OptionInfo } from "./referenceOptions.ts"

const issuer = "https://idp.example"
const { caFile, proxy } = NodeEgress.fields

export const keySections: ReadonlyArray<Section> = [
  {
    title: "JwksOptions",
    schema: JwksOptions.JwksOptions,
    modules: ["jwks/JwksOptions"],
    sample: { issuer },
    intro: [
      "For `JwksCache.layer`, `KeySource.layerJwks`, `layerOidc` and `layerOauth2`, and `JwksRegistry.put`. The guide is",
      "[key-sets.md](../guides/key-sets.md)."
    ].join("\n"),
    rules: [
      {
        text: "`minTtl` is not above `maxTtl`.",
        broken: { issuer, minTtl: "2 minutes", maxTtl: "1 minute" }
      },
      {
        text: "`refreshEarly` is below `maxTtl`.",
        broken: { issuer, refreshEarly: "1 minute", maxTtl: "1 minute" }
      },
      {
        text: "`failureDelay` is not above `maxFailureDelay`.",
        broken: { issuer, failureDelay: "2 seconds", maxFailureDelay: "1 second" }
      },
      {
        text: "`retryDelay` is not above `maxRetryDelay`.",
        broken: { issuer, retryDelay: "2 seconds", maxRetryDelay: "1 second" }
      },
      {
        text: "`attemptTimeout` is not above `deadline`.",
        broken: { issuer, attemptTimeout: "2 seconds", deadline: "1 second" }
      },
      {
        text: "`negativeCacheTtl` is `0 millis`, or at least `1 second`.",
        broken: { issuer, negativeCacheTtl: "999 millis" }
      }
    ]
  },
  {
    title: "Names",
    schema: JwksOptions.Names,
    modules: ["jwks/JwksOptions"],
    intro: "The second argument of `JwksCache.layer`, and the first of `JwksRegistry.put`.",
    rules: []
  },
  {
    title: "EgressOptions",
    schema: EgressOptions.EgressOptions,
    modules: ["jwks/EgressOptions"],
    intro: "For every egress. The guide is [egress.md](../guides/egress.md).",
    rules: []
  },
  {
    title: "NodeEgress",
    schema: Schema.Struct({ caFile, proxy }),
    modules: ["jwks/NodeEgress"],
    intro: "For `NodeEgress.layer`, beside all of [EgressOptions](#egressoptions).",
    rules: []
  },
  {
    title: "FetchEgress",
    schema: Schema.Struct({ unverifiedAddresses: FetchEgress.fields.unverifiedAddresses }),
    checked: FetchEgress.FetchEgressOptions,
    modules: ["jwks/FetchEgress"],
    sample: { allowedHosts: ["idp.example"] },
    intro: "For `FetchEgress.layer`, beside all of [EgressOptions](#egressoptions).",
    rules: [
      {
        text: "`allowedHosts` has at least one host, unless `unverifiedAddresses` is `true`.",
        broken: { allowedHosts: [] }
      }
    ]
  },
  {
    title: "StaticKeys",
    schema: StaticKeys.StaticKeys,
    modules: ["jwks/StaticKeys"],
    sample: { issuers: [issuer], keys: [{ algorithm: "RS256", path: "key.pem" }] },
    intro: "For `StaticKeys.layer` and `layerFiles`. The guide is [static-keys.md](../guides/static-keys.md).",
    rules: []
  },
  {
    title: "Keys of StaticKeys",
    schema: StaticKeys.Key,
    modules: ["jwks/StaticKeys"],
    sample: { algorithm: "RS256", path: "key.pem" },
    intro: "Each item of `keys`.",
    rules: [
      {
        text: "Exactly one of `pem`, `jwk`, `path` and `secret` is there.",
        broken: { algorithm: "RS256", pem: "PEM", path: "key.pem" }
      },
      {
        text: "`encoding` stands beside a `secret` only.",
        broken: { algorithm: "RS256", path: "key.pem", encoding: "utf8" }
      }
    ]
  }
]

const duration = "a duration with its unit, from 1 milli to 10 seconds"

const prefix: OptionInfo = {
  name: "prefix",
  value: "text",
  preset: undefined,
  meaning: "What comes before `jwks-cache:<tenant>:<provider>` in the names of keys."
}
const key: OptionInfo = {
  name: "key",
  value: "`Redacted` text of at least 32 bytes, or a list of such",
  preset: undefined,
  isRequired: true,
  meaning: "Signs the snapshots with HMAC-SHA-256: the first one signs, each of them verifies."
}
const timeout = (preset: string): OptionInfo => ({
  name: "timeout",
  value: duration,
  preset,
  meaning: "How long a call to the store may take."
})

/** The stores of snapshots take layers and keys, so their options are code and have no schema. */
export const snapshotOptions: ReadonlyArray<{
  readonly title: string
  readonly intro: string
  readonly options: ReadonlyArray<OptionInfo>
}> = [
  {
    title: "JwksSnapshots.layerFile",
    intro: "Options in code only. The guide is [snapshots.md](../guides/snapshots.md).",
    options: [
      {
        name: "directory",
        value: "a path",
        preset: undefined,
        isRequired: true,
        meaning:
          "The directory of the files: this application's own, which nobody else may write to. It is made if need be."
      },
      { ...key, isRequired: false, meaning: `${key.meaning} Without it files are not signed, and are believed.` },
      timeout("2 seconds")
    ]
  },
  {
    title: "JwksSnapshots.layerRedis",
    intro: "Options in code only.",
    options: [
      key,
      {
        name: "redis",
        value: "a `Layer` of `Redis`",
        preset: undefined,
        meaning: [
          "The connection, such as `NodeRedis.layer(...)`. It is made in the background, and again when it is lost. Without it",
          "the `Redis` service is used."
        ].join(" ")
      },
      prefix,
      timeout("200 millis")
    ]
  },
  {
    title: "JwksSnapshots.layerKeyValueStore",
    intro: "Options in code only.",
    options: [key, prefix, timeout("200 millis")]
  }
]
