import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import type * as Layer from "effect/Layer"
import type { TokenGuard } from "../../TokenGuard.ts"
import { TokenGuards } from "../../TokenGuards.ts"
import { Api, type CallerCheck, type EnsureRequest, type SchemaErrors, type SendRequest } from "./contract.ts"
import { makeEnsure } from "./ensure.ts"
import { failed, hasUnsendableBody, makeSend, reservedHeader } from "./send.ts"

/** The options of the handlers. */
export interface HandlerOptions {
  readonly operations: ReadonlyArray<string>
  readonly showTokens: boolean
  readonly showResponses: boolean
}

const unknownServer = { errorCode: "unknown_server", message: "No server has this name" } as const
const invalid = (message: string) => ({ errorCode: "invalid_request", message }) as const

/** The guard for the requested scope and audience. */
const guardFor = (
  guard: TokenGuard,
  { audience, scope }: Pick<EnsureRequest, "audience" | "scope">
): Effect.Effect<TokenGuard, KeelsonError.ConfigurationError> =>
  audience === undefined && scope === undefined ? Effect.succeed(guard) : guard.scoped({ audience, scope })

/** The handlers of the sidecar, which use the `TokenGuards` in context. */
export const handlers = (
  { operations, showResponses, showTokens }: HandlerOptions
): Layer.Layer<HttpApiGroup.Service<"keelson-token", "tokens">, never, CallerCheck | SchemaErrors | TokenGuards> =>
  HttpApiBuilder.group(
    Api,
    "tokens",
    Effect.fnUntraced(function*(group) {
      const guards = yield* TokenGuards
      const ensureToken = makeEnsure(showTokens)
      const sendRequest = makeSend(showResponses)

      const guardNamed = ({ server }: EnsureRequest): TokenGuard | undefined => {
        const [first, ...others] = guards.servers()
        if (server !== undefined) return guards.get(server)
        return others.length === 0 ? first?.guard : undefined
      }
      const ensure = Effect.fnUntraced(function*(payload: EnsureRequest) {
        const guard = guardNamed(payload)
        if (guard === undefined) return yield* Effect.fail(unknownServer)
        const { provider } = yield* Effect.mapError(guardFor(guard, payload), ({ message }) => invalid(message))
        return yield* ensureToken(provider, payload.force === true)
      })
      const send = Effect.fnUntraced(function*(payload: SendRequest) {
        const { operation, url } = payload
        if (!operations.includes(operation)) {
          return yield* Effect.fail(invalid(`operation must be one of ${operations.join(", ")}`))
        }
        if (hasUnsendableBody(payload)) {
          return yield* Effect.fail(invalid(`A ${payload.method} request must not have a body`))
        }
        const header = reservedHeader(payload)
        if (header !== undefined) return yield* Effect.fail(invalid(`The caller must not set the header ${header}`))
        const server = guards.find(url)
        if (server === undefined) {
          return failed("nonRetryable", { operation, attempts: 0 }, {
            message: "The URL belongs to no registered server"
          })
        }
        const guard = yield* Effect.mapError(guardFor(server.guard, payload), ({ message }) => invalid(message))
        return yield* sendRequest(guard, payload)
      })
      return group.handle("ensure", ({ payload }) => ensure(payload)).handle("send", ({ payload }) => send(payload))
    })
  )
