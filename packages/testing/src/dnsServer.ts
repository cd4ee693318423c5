/** A real DNS server on a free UDP port that answers by a script, or not at all. */
import { Effect, type Scope } from "effect"
import * as Dgram from "node:dgram"

/** The addresses of a name, or what the server does instead. */
export type DnsAnswer = ReadonlyArray<string> | "silence" | "nxdomain" | "servfail"

export interface DnsServer {
  /** `127.0.0.1:port`. */
  readonly address: string
  /** `name type` of every query so far, in lower case; a repeated query counts again. */
  readonly queries: ReadonlyArray<string>
  /** Called with each query. */
  onQuery: () => void
}

const types: Readonly<Record<number, string>> = { 1: "A", 28: "AAAA" }

const nameIn = (query: Buffer): { readonly name: string; readonly end: number } => {
  const labels: Array<string> = []
  let at = 12
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join(".").toLowerCase(), end: at + 1 }
}

const bytesOf = (address: string): Buffer => {
  if (!address.includes(":")) return Buffer.from(address.split(".").map(Number))
  const [head = "", tail = ""] = address.split("::")
  const words = (text: string) => text === "" ? [] : text.split(":").map((word) => Number.parseInt(word, 16))
  const [first, last] = [words(head), words(tail)]
  const all = [...first, ...Array.from({ length: 8 - first.length - last.length }, () => 0), ...last]
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 255]))
}

const respond = (query: Buffer, answer: Exclude<DnsAnswer, "silence">): Buffer => {
  const { end } = nameIn(query)
  const type = query.readUInt16BE(end)
  const addresses = typeof answer === "string" ? [] : answer
  const records = addresses.filter((address) => (type === 28) === address.includes(":")).map((address) => {
    const data = bytesOf(address)
    const head = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length])
    return Buffer.concat([head, data])
  })
  const header = Buffer.from(query.subarray(0, 12))
  const rcode = answer === "nxdomain" ? 3 : answer === "servfail" ? 2 : 0
  header.writeUInt16BE(0x8180 | rcode, 2)
  header.writeUInt16BE(records.length, 6)
  header.fill(0, 8)
  return Buffer.concat([header, query.subarray(12, end + 4), ...records])
}

/** Serves the names of a function, by default on a free port. */
export const dnsServer = (
  answerOf: (name: string) => DnsAnswer,
  port = 0
): Effect.Effect<DnsServer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{ readonly server: DnsServer; readonly socket: Dgram.Socket }>((resume) => {
      const queries: Array<string> = []
      const socket = Dgram.createSocket("udp4")
      const server = { address: "", queries, onQuery: () => {} }
      socket.on("message", (query, from) => {
        const { end, name } = nameIn(query)
        queries.push(`${name} ${types[query.readUInt16BE(end)] ?? "other"}`)
        const answer = answerOf(name)
        if (answer !== "silence") socket.send(respond(query, answer), from.port, from.address)
        server.onQuery()
      })
      socket.bind(port, "127.0.0.1", () => {
        server.address = `127.0.0.1:${socket.address().port}`
        resume(Effect.succeed({ server, socket }))
      })
    }),
    ({ socket }) => Effect.callback<void>((resume) => void socket.close(() => resume(Effect.void)))
  ).pipe(Effect.map(({ server }) => server))
