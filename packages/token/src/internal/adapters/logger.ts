import * as Redaction from "@keelson/core/Redaction"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"

/** A logger with the form of pino, which `console` has too. */
export interface LineLogger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

const methods: Partial<Record<LogLevel.LogLevel, keyof LineLogger>> = {
  Trace: "debug",
  Debug: "debug",
  Info: "info",
  Warn: "warn",
  Error: "error",
  Fatal: "error"
}

const isEmpty = (cause: { readonly reasons: ReadonlyArray<unknown> }) => cause.reasons.length === 0

/** Passes redacted lines to a logger, which decides by their level. */
export const layerLogger = (to: LineLogger): Layer.Layer<never> =>
  Layer.merge(
    Logger.layer([
      Redaction.logger(Logger.make(({ cause, fiber, logLevel, message }) => {
        const method = methods[logLevel]
        if (method === undefined) return
        const parts: ReadonlyArray<unknown> = Array.isArray(message) ? message : [message]
        const data = parts.filter((part) => typeof part !== "string")
        const fields = {
          ...fiber.getRef(References.CurrentLogAnnotations),
          ...(data.length === 0 ? undefined : { data }),
          ...(isEmpty(cause) ? undefined : { cause: Redaction.cause(cause) })
        }
        to[method](fields, parts.filter((part) => typeof part === "string").join(" "))
      }))
    ]),
    Layer.succeed(References.MinimumLogLevel, "Debug")
  )
