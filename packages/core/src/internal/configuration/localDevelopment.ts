import * as Context from "effect/Context"

/**
 * Whether http is allowed to `localhost`, 127.0.0.0/8 and ::1: the default of every option `allowLocalhost` that an effect or
 * a layer decodes. It is false unless `layer` is provided. An option that is set is not affected.
 */
export const LocalDevelopment: Context.Reference<boolean> = Context.Reference("@keelson/core/LocalDevelopment", {
  defaultValue: () => false
})
