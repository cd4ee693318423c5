/**
 * Keelson inside Fastify and inside Express, for people who don't use Effect everywhere: `node
 * examples/src/existing-node-app.ts`. Both validate the tokens of their callers, and call another API with a token of their
 * own. It ends by itself after about two seconds, since nothing that was opened is left.
 */
import { createServer, type Server } from "node:http"
import { makeExpress } from "./existing-node-app/express.ts"
import { makeFastify } from "./existing-node-app/fastify.ts"
import { openKeelson, type Settings } from "./existing-node-app/keelson.ts"
import { audience, startWorld } from "./existing-node-app/world.ts"
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

/** The status, what tells the caller what to do, and the body where it is no problem document. */
const shown = async (response: Response): Promise<string> => {
  const { headers, status } = response
  const text = await response.text()
  const told = ["www-authenticate", "retry-after"].map((name) => headers.get(name)).filter((value) => value !== null)
  const isProblem = headers.get("content-type")?.startsWith("application/problem+json") === true
  return [status, ...told, ...(isProblem || text === "" ? [] : [text])].join(", ")
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
/** The kinds of sockets, servers and timers that would keep the process running, and did not before. */
const opened = () => process.getActiveResourcesInfo().filter((kind) => !before.includes(kind))
/** The other end of a connection hears a moment later that it was closed. */
const ended = async (turns = 100): Promise<void> => {
  if (turns === 0 || opened().length === 0) return
  await pause(10)
  await ended(turns - 1)
}

const world = await startWorld()
const settings: Settings = {
  issuer: world.issuer.url,
  audience,
  api: world.api,
  clientId: "editor",
  clientSecret: "secret"
}
const keelson = await openKeelson(settings)
const fastify = makeFastify(keelson)
const express = createServer(makeExpress(keelson))
const urls = { fastify: await fastify.listen({ host: "127.0.0.1", port: 0 }), express: await listen(express) }

const show = async (title: string, token: string | undefined, method?: string): Promise<void> => {
  const answers = await Promise.all(Object.values(urls).map((url) => send(url, token, method).then(shown)))
  report(title, ...Object.keys(urls).map((name, index) => `${name}: ${answers[index]}`))
}

const token = await world.token()
world.issuer.isDown = true
await show("A good token, while the issuer's keys can't be had: that says nothing about the token", token)
world.issuer.isDown = false
await pause(1100)
await show("The same a second later. The reports are those of the API", token)
await show("No token", undefined)
await show("A token that was changed", `${token.slice(0, -8)}AAAAAAAA`)
await show("A token that lacks a scope", token, "DELETE")

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
  report("A reload with settings that are wrong changes nothing", String(error))
})
await show("It goes on with those that it has", token)

await fastify.close()
await new Promise((resolve) => {
  express.close(resolve)
})
await keelson.close()
await world.close()
await ended()
report("All is closed. What would keep the process running", opened().join(", ") || "nothing")
