/** The client: a guard that attaches tokens to calls of the API, and callers that use it at a constant rate. */
import { ErrorCode } from "@keelson/core"
import { OAuthClient, type ServerOptions, TokenGuard } from "@keelson/token"
import { Effect, FiberSet } from "effect"
import { callHeader } from "./faults.ts"
import { type RunClock, sleepUntil } from "./runClock.ts"
import type { PhaseName } from "./script.ts"

/** The result of one call for its caller. */
export interface Call {
  /** The phase in which the call began. */
  readonly phase: PhaseName
  readonly millis: number
  /** Why the call failed: the code of its error, or a status. */
  readonly failed: string | undefined
}

const callsPerSecond = 25

/** Creates the guard that `TokenGuards` would create from the same options. */
export const makeGuard = Effect.fnUntraced(function*(
  { client, origins, url, ...options }: ServerOptions.ServerOptions
) {
  const source = yield* OAuthClient.sourcesFromOptions(client)
  return yield* TokenGuard.make({ ...options, name: "orders", origins: [url, ...origins], source })
})

const call = Effect.fnUntraced(function*(guard: TokenGuard.TokenGuard, id: string) {
  const response = yield* guard.get("/orders", { headers: { [callHeader]: id } })
  yield* response.text
  return response.status
})

/** Calls the API at a constant rate until a time in milliseconds, reports each result, and waits for the last call. */
export const runCallers = Effect.fnUntraced(function*(
  guard: TokenGuard.TokenGuard,
  clock: RunClock,
  end: number,
  report: (call: Call) => void
) {
  const running = yield* FiberSet.make()
  const callOnce = Effect.fnUntraced(function*(id: number) {
    const { phase } = clock
    const began = clock.now()
    const failed = yield* Effect.match(call(guard, String(id)), {
      onSuccess: (status) => status === 200 ? undefined : String(status),
      onFailure: (error) => ErrorCode.codeOf(error) ?? error._tag
    })
    report({ phase, millis: clock.now() - began, failed })
  })
  for (let id = 1; clock.now() < end; id++) {
    yield* FiberSet.run(running, callOnce(id))
    yield* sleepUntil(clock, (id * 1000) / callsPerSecond)
  }
  yield* FiberSet.awaitEmpty(running)
}, Effect.scoped)
