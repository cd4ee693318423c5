import * as Context from "effect/Context"

/**
 * The prefix of all names. Default `keelson_`. Provide it around the whole program: it is read when a layer registers a
 * metric, and whenever another metric is counted.
 */
export const Prefix = Context.Reference<string>("@keelson/core/Metrics/Prefix", { defaultValue: () => "keelson_" })
