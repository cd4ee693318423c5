import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import type * as Layer from "effect/Layer"
import type { TokenGuard } from "../../TokenGuard.ts"
import { TokenGuards } from "../../TokenGuards.ts"
import { Api, type EnsureRequest, type Entrance, type Reading, type SendRequest } from "./contract.ts"
import { makeEnsure } from "./ensure.ts"
import { failed, foreignHeader, makeSend } from "./send.ts"

/** What the handlers have to know. */
export interface Settings {
  readonly operations: ReadonlyArray<string>
  readonly showTokens: boolean
  readonly showResponses: boolean
}

const unknownServer = { error_code: "unknown_server", message: "There is no server of this name" } as const
const invalid = (message: string) => ({ error_code: "invalid_request", message }) as const

/** The guard of a server, for another scope or audience where they are asked for. */
const narrowed = (
  guard: TokenGuard,
  { audience, scope }: Pick<EnsureRequest, "audience" | "scope">
): Effect.Effect<TokenGuard, KeelsonError.ConfigurationError> =>
  audience === undefined && scope === undefined ? Effect.succeed(guard) : guard.scoped({ audience, scope })

/** The handlers of the sidecar, over the servers in context. */
export const handlers = (
  { operations, showResponses, showTokens }: Settings
): Layer.Layer<HttpApiGroup.Service<"keelson-token", "tokens">, never, Entrance | Reading | TokenGuards> =>
  HttpApiBuilder.group(
    Api,
    "tokens",
    Effect.fnUntraced(function*(group) {
      const managers = yield* TokenGuards
      const ensureToken = makeEnsure(showTokens)
      const sendBy = makeSend(showResponses)

      const named = ({ server }: EnsureRequest): TokenGuard | undefined => {
        const [first, ...others] = managers.servers()
        if (server !== undefined) return managers.get(server)
        return others.length === 0 ? first?.guard : undefined
      }
      const ensure = Effect.fnUntraced(function*(payload: EnsureRequest) {
        const found = named(payload)
        if (found === undefined) return yield* Effect.fail(unknownServer)
        const { provider } = yield* Effect.mapError(narrowed(found, payload), ({ message }) => invalid(message))
        return yield* ensureToken(provider, payload.force === true)
      })
      const send = Effect.fnUntraced(function*(payload: SendRequest) {
        const { operation, url } = payload
        if (!operations.includes(operation)) {
          return yield* Effect.fail(invalid(`operation is one of ${operations.join(", ")}`))
        }
        const header = foreignHeader(payload)
        if (header !== undefined) return yield* Effect.fail(invalid(`The header ${header} is not the caller's to set`))
        const found = managers.find(url)
        if (found === undefined) {
          return failed("non_retriable", { operation, attempts: 0 }, { message: "The URL is no registered server's" })
        }
        const guard = yield* Effect.mapError(narrowed(found.guard, payload), ({ message }) => invalid(message))
        return yield* sendBy(guard, payload)
      })
      return group.handle("ensure", ({ payload }) => ensure(payload)).handle("send", ({ payload }) => send(payload))
    })
  )
