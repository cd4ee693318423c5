/** The servers around the application: an OpenID provider, and a protected API that the application calls. */
import { Effect, Exit, Scope } from "effect"
import { makeIssuer } from "../protected-api/issuer.ts"
import { audience, serve } from "../protected-api/server.ts"

export { audience }

const add = (api: string, token: string) =>
  fetch(`${api}/reports`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ title: "Figures of May" })
  })

/** Starts both servers. They run until `close`. */
export const startServers = async () => {
  const scope = Scope.makeUnsafe()
  const run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) => Effect.runPromise(Scope.provide(effect, scope))
  const issuer = await run(makeIssuer)
  const api = await run(serve(issuer.url))
  await add(api, await run(issuer.token("editor", "reports:write")))
  return {
    issuer,
    api,
    /** Requests a caller's token. */
    token: () => run(issuer.token("reader", "reports:read")),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
