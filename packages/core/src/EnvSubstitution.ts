/**
 * `${VAR}` in configuration text, taken from the `ConfigProvider` in context (the environment by default).
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import { ConfigurationError } from "./KeelsonError.ts"
import * as InvalidConfig from "./unstable/InvalidConfig.ts"

const reference = /^([A-Za-z_][A-Za-z0-9_]*)(?::?-([\s\S]*))?$/

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
    details: {
      offset,
      expected: "${NAME} or ${NAME:-default}, with NAME of letters, digits and underscores"
    }
  })

const lookup = (name: string): Effect.Effect<string | undefined, ConfigurationError> =>
  Effect.flatMap(ConfigProvider.ConfigProvider, (provider) => provider.load([name])).pipe(
    Effect.mapError(InvalidConfig.unreadableSource),
    Effect.map((node) => node?.value)
  )

/** The index of the `}` that closes a `${`, after those of nested references; -1 if there is none. */
const closing = (text: string, from: number): number => {
  let open = 1
  for (let at = from; at < text.length; at++) {
    if (text.startsWith("$${", at)) at += 2
    else if (text.startsWith("${", at)) {
      open++
      at++
    } else if (text[at] === "}" && --open === 0) return at
  }
  return -1
}

/** Replaces the references of a part of a text, which begins at `base`. */
const replaced = Effect.fnUntraced(function*(text: string, base: number): Effect.fn.Return<string, ConfigurationError> {
  let result = ""
  let end = 0
  for (let at = text.indexOf("$"); at !== -1; at = text.indexOf("$", Math.max(at + 1, end))) {
    if (text.startsWith("$${", at)) {
      result += `${text.slice(end, at)}\${`
      end = at + 3
    } else if (text.startsWith("${", at)) {
      const close = closing(text, at + 2)
      const [, name, otherwise] = reference.exec(text.slice(at + 2, Math.max(close, at + 2))) ?? []
      if (name === undefined) return yield* malformed(base + at)
      const value = yield* lookup(name)
      if (value === undefined && otherwise === undefined) return yield* missing(name)
      const begin = close - (otherwise?.length ?? 0)
      result += text.slice(end, at) + (value ?? (yield* replaced(otherwise ?? "", base + begin)))
      end = close + 1
    }
  }
  return result + text.slice(end)
})

/**
 * Replaces each `${NAME}` in a text by the variable's value. `$${` is a literal `${`. `${NAME:-default}`, also written
 * `${NAME-default}`, is the default if the variable is not set; the default may contain further references, which are read
 * only then.
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
export const substitute = (text: string): Effect.Effect<string, ConfigurationError> => replaced(text, 0)

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
