/** The calling client: a guard that carries tokens to the API, and callers that use it at a steady rate. */
import { ErrorCode } from "@keelson/core"
import { OAuthClient, type ServerOptions, TokenGuard } from "@keelson/token"
import { Effect, FiberSet } from "effect"
import { callHeader } from "./faults.ts"
import type { PhaseName } from "./script.ts"
import { type Stage, until } from "./stage.ts"

/** One call as its caller saw it. */
export interface Call {
  /** The phase in which it began. */
  readonly phase: PhaseName
  readonly millis: number
  /** Why it failed: the code of its error, or a status. */
  readonly failed: string | undefined
}

const perSecond = 25

/** A guard as `TokenGuards` makes one of the same options. */
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

/** Calls at a steady rate, however long each takes, and tells how each ended; until a moment, in milliseconds, and all have. */
export const runCallers = Effect.fnUntraced(function*(
  guard: TokenGuard.TokenGuard,
  stage: Stage,
  end: number,
  tell: (call: Call) => void
) {
  const running = yield* FiberSet.make()
  const one = Effect.fnUntraced(function*(id: number) {
    const { phase } = stage
    const began = stage.now()
    const failed = yield* Effect.match(call(guard, String(id)), {
      onSuccess: (status) => status === 200 ? undefined : String(status),
      onFailure: (error) => ErrorCode.codeOf(error) ?? error._tag
    })
    tell({ phase, millis: stage.now() - began, failed })
  })
  for (let id = 1; stage.now() < end; id++) {
    yield* FiberSet.run(running, one(id))
    yield* until(stage, (id * 1000) / perSecond)
  }
  yield* FiberSet.awaitEmpty(running)
}, Effect.scoped)
