/**
 * Options of the buckets of the gateway: checked data from code, a file or the environment.
 */
import * as CacheOptions from "@keelson/cache/CacheOptions"
import * as BreakerPolicy from "@keelson/core/BreakerPolicy"
import type * as Configuration from "@keelson/core/Configuration"
import * as Field from "@keelson/core/unstable/Field"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { Network } from "./internal/config/network.ts"
import { isPrefix } from "./internal/config/prefix.ts"
import { maxSlidingLimit, parseRate, Rate } from "./internal/limits/rate.ts"
import { Replica, type ReplicaOptions } from "./ReplicaOptions.ts"

/** A method that a bucket can serve. */
export type Method = "GET" | "HEAD" | "PUT" | "DELETE"

/** What a caller's token must have. Every one may be left out; all that is given must hold. */
export interface RequireOptions {
  /** Scopes, all of them. At most 64 scopes. Default none. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Roles, one of them. At most 64 roles. Default none. */
  readonly roles?: ReadonlyArray<string> | undefined
  /**
   * Claims by name. The claim is one of the values, or a list that contains one. Numbers and booleans are compared as text. A name
   * with dots is a member of an object, as `realm_access.roles`. At most 64 claims. Default none.
   */
  readonly claims?: ClaimValues | undefined
}

/** Values of claims, by the names of the claims. */
export type ClaimValues = Readonly<Record<string, string | ReadonlyArray<string>>>

/** Who may reach a bucket, by address. Every one may be left out. */
export interface AccessOptions {
  /** Addresses or networks in CIDR notation that may; all others may not. Without any, all may that `block` does not have. At most 10000 of them. Default none. */
  readonly allow?: ReadonlyArray<string> | undefined
  /** Addresses or networks that may not. `allow` wins: beside it, `block` has no effect. At most 10000 of them. Default none. */
  readonly block?: ReadonlyArray<string> | undefined
}

/** How many requests a bucket admits. A rate is text, as in `100 per second` or `5 per 10 seconds`. */
export interface RateLimitOptions {
  /**
   * How requests are counted: `tokenBucket` admits bursts up to the whole rate, then as much as it says on average;
   * `slidingWindow` never admits more than the rate in any window, and keeps the time of each request: at most 10000 in a window.
   * Default tokenBucket.
   */
  readonly algorithm?: "tokenBucket" | "slidingWindow" | undefined
  /** The rate of all requests together. Default none. */
  readonly perBucket?: string | undefined
  /** The rate of each user, by the subject of the token. Default none. */
  readonly perUser?: string | undefined
  /** The rate of each address; the addresses of one IPv6 /64 are one. Default none. */
  readonly perAddress?: string | undefined
}

/** Which pages of other origins may read the bucket (Fetch, 3.2). */
export interface CorsOptions {
  /** The origins, as `https://app.example`; `*` is every one. From 1 to 64 origins. Required. */
  readonly origins: ReadonlyArray<string>
  /** The request headers that pages may set. At most 64 names. Default none. */
  readonly headers?: ReadonlyArray<string> | undefined
  /** The response headers that pages may read. At most 64 names. Default etag, content-range, x-correlation-id. */
  readonly expose?: ReadonlyArray<string> | undefined
  /** Whether pages may send cookies. Not with the origin `*`. Default false. */
  readonly credentials?: boolean | undefined
  /** How long browsers keep the answer. From 0 millis to 24 hours. Default 1 hour. */
  readonly maxAge?: Configuration.DurationInput | undefined
}

/** Headers that cross the gateway in addition to the usual ones. Every one may be left out. */
export interface HeaderOptions {
  /** Names of request headers that reach the store. They turn off the cache for requests that have one. At most 64 names. Default none. */
  readonly request?: ReadonlyArray<string> | undefined
  /** Names of response headers that reach the client, as `x-amz-meta-owner`; a last `*` is any end. At most 64 names. Default none. */
  readonly response?: ReadonlyArray<string> | undefined
}

/** The options of one bucket. */
export interface BucketOptions {
  /** Its name in the cache, logs, metrics and the admin API. From 1 to 64 of A-Z, a-z, 0-9, _, . and -. Required. */
  readonly name: string
  /**
   * What the paths of its objects begin with, in whole segments, as `/products`. The longest path of all buckets wins; `/` is that of
   * all others. From 1 to 1024 characters. Required.
   */
  readonly path: string
  /** The stores, in the order in which they are used. From 1 to 16 replicas. Required. */
  readonly replicas: ReadonlyArray<ReplicaOptions>
  /** Whether everybody may read it. It then needs no token, and has no `require`. Default false. */
  readonly public?: boolean | undefined
  /** The name of the policy in `auth` that checks the tokens. From 1 to 64 characters. Default default. */
  readonly auth?: string | undefined
  /** What a token must have, for every method. Default none. */
  readonly require?: RequireOptions | undefined
  /** What a token must have in addition, by method. Default none. */
  readonly requireFor?: RequireForOptions | undefined
  /** The methods that are served. From 1 to 4 of GET, HEAD, PUT and DELETE, each at most once. Default GET, HEAD. */
  readonly methods?: ReadonlyArray<Method> | undefined
  /** The options of its entries in the cache, over those of the tiers. Default none. */
  readonly cache?: CacheOptions.BucketOptions | undefined
  /** How long an expired entry may be served while no store answers. From 0 millis to 24 hours. Default 0 millis. */
  readonly staleWindow?: Configuration.DurationInput | undefined
  /** Who may reach it, by address. Default none. */
  readonly access?: AccessOptions | undefined
  /** How many requests it admits. Default none. */
  readonly rateLimit?: RateLimitOptions | undefined
  /** Which pages of other origins may read it. Default none. */
  readonly cors?: CorsOptions | undefined
  /** The object that is served for a key that is empty or ends with `/`, as `index.html`. From 1 to 1024 characters, without / at its beginning. Default none. */
  readonly index?: string | undefined
  /** Headers that cross in addition to the usual ones. Default none. */
  readonly headers?: HeaderOptions | undefined
  /** The form of errors: `s3` is the XML of S3, `problem` is RFC 9457. Default s3. */
  readonly errors?: "s3" | "problem" | undefined
  /** The breaker of each replica. Without it, the defaults. Default none. */
  readonly breaker?: BreakerPolicy.Options | undefined
}

/** What a token must have, by method. */
export interface RequireForOptions {
  /** For `GET` and `HEAD`. Default none. */
  readonly GET?: RequireOptions | undefined
  /** For `PUT`. Default none. */
  readonly PUT?: RequireOptions | undefined
  /** For `DELETE`. Default none. */
  readonly DELETE?: RequireOptions | undefined
}

const list = <S extends Schema.Constraint>(item: S, minimum: number, maximum: number, what: string) => {
  const expected = minimum === 0 ? `a list of at most ${maximum} ${what}` : `a list of ${minimum} to ${maximum} ${what}`
  return Schema.Array(item).check(Schema.isMinLength(minimum, { expected }), Schema.isMaxLength(maximum, { expected }))
}

const Value = Field.text(0, 1024)

const expectedClaims = "a section of at most 64 claims, each with a value or a list of values"

/** Checked requirements of a token. */
export const Require = Schema.Struct({
  scopes: Field.defaulted(list(Field.text(1, 256), 0, 64, "scopes"), []),
  roles: Field.defaulted(list(Field.text(1, 256), 0, 64, "roles"), []),
  claims: Field.defaulted(
    Schema.Record(Field.text(1, 256), Schema.Union([Value, list(Value, 1, 64, "values")])).check(
      Schema.makeFilter((claims: ClaimValues) => Object.keys(claims).length <= 64, { expected: expectedClaims })
    ),
    {}
  )
})
export type Require = typeof Require.Type

const networks = () => Field.defaulted(list(Network, 0, 10_000, "addresses or networks"), [])

/** Checked access rules. */
export const Access = Schema.Struct({ allow: networks(), block: networks() })
export type Access = typeof Access.Type

const limitNames = ["perBucket", "perUser", "perAddress"] as const

type RateLimits = { readonly algorithm: string } & { readonly [Name in (typeof limitNames)[number]]?: string }

/** Checked rate limits. */
export const RateLimit = Schema.Struct({
  algorithm: Field.defaulted(Schema.Literals(["tokenBucket", "slidingWindow"]), "tokenBucket"),
  perBucket: Schema.optionalKey(Rate),
  perUser: Schema.optionalKey(Rate),
  perAddress: Schema.optionalKey(Rate)
}).check(Schema.makeFilter((o: RateLimits) => {
  const name = limitNames.find((limit) => (parseRate(o[limit] ?? "")?.limit ?? 0) > maxSlidingLimit)
  return o.algorithm === "tokenBucket" || name === undefined ||
    { path: [name], issue: `at most ${maxSlidingLimit} requests, since algorithm is slidingWindow` }
}))
export type RateLimit = typeof RateLimit.Type

const matching = (pattern: RegExp, expected: string) => Schema.String.check(Schema.isPattern(pattern, { expected }))

/** A header's name (RFC 9110, 5.1), in any case. */
const HeaderName = matching(/^[!#$%&'*+.^_`|~\w-]{1,128}$/, "the name of a header, from 1 to 128 characters")

const Origin = Schema.String.check(
  Schema.makeFilter(
    (text: string) => text === "*" || (/^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text),
    { expected: "an origin, as https://app.example, or *" }
  )
)

/** Checked options of other origins. */
export const Cors = Schema.Struct({
  origins: list(Origin, 1, 64, "origins"),
  headers: Field.defaulted(list(HeaderName, 0, 64, "names"), []),
  expose: Field.defaulted(list(HeaderName, 0, 64, "names"), ["etag", "content-range", "x-correlation-id"]),
  credentials: Field.defaulted(Schema.Boolean, false),
  maxAge: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.hours(1))
}).check(
  Schema.makeFilter((o: { readonly credentials: boolean; readonly origins: ReadonlyArray<string> }) =>
    !o.credentials || !o.origins.includes("*") ||
    { path: ["credentials"], issue: "false, since origins has *: name the origins" }
  )
)
export type Cors = typeof Cors.Type

/** Checked header lists. */
export const Headers = Schema.Struct({
  request: Field.defaulted(list(HeaderName, 0, 64, "names"), []),
  response: Field.defaulted(list(HeaderName, 0, 64, "names"), [])
})
export type Headers = typeof Headers.Type

const name = () => matching(/^[\w.-]{1,64}$/, "1 to 64 of A-Z, a-z, 0-9, _, . and -")
const methods = ["GET", "HEAD", "PUT", "DELETE"] as const

/** Checked requirements by method. */
export const RequireFor = Schema.Struct({
  GET: Schema.optionalKey(Require),
  PUT: Schema.optionalKey(Require),
  DELETE: Schema.optionalKey(Require)
})
export type RequireFor = typeof RequireFor.Type

/** Checked options of a bucket. */
export const Bucket = Schema.Struct({
  name: name(),
  path: Schema.String.check(
    Schema.makeFilter(isPrefix, {
      expected: "a path of whole segments, as /products, without dot segments, %, ?, # and a last /"
    })
  ),
  replicas: list(Replica, 1, 16, "replicas"),
  public: Field.defaulted(Schema.Boolean, false),
  auth: Field.defaulted(Field.text(1, 64), "default"),
  require: Schema.optionalKey(Require),
  requireFor: Schema.optionalKey(RequireFor),
  methods: Field.defaulted(
    Schema.Array(Schema.Literals(methods)).check(
      Schema.makeFilter((o: ReadonlyArray<Method>) => o.length > 0 && new Set(o).size === o.length, {
        expected: "a list of 1 to 4 of GET, HEAD, PUT and DELETE, each at most once"
      })
    ),
    ["GET", "HEAD"]
  ),
  cache: Schema.optionalKey(CacheOptions.Bucket),
  staleWindow: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.zero),
  access: Schema.optionalKey(Access),
  rateLimit: Schema.optionalKey(RateLimit),
  cors: Schema.optionalKey(Cors),
  index: Schema.optionalKey(
    matching(/^[^/\0][^\0]{0,1023}$/, "text from 1 to 1024 characters, without / at its beginning")
  ),
  headers: Schema.optionalKey(Headers),
  errors: Field.defaulted(Schema.Literals(["s3", "problem"]), "s3"),
  breaker: Schema.optionalKey(BreakerPolicy.BreakerPolicy)
}).check(
  Schema.makeFilter((o: { readonly public: boolean; readonly require?: Require; readonly requireFor?: RequireFor }) =>
    !o.public || (o.require === undefined && o.requireFor === undefined) ||
    {
      path: [o.require === undefined ? "requireFor" : "require"],
      issue: "left out, since public is true: everybody may read a public bucket"
    }
  ),
  Schema.makeFilter((o: { readonly public: boolean; readonly methods: ReadonlyArray<Method> }) =>
    !o.public || o.methods.every((method) => method === "GET" || method === "HEAD") ||
    { path: ["methods"], issue: "GET and HEAD only, since public is true" }
  ),
  Schema.makeFilter((o: { readonly public: boolean; readonly rateLimit?: RateLimit }) =>
    !o.public || o.rateLimit?.perUser === undefined ||
    { path: ["rateLimit", "perUser"], issue: "left out, since public is true: there are no users" }
  )
)
export type Bucket = typeof Bucket.Type
