import * as Schema from "effect/Schema"

/** The area of an error. A fixed set, safe as a metric label. */
export const Category = Schema.Literals(["CONFIGURATION", "AUTHENTICATION", "NETWORK", "AUTHORIZATION", "INTERNAL"])
export type Category = typeof Category.Type

/** The severity of an error. It may differ from the default severity of the error's code. */
export const Severity = Schema.Literals(["INFO", "WARNING", "ERROR", "CRITICAL"])
export type Severity = typeof Severity.Type
