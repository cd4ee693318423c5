import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"

/** A proxy, and the hosts that are reached without it. */
export interface Proxy {
  readonly url: string
  /** The hosts that bypass the proxy, in the format of `NO_PROXY`. */
  readonly except: string
}

/** Whether a text is the URL of a proxy, which may contain a user and password. */
export const isProxyUrl = (text: string): boolean =>
  URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).hostname !== ""

export const proxyUrl = "the URL of an http or https proxy"

/** The first of some variables that is set and not empty. */
const variable = Effect.fnUntraced(function*(...names: ReadonlyArray<string>) {
  const provider = yield* ConfigProvider.ConfigProvider
  for (const name of names) {
    const node = yield* Effect.mapError(provider.load([name]), InvalidConfig.unreadableSource)
    if (node?.value !== undefined && node.value !== "") return { name, value: node.value }
  }
  return undefined
})

const malformed = (path: string) => InvalidConfig.option(path, proxyUrl)

/** The proxy for the value of the option. The environment is read once, here. */
export const proxyOf = Effect.fnUntraced(function*(
  option: string
): Effect.fn.Return<Proxy | undefined, KeelsonError.ConfigurationError> {
  if (option === "none") return undefined
  if (option !== "environment") return { url: option, except: "" }
  const found = yield* variable("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
  if (found === undefined) return undefined
  if (!isProxyUrl(found.value)) return yield* malformed(found.name)
  const except = yield* variable("no_proxy", "NO_PROXY")
  return { url: found.value, except: except?.value ?? "" }
})
