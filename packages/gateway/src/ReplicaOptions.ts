/**
 * Options of the stores behind a bucket: checked data from code, a file or the environment.
 */
import type * as Configuration from "@keelson/core/Configuration"
import * as Field from "@keelson/core/unstable/Field"
import * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"

/** A role that is assumed with a token from a file, as in Kubernetes. */
export interface WebIdentityOptions {
  /** The file with the token; it is read again for each refresh. From 1 to 4096 characters. Required. */
  readonly tokenFile: string
  /** The ARN of the role. From 1 to 2048 characters. Required. */
  readonly roleArn: string
  /** The name of the session in the logs of the store. From 2 to 64 characters. Default keelson. */
  readonly sessionName?: string | undefined
}

/** Keys that do not change. They stand in the configuration: write them as `${VAR}`. */
export interface StaticCredentialsOptions {
  /** The id of the access key. From 1 to 256 characters. Required. */
  readonly accessKeyId: Redacted.Redacted
  /** The secret access key. From 1 to 4096 characters. Required. */
  readonly secretAccessKey: Redacted.Redacted
  /** The token of a session. From 1 to 16384 characters. Default none. */
  readonly sessionToken?: Redacted.Redacted | undefined
}

/** Where the credentials for a store come from: exactly one of these. */
export interface CredentialsOptions {
  /**
   * What the names of environment variables begin with: `PRODUCTS` reads `PRODUCTS_ACCESS_KEY_ID`, `PRODUCTS_SECRET_ACCESS_KEY` and
   * `PRODUCTS_SESSION_TOKEN`. `AWS` reads the usual names. From 1 to 128 of A-Z, a-z, 0-9 and _. Default none.
   */
  readonly env?: string | undefined
  /** The name of a profile of the shared AWS configuration. From 1 to 128 characters. Default none. */
  readonly profile?: string | undefined
  /**
   * A JSON file with `accessKeyId`, `secretAccessKey` and optionally `sessionToken` and `expiration`. It is read again before the
   * expiration, or when it changes. From 1 to 4096 characters. Default none.
   */
  readonly file?: string | undefined
  /** A role that is assumed with a token from a file. Default none. */
  readonly webIdentity?: WebIdentityOptions | undefined
  /** Keys that do not change. Default none. */
  readonly static?: StaticCredentialsOptions | undefined
  /** Whether the credentials of the platform are used: those of a container or of an instance. Default none. */
  readonly platform?: boolean | undefined
  /** Whether requests are not signed, for a store that is readable for everybody. Default none. */
  readonly anonymous?: boolean | undefined
}

/** How long requests to a store may take. Every one may be left out. */
export interface StoreTimeoutOptions {
  /** How long connecting may take, TLS included. From 1 milli to 5 minutes. Default 2 seconds. */
  readonly connect?: Configuration.DurationInput | undefined
  /** How long the store may take to the header of its response. From 1 milli to 10 minutes. Default 5 seconds. */
  readonly head?: Configuration.DurationInput | undefined
  /** How long the store may send nothing of a body. From 1 milli to 1 hour. Default 30 seconds. */
  readonly idle?: Configuration.DurationInput | undefined
}

/** One store of a bucket. */
export interface ReplicaOptions {
  /** Its name in logs, metrics and `x-cache-status`; without it, its number from 0. From 1 to 64 of A-Z, a-z, 0-9, _, . and -. Default none. */
  readonly name?: string | undefined
  /** The origin of the store: https, or http in a private network, without path and query. From 1 to 2048 characters. Required. */
  readonly endpoint: string
  /** The region that signatures name. From 1 to 64 characters. Default us-east-1. */
  readonly region?: string | undefined
  /** The bucket at the store. From 1 to 255 characters. Required. */
  readonly bucket: string
  /** Where URLs have the bucket: `path` as in `/bucket/key`, or `virtual` as in `bucket.host`. Default path. */
  readonly addressing?: "path" | "virtual" | undefined
  /** Where the credentials come from. Default none. */
  readonly credentials?: CredentialsOptions | undefined
  /** How long requests may take. Without it, the defaults. Default none. */
  readonly timeouts?: StoreTimeoutOptions | undefined
  /** Upper bound of the connections to the store. From 1 to 10000. Default 256. */
  readonly maxConnections?: number | undefined
  /** A file of certificates in PEM that are trusted in addition to those of Node. From 1 to 4096 characters. Default none. */
  readonly caFile?: string | undefined
}

const secret = (maximum: number, label: string) =>
  Schema.RedactedFromValue(Field.text(1, maximum), { label, disallowEncode: true })

/** Checked options of a web identity. */
export const WebIdentity = Schema.Struct({
  tokenFile: Field.text(1, 4096),
  roleArn: Field.text(1, 2048),
  sessionName: Field.defaulted(Field.text(2, 64), "keelson")
})
export type WebIdentity = typeof WebIdentity.Type

/** Checked keys. They are `Redacted`, and no codec writes them. */
export const StaticCredentials = Schema.Struct({
  accessKeyId: secret(256, "accessKeyId"),
  secretAccessKey: secret(4096, "secretAccessKey"),
  sessionToken: Schema.optionalKey(secret(16_384, "sessionToken"))
})
export type StaticCredentials = typeof StaticCredentials.Type

const CredentialFields = Schema.Struct({
  env: Schema.optionalKey(
    Schema.String.check(
      Schema.isPattern(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, {
        expected: "the beginning of names of environment variables"
      })
    )
  ),
  profile: Schema.optionalKey(Field.text(1, 128)),
  file: Schema.optionalKey(Field.text(1, 4096)),
  webIdentity: Schema.optionalKey(WebIdentity),
  static: Schema.optionalKey(StaticCredentials),
  platform: Schema.optionalKey(Schema.Boolean),
  anonymous: Schema.optionalKey(Schema.Boolean)
})

const sources = Struct.keys(CredentialFields.fields)

/** Checked credentials. */
export const Credentials = CredentialFields.check(
  Schema.makeFilter(
    (o: typeof CredentialFields.Type) =>
      sources.filter((name) => o[name] !== undefined && o[name] !== false).length === 1,
    { expected: "a section with exactly one of env, profile, file, webIdentity, static, platform and anonymous" }
  )
)
export type Credentials = typeof Credentials.Type

/** Checked time-outs of a store. */
export const StoreTimeouts = Schema.Struct({
  connect: Field.defaulted(Field.duration("1 millis", "5 minutes"), Duration.seconds(2)),
  head: Field.defaulted(Field.duration("1 millis", "10 minutes"), Duration.seconds(5)),
  idle: Field.defaulted(Field.duration("1 millis", "1 hour"), Duration.seconds(30))
})
export type StoreTimeouts = typeof StoreTimeouts.Type

const isEndpoint = (text: string): boolean => {
  if (text.length > 2048 || !/^https?:\/\//i.test(text) || !URL.canParse(text)) return false
  const { hash, password, pathname, search, username } = new URL(text)
  return pathname === "/" && search === "" && hash === "" && username === "" && password === ""
}

/** Checked options of a store. */
export const Replica = Schema.Struct({
  name: Schema.optionalKey(
    Schema.String.check(
      Schema.isPattern(/^[\w.-]{1,64}$/, { expected: "1 to 64 of A-Z, a-z, 0-9, _, . and -" })
    )
  ),
  endpoint: Schema.String.check(
    Schema.makeFilter(isEndpoint, { expected: "an http or https URL without path, query, user and password" })
  ),
  region: Field.defaulted(Field.text(1, 64), "us-east-1"),
  bucket: Schema.String.check(
    Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/, {
      expected: "the name of a bucket: 1 to 255 of A-Z, a-z, 0-9, ., _ and -"
    })
  ),
  addressing: Field.defaulted(Schema.Literals(["path", "virtual"]), "path"),
  credentials: Schema.optionalKey(Credentials),
  timeouts: Schema.optionalKey(StoreTimeouts),
  maxConnections: Field.defaulted(Field.int(1, 10_000), 256),
  caFile: Schema.optionalKey(Field.text(1, 4096))
})
export type Replica = typeof Replica.Type
