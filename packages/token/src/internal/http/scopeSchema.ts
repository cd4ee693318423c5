import * as Schema from "effect/Schema"
import { scopeToken } from "./scopes.ts"

/** A scope in options. */
export const ScopeText = Schema.String.check(
  Schema.isPattern(scopeToken, { expected: "a scope, without spaces, quotes and backslashes (RFC 6749, 3.3)" })
)
