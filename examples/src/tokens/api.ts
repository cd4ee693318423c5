/** An API on 127.0.0.1 that requires a token of the authorization server, and counts its requests. */
import { Effect, type Scope } from "effect"
import { listen } from "./listen.ts"

export interface Api {
  readonly url: string
  /** Rejects all tokens that it has received so far. */
  readonly rejectSeenTokens: () => void
  /** The number of requests since the last call, by the client of their token; `nobody` for a rejected token. */
  readonly takeRequests: () => Readonly<Record<string, number>>
}

export const makeApi = Effect.fnUntraced(function*(
  clientOf: (token: string) => Promise<string | undefined>
): Effect.fn.Return<Api, never, Scope.Scope> {
  const seen = new Set<string>()
  const rejected = new Set<string>()
  let counts: Record<string, number> = {}
  const url = yield* listen((request, response) => {
    const token = request.headers.authorization?.replace("Bearer ", "") ?? ""
    const respond = async () => {
      const client = await clientOf(token)
      const isAccepted = client !== undefined && !rejected.has(token)
      seen.add(token)
      const who = isAccepted ? client : "nobody"
      counts[who] = (counts[who] ?? 0) + 1
      response.writeHead(isAccepted ? 200 : 401, { "content-type": "text/plain" }).end(
        isAccepted ? `hello ${client}` : ""
      )
    }
    void respond()
  })
  return {
    url,
    rejectSeenTokens: () => {
      for (const token of seen) rejected.add(token)
    },
    takeRequests: () => {
      const taken = counts
      counts = {}
      return taken
    }
  }
})
