import type * as KeelsonError from "@keelson/core/KeelsonError"
import { LocalDevelopment } from "@keelson/core/LocalDevelopment"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { TokenEndpoint } from "./metadata.ts"
import type { Options } from "./requestOptions.ts"

const isLocalHttp = (url: string | undefined, insecureHosts: ReadonlyArray<string> | undefined): boolean =>
  url !== undefined && Result.isFailure(SafeUrl.check(url, { insecureHosts })) &&
  Result.isSuccess(SafeUrl.check(url, { allowLocalhost: true }))

/** The option with an http URL of this machine, which `allowLocalhost` neither allows nor forbids. */
export const undecidedUrl = (
  { allowLocalhost, insecureHosts, issuer, tokenEndpoint }: Options
): "issuer" | "tokenEndpoint" | undefined => {
  if (allowLocalhost !== undefined) return undefined
  if (isLocalHttp(tokenEndpoint, insecureHosts)) return "tokenEndpoint"
  return tokenEndpoint === undefined && isLocalHttp(issuer, insecureHosts) ? "issuer" : undefined
}

/** Fails unless `LocalDevelopment` is on. Sources are made outside of effects, so this is checked when they are used. */
const checkLocal = (option: string): Effect.Effect<void, KeelsonError.ConfigurationError> =>
  Effect.flatMap(
    LocalDevelopment,
    (isOn) => isOn ? Effect.void : Effect.fail(InvalidConfig.option(option, `an https URL; ${SafeUrl.localHint}`))
  )

/** An endpoint that is used only while `LocalDevelopment` is on. */
export const localOnly = (endpoint: TokenEndpoint, option: string): TokenEndpoint => ({
  ...endpoint,
  url: Effect.andThen(checkLocal(option), endpoint.url)
})
