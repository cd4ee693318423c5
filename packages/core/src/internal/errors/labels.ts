import * as Schema from "effect/Schema"

/** The area of an error. A fixed set, safe as a metric label. */
export const Category = Schema.Literals(["CONFIGURATION", "AUTHENTICATION", "NETWORK", "AUTHORIZATION", "INTERNAL"])
export type Category = typeof Category.Type

/** The severity of an error; one occurrence may have another than its code. */
export const Severity = Schema.Literals(["INFO", "WARNING", "ERROR", "CRITICAL"])
export type Severity = typeof Severity.Type
