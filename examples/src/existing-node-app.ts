/**
 * Keelson in Fastify and Express, for applications that do not use Effect themselves. Both validate their callers' tokens, and
 * call another API with their own token. Run it with `node examples/src/existing-node-app.ts`; it exits after about two
 * seconds, after everything it opened is closed.
 */
import { createServer, type Server } from "node:http"
import { makeExpress } from "./existing-node-app/express.ts"
import { makeFastify } from "./existing-node-app/fastify.ts"
import { openKeelson, type Settings } from "./existing-node-app/keelson.ts"
import { audience, startServers } from "./existing-node-app/servers.ts"
import { counted } from "./text.ts"

const listen = (server: Server): Promise<string> =>
  new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resolve(`http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`)
    })
  })

const send = (url: string, token: string | undefined, method = "GET"): Promise<Response> =>
  fetch(`${url}/reports`, {
    method,
    headers: { connection: "close", ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
  })

/** The status, the headers that instruct the caller, and the body unless it is a problem document. */
const render = async (response: Response): Promise<string> => {
  const { headers, status } = response
  const text = await response.text()
  const instructions = ["www-authenticate", "retry-after"].map((name) => headers.get(name)).filter((value) =>
    value !== null
  )
  const isProblem = headers.get("content-type")?.startsWith("application/problem+json") === true
  return [status, ...instructions, ...(isProblem || text === "" ? [] : [text])].join(", ")
}

const pause = (millis: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, millis)
  })

const report = (title: string, ...lines: ReadonlyArray<string>): void => {
  console.log(`${title}\n${lines.map((line) => `  ${line}\n`).join("")}`)
}

report("Starting an OpenID provider, an API, and two applications on 127.0.0.1")
const before = process.getActiveResourcesInfo()
/** The kinds of sockets, servers and timers that keep the process running and were not there at the start. */
const opened = () => process.getActiveResourcesInfo().filter((kind) => !before.includes(kind))
/** Waits until all are closed, since the peer of a closed connection notices a moment later. Gives up after a second. */
const allClosed = async (turns = 100): Promise<void> => {
  if (turns === 0 || opened().length === 0) return
  await pause(10)
  await allClosed(turns - 1)
}

const servers = await startServers()
const settings: Settings = {
  issuer: servers.issuer.url,
  audience,
  api: servers.api,
  clientId: "editor",
  clientSecret: "secret"
}
const keelson = await openKeelson(settings)
const fastify = makeFastify(keelson)
const express = createServer(makeExpress(keelson))
const urls = { fastify: await fastify.listen({ host: "127.0.0.1", port: 0 }), express: await listen(express) }

const show = async (title: string, token: string | undefined, method?: string): Promise<void> => {
  const responses = await Promise.all(Object.values(urls).map((url) => send(url, token, method).then(render)))
  report(title, ...Object.keys(urls).map((name, index) => `${name}: ${responses[index]}`))
}

const token = await servers.token()
servers.issuer.isDown = true
await show("A valid token while the issuer is down: 503, since the token cannot be checked", token)
servers.issuer.isDown = false
await pause(1100)
await show("The same token a second later. The reports come from the API", token)
await show("No token", undefined)
await show("A token with a modified signature", `${token.slice(0, -8)}AAAAAAAA`)
await show("A token without the required scope", token, "DELETE")

const statusesOf = async (url: string, times: number): Promise<ReadonlyArray<string>> =>
  times === 0 ? [] : [String((await send(url, token)).status), ...await statusesOf(url, times - 1)]
const load = Promise.all(
  Array.from({ length: 10 }, (_, index) => statusesOf(index % 2 === 0 ? urls.fastify : urls.express, 20))
)
const reload = () => pause(50).then(() => keelson.reload(settings))
await reload()
await reload()
await reload()
report("200 requests, during which Keelson is reloaded three times", counted((await load).flat()))

await keelson.reload({ ...settings, issuer: "no issuer" }).catch((error: unknown) => {
  report("A reload with invalid settings fails and changes nothing", String(error))
})
await show("The previous settings stay in use", token)

await fastify.close()
await new Promise((resolve) => {
  express.close(resolve)
})
await keelson.close()
await servers.close()
await allClosed()
report("Everything is closed. Resources still open", opened().join(", ") || "none")
