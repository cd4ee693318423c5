/** What is around the application: an OpenID provider, and a protected API that the application calls. */
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

/** Both run until they are closed. */
export const startWorld = async () => {
  const scope = Scope.makeUnsafe()
  const run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) => Effect.runPromise(Scope.provide(effect, scope))
  const issuer = await run(makeIssuer)
  const api = await run(serve(issuer.url))
  await add(api, await run(issuer.token("editor", "reports:write")))
  return {
    issuer,
    api,
    /** A token of a caller. */
    token: () => run(issuer.token("reader", "reports:read")),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
