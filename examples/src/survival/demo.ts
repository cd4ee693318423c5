/** Everything that a run uses: the provider, the API with its key cache, and the client with its guard. */
import type { JwksCache } from "@keelson/jwks"
import type { TokenGuard } from "@keelson/token"
import { Effect } from "effect"
import { recordTransitions } from "./circuitLog.ts"
import { makeGuard } from "./client.ts"
import { loadConfig } from "./config.ts"
import { type Faults, makeFaults } from "./faults.ts"
import { makeObservations, type Observations } from "./observations.ts"
import { makeProvider, type Provider } from "./provider.ts"
import { makeRunClock, type RunClock } from "./runClock.ts"
import { listening, serveApi } from "./server.ts"

export interface Demo {
  readonly clock: RunClock
  readonly provider: Provider
  /** The URL of the API. */
  readonly api: string
  /** The API's key cache. */
  readonly cache: JwksCache.JwksCache["Service"]
  readonly faults: Faults
  /** The client. */
  readonly guard: TokenGuard.TokenGuard
  readonly observations: Observations
}

/**
 * Starts the servers and creates the client from a configuration file. They live in the scope.
 *
 * Fails with `ConfigurationError`, which names the option and its bound.
 */
export const makeDemo = Effect.fnUntraced(function*(configFile: string | undefined) {
  const clock = yield* makeRunClock
  const observations = makeObservations()
  const provider = yield* makeProvider(clock)
  const { server, url } = yield* listening
  const config = yield* loadConfig(configFile, { ISSUER: provider.url, API: url, CLIENT_SECRET: provider.secret })
  const faults = yield* makeFaults(clock)
  const cache = yield* serveApi(server, config.api, provider.url, faults)
  const guard = yield* Effect.provide(makeGuard(config.client), recordTransitions(clock, observations.transitions))
  const demo: Demo = { clock, provider, api: url, cache, faults, guard, observations }
  return demo
})
