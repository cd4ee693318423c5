/** A store of objects on 127.0.0.1 that can fail: it answers GET and HEAD as S3 does, without signatures. */
import { Effect, type Scope } from "effect"
import { createHash } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import { listen } from "../tokens/listen.ts"

export interface Store {
  readonly url: string
  /** The objects by path, as `/files/key`. */
  readonly objects: Map<string, Buffer>
  /** Whether every request gets a 503. */
  isDown: boolean
  /** The requests since the start. */
  requests: number
}

const rangeOf = (header: string | undefined, size: number): readonly [number, number] | undefined => {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(header ?? "") ?? []
  return from === undefined ? undefined : [Number(from), Math.min(size - 1, to === "" ? size : Number(to))]
}

const answer = (request: IncomingMessage, response: ServerResponse, store: Store): void => {
  store.requests++
  const body = store.objects.get(decodeURIComponent(request.url ?? ""))
  if (store.isDown || body === undefined) {
    response.writeHead(store.isDown ? 503 : 404, { "content-length": 0 }).end()
    return
  }
  const headers = {
    etag: `"${createHash("md5").update(body).digest("hex")}"`,
    "content-type": "text/plain",
    "last-modified": new Date(0).toUTCString()
  }
  if (request.headers["if-none-match"] === headers.etag) {
    response.writeHead(304, headers).end()
    return
  }
  const range = rangeOf(request.headers.range, body.length)
  const part = range === undefined ? body : body.subarray(range[0], range[1] + 1)
  response.writeHead(range === undefined ? 200 : 206, {
    ...headers,
    "content-length": part.length,
    ...(range === undefined ? {} : { "content-range": `bytes ${range[0]}-${range[1]}/${body.length}` })
  })
  response.end(request.method === "HEAD" ? undefined : part)
}

/** Runs until the scope closes. */
export const makeStore = (objects: Readonly<Record<string, string>>): Effect.Effect<Store, never, Scope.Scope> =>
  Effect.gen(function*() {
    const store: Store = {
      url: "",
      objects: new Map(Object.entries(objects).map(([path, text]) => [path, Buffer.from(text)])),
      isDown: false,
      requests: 0
    }
    const url = yield* listen((request, response) => answer(request, response, store))
    return Object.assign(store, { url })
  })
