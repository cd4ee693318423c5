import * as KeelsonError from "@keelson/core/KeelsonError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"

/** A proxy, and the hosts that are requested without it. */
export interface Proxy {
  readonly url: string
  /** Those hosts, in the format of `NO_PROXY`. */
  readonly except: string
}

/** Whether the text is a proxy URL, which may contain a user and password. */
export const isProxyUrl = (text: string): boolean =>
  URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).hostname !== ""

export const proxyUrl = "the URL of an http or https proxy"

const unreadable = (cause: unknown) =>
  new KeelsonError.ConfigurationError({
    code: "INVALID_CONFIG",
    message: "The configuration source could not be read",
    cause
  })

/** Returns the first of the variables that is set and not empty. */
const variable = Effect.fnUntraced(function*(...names: ReadonlyArray<string>) {
  const provider = yield* ConfigProvider.ConfigProvider
  for (const name of names) {
    const node = yield* Effect.mapError(provider.load([name]), unreadable)
    if (node?.value !== undefined && node.value !== "") return { name, value: node.value }
  }
  return undefined
})

const malformed = (path: string) =>
  new KeelsonError.ConfigurationError({
    code: "INVALID_CONFIG",
    message: `Invalid configuration: ${path} must be ${proxyUrl}`,
    details: { path, expected: proxyUrl }
  })

/**
 * Resolves the option `proxy`: `environment`, `none` or a URL. The environment is read only once, here.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) for a malformed URL in the environment.
 */
export const proxyOf = Effect.fnUntraced(function*(
  option: string
): Effect.fn.Return<Proxy | undefined, KeelsonError.ConfigurationError> {
  if (option === "none") return undefined
  if (option !== "environment") return { url: option, except: "" }
  const configured = yield* variable("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
  if (configured === undefined) return undefined
  if (!isProxyUrl(configured.value)) return yield* malformed(configured.name)
  const except = yield* variable("no_proxy", "NO_PROXY")
  return { url: configured.value, except: except?.value ?? "" }
})
