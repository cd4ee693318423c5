/**
 * Options of the gateway's listeners, of its end and of its logs: checked data from code, a file or the environment.
 */
import type * as Configuration from "@keelson/core/Configuration"
import * as Field from "@keelson/core/unstable/Field"
import * as ByteSize from "effect/ByteSize"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { Network } from "./internal/config/network.ts"

/** The files of a listener's TLS certificate. Both are read again when they change. */
export interface TlsOptions {
  /** The certificate and its chain in PEM. From 1 to 4096 characters. Required. */
  readonly certFile: string
  /** The private key in PEM. From 1 to 4096 characters. Required. */
  readonly keyFile: string
}

/** The options of the listener for clients. Every one may be left out. */
export interface ListenOptions {
  /**
   * The address to listen on. Only this machine reaches the default; `::` accepts clients from everywhere. From 1 to 255 characters. Default
   * 127.0.0.1.
   */
  readonly host?: string | undefined
  /** The port; 0 takes a free one. From 0 to 65535. Default 8080. */
  readonly port?: number | undefined
  /** The certificate of a TLS listener. Without it, the listener speaks plain HTTP. Default none. */
  readonly tls?: TlsOptions | undefined
  /**
   * The addresses from which trusted proxies connect, or their networks in CIDR notation. Only what they append to
   * `X-Forwarded-For` is used as the client's address. At most 1000 addresses or networks. Default none.
   */
  readonly proxies?: ReadonlyArray<string> | undefined
  /** Upper bound of the request line and all header fields of a request. From 1 KiB to 1 MiB. Default 16 KiB. */
  readonly maxHeaderSize?: Field.SizeInput | undefined
  /** Upper bound of the header fields of a request. From 1 to 10000. Default 100. */
  readonly maxHeaders?: number | undefined
  /** Upper bound of the open connections; further ones are closed at once. From 1 to 1000000. Default 10000. */
  readonly maxConnections?: number | undefined
  /** How long a client may take to send the header of a request. From 1 second to 10 minutes. Default 10 seconds. */
  readonly headersTimeout?: Configuration.DurationInput | undefined
  /** How long a client may take to send a whole request. From 1 second to 24 hours. Default 5 minutes. */
  readonly requestTimeout?: Configuration.DurationInput | undefined
  /**
   * How long a connection without a request stays open. Choose more than the idle time-out of a load balancer in front of the gateway, which
   * otherwise sends requests on connections that the gateway is closing. From 0 millis to 1 hour. Default 65 seconds.
   */
  readonly keepAliveTimeout?: Configuration.DurationInput | undefined
  /** How long a client may read nothing of a response before its connection is closed. From 1 second to 1 hour. Default 30 seconds. */
  readonly sendTimeout?: Configuration.DurationInput | undefined
}

/** The options of the listener for administrators. Every one may be left out. */
export interface AdminOptions {
  /** Whether there is the listener. Default false. */
  readonly enabled?: boolean | undefined
  /** The address to listen on. From 1 to 255 characters. Default 127.0.0.1. */
  readonly host?: string | undefined
  /** The port; 0 takes a free one. From 0 to 65535. Default 8081. */
  readonly port?: number | undefined
  /** The certificate of a TLS listener. Without it, the listener speaks plain HTTP. Default none. */
  readonly tls?: TlsOptions | undefined
  /**
   * The name of the policy in `auth` that checks the tokens of administrators. No bucket may use it, and it has other audiences than
   * theirs. From 1 to 64 characters. Default admin.
   */
  readonly auth?: string | undefined
  /** The scope that a token of an administrator must have. From 1 to 256 characters without spaces. Default gateway:admin. */
  readonly scope?: string | undefined
}

/** How the gateway ends. Every one may be left out. */
export interface DrainOptions {
  /**
   * How long the gateway accepts connections after readiness has failed, so that load balancers stop sending requests first. From 0 millis to
   * 10 minutes. Default 5 seconds.
   */
  readonly delay?: Configuration.DurationInput | undefined
  /** How long running responses may take after that, before they are cut. From 0 millis to 24 hours. Default 30 seconds. */
  readonly timeout?: Configuration.DurationInput | undefined
}

/** What the gateway logs. Every one may be left out. */
export interface LogOptions {
  /** The least severe level that is logged. Default info. */
  readonly level?: "debug" | "info" | "warn" | "error" | undefined
  /** How long a request takes that is logged as slow, with its parts; 0 millis logs none. From 0 millis to 1 hour. Default 1 second. */
  readonly slow?: Configuration.DurationInput | undefined
  /** Whether each request and its response are logged. Default false. */
  readonly requests?: boolean | undefined
  /** With `requests`: only those whose path begins with one of these. At most 100 paths. Default none. */
  readonly paths?: ReadonlyArray<string> | undefined
  /** With `requests`: only those with one of these statuses. At most 100 statuses, from 100 to 599. Default none. */
  readonly statuses?: ReadonlyArray<number> | undefined
}

/** Checked files of a certificate. */
export const Tls = Schema.Struct({ certFile: Field.text(1, 4096), keyFile: Field.text(1, 4096) })
export type Tls = typeof Tls.Type

const list = <S extends Schema.Constraint>(item: S, maximum: number, what: string) =>
  Schema.Array(item).check(Schema.isMaxLength(maximum, { expected: `a list of at most ${maximum} ${what}` }))

/** Checked options of the listener for clients. */
export const Listen = Schema.Struct({
  host: Field.defaulted(Field.text(1, 255), "127.0.0.1"),
  port: Field.defaulted(Field.int(0, 65_535), 8080),
  tls: Schema.optionalKey(Tls),
  proxies: Field.defaulted(list(Network, 1000, "addresses or networks"), []),
  maxHeaderSize: Field.defaulted(Field.size("1 KiB", "1 MiB"), ByteSize.kibibytes(16)),
  maxHeaders: Field.defaulted(Field.int(1, 10_000), 100),
  maxConnections: Field.defaulted(Field.int(1, 1_000_000), 10_000),
  headersTimeout: Field.defaulted(Field.duration("1 second", "10 minutes"), Duration.seconds(10)),
  requestTimeout: Field.defaulted(Field.duration("1 second", "24 hours"), Duration.minutes(5)),
  keepAliveTimeout: Field.defaulted(Field.duration("0 millis", "1 hour"), Duration.seconds(65)),
  sendTimeout: Field.defaulted(Field.duration("1 second", "1 hour"), Duration.seconds(30))
}).check(
  Schema.makeFilter((o: { readonly headersTimeout: Duration.Duration; readonly requestTimeout: Duration.Duration }) =>
    Duration.isLessThanOrEqualTo(o.headersTimeout, o.requestTimeout) ||
    { path: ["headersTimeout"], issue: `at most requestTimeout, which is ${Field.written(o.requestTimeout)}` }
  )
)
export type Listen = typeof Listen.Type

/** Checked options of the listener for administrators. */
export const Admin = Schema.Struct({
  enabled: Field.defaulted(Schema.Boolean, false),
  host: Field.defaulted(Field.text(1, 255), "127.0.0.1"),
  port: Field.defaulted(Field.int(0, 65_535), 8081),
  tls: Schema.optionalKey(Tls),
  auth: Field.defaulted(Field.text(1, 64), "admin"),
  scope: Field.defaulted(
    Schema.String.check(
      Schema.isPattern(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/, { expected: "a scope from 1 to 256 characters" })
    ),
    "gateway:admin"
  )
})
export type Admin = typeof Admin.Type

/** Checked options of the end. */
export const Drain = Schema.Struct({
  delay: Field.defaulted(Field.duration("0 millis", "10 minutes"), Duration.seconds(5)),
  timeout: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.seconds(30))
})
export type Drain = typeof Drain.Type

/** Checked options of logs. */
export const Log = Schema.Struct({
  level: Field.defaulted(Schema.Literals(["debug", "info", "warn", "error"]), "info"),
  slow: Field.defaulted(Field.duration("0 millis", "1 hour"), Duration.seconds(1)),
  requests: Field.defaulted(Schema.Boolean, false),
  paths: Field.defaulted(list(Field.text(1, 1024), 100, "paths"), []),
  statuses: Field.defaulted(list(Field.int(100, 599), 100, "statuses"), [])
})
export type Log = typeof Log.Type
