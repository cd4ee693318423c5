/**
 * `${VAR}` in configuration text, taken from the `ConfigProvider` in context (the environment by default).
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import { ConfigurationError } from "./KeelsonError.ts"
import * as InvalidConfig from "./unstable/InvalidConfig.ts"

const variable = /\$\$\{|\$\{([^}]*)(\}?)/g
const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/

const missing = (name: string) =>
  new ConfigurationError({
    code: "CONFIG_VARIABLE_MISSING",
    message: `The environment variable ${name} is not set`,
    details: { var_name: name }
  })

const malformed = (offset: number) =>
  new ConfigurationError({
    code: "INVALID_CONFIG",
    message: `The \${ at offset ${offset} is not followed by the name of a variable and a closing brace`,
    details: { offset, expected: "${NAME}, with NAME of letters, digits and underscores" }
  })

const lookup = (name: string): Effect.Effect<string, ConfigurationError> =>
  Effect.flatMap(ConfigProvider.ConfigProvider, (provider) => provider.load([name])).pipe(
    Effect.mapError(InvalidConfig.unreadableSource),
    Effect.flatMap((node) => node?.value === undefined ? Effect.fail(missing(name)) : Effect.succeed(node.value))
  )

/**
 * Replaces each `${NAME}` in a text by the variable's value. `$${` is a literal `${`.
 *
 * A value is inserted unchanged, and a `${` in it is not replaced. An empty variable counts as not set. Fails with
 * `ConfigurationError`: `CONFIG_VARIABLE_MISSING` with `var_name`; `INVALID_CONFIG` for a `${` that is not closed or has no
 * valid name, or if the environment cannot be read. No value appears in an error.
 *
 * **Example** (A host from the environment)
 *
 * ```ts import.meta.vitest
 * import * as EnvSubstitution from "@keelson/core/EnvSubstitution"
 * import * as ConfigProvider from "effect/ConfigProvider"
 * import * as Effect from "effect/Effect"
 *
 * const provider = ConfigProvider.fromEnv({ env: { BILLING_HOST: "billing.internal" } })
 * const url = EnvSubstitution.substitute("https://${BILLING_HOST}/v1").pipe(
 *   Effect.provideService(ConfigProvider.ConfigProvider, provider)
 * )
 * await Effect.runPromise(url) // => "https://billing.internal/v1"
 * ```
 */
export const substitute = Effect.fnUntraced(function*(text: string): Effect.fn.Return<string, ConfigurationError> {
  let result = ""
  let end = 0
  for (const match of text.matchAll(variable)) {
    result += text.slice(end, match.index)
    end = match.index + match[0].length
    if (match[0] === "$${") {
      result += "${"
      continue
    }
    const [, name = "", brace] = match
    if (brace === "" || !variableName.test(name)) return yield* malformed(match.index)
    result += yield* lookup(name)
  }
  return result + text.slice(end)
})

/**
 * Replaces variables in every string inside arrays and plain objects, but not in the names of members.
 *
 * Use it on a *parsed* document: a value with quotes or line breaks then cannot change the structure of the document.
 */
export const substituteAll = (tree: unknown): Effect.Effect<unknown, ConfigurationError> => {
  if (typeof tree === "string") return substitute(tree)
  if (Array.isArray(tree)) return Effect.forEach(tree, substituteAll)
  if (typeof tree !== "object" || tree === null) return Effect.succeed(tree)
  return Effect.map(
    Effect.forEach(
      Object.entries(tree),
      ([name, child]) => Effect.map(substituteAll(child), (value) => [name, value] as const)
    ),
    Object.fromEntries
  )
}
