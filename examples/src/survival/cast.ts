/** Everything that is on the stage: the provider, the API with its cache of keys, and the client with its guard. */
import type { JwksCache } from "@keelson/jwks"
import type { TokenGuard } from "@keelson/token"
import { Effect } from "effect"
import { makeGuard } from "./client.ts"
import { loadConfig } from "./config.ts"
import { type Faults, makeFaults } from "./faults.ts"
import { makeNotes, type Notes } from "./notes.ts"
import { makeProvider, type Provider } from "./provider.ts"
import { listening, serveApi } from "./server.ts"
import { makeStage, type Stage } from "./stage.ts"
import { witness } from "./witness.ts"

export interface Cast {
  readonly stage: Stage
  readonly provider: Provider
  /** The URL of the API. */
  readonly api: string
  /** Its keys. */
  readonly cache: JwksCache.JwksCache["Service"]
  readonly faults: Faults
  /** The client. */
  readonly guard: TokenGuard.TokenGuard
  readonly notes: Notes
}

/**
 * Starts the servers, and makes the client, by a configuration file. They end with the scope.
 *
 * Fails with `ConfigurationError`, which names the option and its bound.
 */
export const makeCast = Effect.fnUntraced(function*(configFile: string | undefined) {
  const stage = yield* makeStage
  const notes = makeNotes()
  const provider = yield* makeProvider(stage)
  const { server, url } = yield* listening
  const config = yield* loadConfig(configFile, { ISSUER: provider.url, API: url, CLIENT_SECRET: provider.secret })
  const faults = yield* makeFaults(stage)
  const cache = yield* serveApi(server, config.api, provider.url, faults)
  const guard = yield* Effect.provide(makeGuard(config.client), witness(stage, notes.transitions))
  const cast: Cast = { stage, provider, api: url, cache, faults, guard, notes }
  return cast
})
