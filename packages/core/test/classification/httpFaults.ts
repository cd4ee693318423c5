/** What can happen to a request over Effect's HTTP clients, each made to happen for real. */
import { NodeHttpClient } from "@effect/platform-node"
import { selfSignedOrigin } from "@keelson/testing/httpOrigin"
import { Effect, type Layer, type Scope } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import type { ErrorCode } from "../../src/index.ts"
import { brokenOrigin } from "./brokenOrigin.ts"
import type { Fault } from "./fault.ts"

const clients: ReadonlyArray<readonly [string, Layer.Layer<HttpClient.HttpClient>]> = [
  ["fetch", FetchHttpClient.layer],
  ["undici", NodeHttpClient.layerUndici],
  ["node:http", NodeHttpClient.layerNodeHttp]
]

type Send = (client: HttpClient.HttpClient, origin: string) => Effect.Effect<unknown, unknown, Scope.Scope>

const get = (path: string): Send => (client, origin) =>
  Effect.flatMap(client.get(origin + path), (response) => response.text)
const send = (make: (origin: string) => HttpClientRequest.HttpClientRequest): Send => (client, origin) =>
  client.execute(make(origin))
const elsewhere = (url: string): Send => (client) => client.get(url)
const strict = (status: number): Send => (client, origin) =>
  HttpClient.filterStatusOk(client).get(`${origin}/${status}`)

type Row = readonly [ids: string, what: string, code: ErrorCode.ErrorCode | undefined, send: Send]

const rows: ReadonlyArray<Row> = [
  ["", "the connection is refused", "NETWORK_ERROR", elsewhere("http://127.0.0.1:2")],
  ["R27", "the name is not known", "NETWORK_ERROR", elsewhere("http://nowhere.invalid")],
  ["", "the connection is reset before the response", "NETWORK_ERROR", get("/reset")],
  ["", "the connection is closed before the response", "NETWORK_ERROR", get("/close")],
  ["K-28 D1", "the connection is closed within the body", "NETWORK_ERROR", get("/body-closed")],
  ["K-28 D1", "the connection is reset within the body", "NETWORK_ERROR", get("/body-reset")],
  ["K-28 D1", "the connection is closed within a chunk", "NETWORK_ERROR", get("/chunk-closed")],
  ["K-28 D1", "a chunk of the body is not HTTP", "NETWORK_ERROR", get("/chunk-broken")],
  ["", "the response is not HTTP", "NETWORK_ERROR", get("/not-http")],
  ["", "the head of the response is too large", "RESPONSE_TOO_LARGE", get("/head-too-large")],
  [
    "R27",
    "the certificate is not trusted",
    "TLS_FAILED",
    (client) => Effect.flatMap(selfSignedOrigin, ({ url }) => client.get(url))
  ],
  [
    "R27",
    "the server does not speak TLS",
    "TLS_FAILED",
    (client, origin) => client.get(`${origin.replace("http:", "https:")}/200`)
  ],
  [
    "K-28 D3",
    "a header has a line break",
    "REQUEST_INVALID",
    send((origin) => HttpClientRequest.get(`${origin}/200`, { headers: { "x-name": "a\nb" } }))
  ],
  [
    "K-28 D3",
    "a header has a character above U+00FF",
    "REQUEST_INVALID",
    send((origin) => HttpClientRequest.get(`${origin}/200`, { headers: { "x-name": "€" } }))
  ],
  [
    "K-28 D3",
    "a header's name has a space",
    "REQUEST_INVALID",
    send((origin) => HttpClientRequest.get(`${origin}/200`, { headers: { "x name": "a" } }))
  ],
  ["K-28 D3", "the scheme of the URL is not known", "REQUEST_INVALID", elsewhere("ftp://127.0.0.1/")],
  ["K-28 D3", "the URL is malformed", "REQUEST_INVALID", elsewhere("http://[/")],
  ["K-28 D3", "the body cannot be encoded", "REQUEST_INVALID", (client, origin) =>
    Effect.flatMap(
      HttpClientRequest.bodyJson(HttpClientRequest.post(`${origin}/200`), { amount: 1n }),
      client.execute
    )],
  [
    "",
    "the body is not JSON",
    "UPSTREAM_REJECTED",
    (client, origin) => Effect.flatMap(client.get(`${origin}/not-json`), (response) => response.json)
  ],
  [
    "",
    "the response is empty where a stream is read",
    "UPSTREAM_REJECTED",
    (client, origin) => Effect.flatMap(client.get(`${origin}/404`), HttpClientResponse.filterStatusOk)
  ],
  ["", "status 400 as an error", "UPSTREAM_REJECTED", strict(400)],
  ["", "status 408 as an error", "TIMEOUT", strict(408)],
  ["", "status 429 as an error", "RATE_LIMITED", strict(429)],
  ["", "status 500 as an error", "UPSTREAM_UNAVAILABLE", strict(500)],
  ["", "status 504 as an error", "TIMEOUT", strict(504)]
]

export const httpFaults: ReadonlyArray<Fault> = clients.flatMap(([where, layer]) =>
  rows.map(([ids, what, code, make]) => ({
    ids,
    area: "HTTP",
    what,
    where,
    code,
    make: Effect.flatMap(
      brokenOrigin,
      (origin) => Effect.flatMap(HttpClient.HttpClient, (client) => make(client, origin))
    )
      .pipe(Effect.provide(layer))
  }))
)
