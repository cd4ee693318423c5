/** An API on 127.0.0.1 that answers who has a token of the authorization server, and the requests it got. */
import { Effect, type Scope } from "effect"
import { listen } from "./listen.ts"

export interface Api {
  readonly url: string
  /** Takes the tokens that it has seen so far no more. */
  readonly refuseKnown: () => void
  /** How many requests came since this was called last, by whose token they carried. */
  readonly takeRequests: () => Readonly<Record<string, number>>
}

export const makeApi = Effect.fnUntraced(function*(
  clientOf: (token: string) => Promise<string | undefined>
): Effect.fn.Return<Api, never, Scope.Scope> {
  const seen = new Set<string>()
  const refused = new Set<string>()
  let counts: Record<string, number> = {}
  const url = yield* listen((request, response) => {
    const token = request.headers.authorization?.replace("Bearer ", "") ?? ""
    const answer = async () => {
      const client = await clientOf(token)
      const isGood = client !== undefined && !refused.has(token)
      seen.add(token)
      const who = isGood ? client : "nobody"
      counts[who] = (counts[who] ?? 0) + 1
      response.writeHead(isGood ? 200 : 401, { "content-type": "text/plain" }).end(isGood ? `hello ${client}` : "")
    }
    void answer()
  })
  return {
    url,
    refuseKnown: () => {
      for (const token of seen) refused.add(token)
    },
    takeRequests: () => {
      const taken = counts
      counts = {}
      return taken
    }
  }
})
