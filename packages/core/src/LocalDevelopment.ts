/**
 * One switch for development: allows http to this machine wherever an option `allowLocalhost` exists, that is for key sets,
 * token requests and guarded clients.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { LocalDevelopment } from "./internal/configuration/localDevelopment.ts"

export { LocalDevelopment } from "./internal/configuration/localDevelopment.ts"

/**
 * Allows http to this machine, and logs a warning when it is built. Provide it to all other layers, and leave it out in
 * production.
 *
 * **Example** (A switch in the environment)
 *
 * ```ts import.meta.vitest
 * import { LocalDevelopment } from "@keelson/core"
 * import { Config, ConfigProvider, Effect, Layer } from "effect"
 *
 * const layer = Layer.unwrap(Effect.map(
 *   Config.Boolean("APP_LOCAL_DEVELOPMENT").pipe(Config.withDefault(false)),
 *   (isLocal) => isLocal ? LocalDevelopment.layer : Layer.empty
 * ))
 * const environment = ConfigProvider.layer(ConfigProvider.fromUnknown({ APP_LOCAL_DEVELOPMENT: "true" }))
 *
 * const isLocal = Effect.provide(LocalDevelopment.LocalDevelopment, Layer.provide(layer, environment))
 * await Effect.runPromise(isLocal) // => true
 * ```
 */
export const layer: Layer.Layer<never> = Layer.effect(
  LocalDevelopment,
  Effect.as(
    Effect.logWarning("Local development: http to this machine is allowed. Do not use this in production"),
    true
  )
)
