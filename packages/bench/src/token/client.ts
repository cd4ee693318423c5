/** An API client in a separate thread, so that the server's thread does only the server's work. */
import { Agent, get } from "node:http"
import { parentPort } from "node:worker_threads"

/** What to send: the number of requests, and the tokens to use in turn. */
export interface Order {
  readonly port: number
  readonly path: string
  readonly tokens: ReadonlyArray<string>
  readonly requests: number
}

/** The number of responses with status 200. */
export type Answer = number

const connections = 32
const agent = new Agent({ keepAlive: true, maxSockets: connections })

const ask = ({ path, port }: Order, token: string): Promise<boolean> =>
  new Promise((resolve, reject) => {
    get({ agent, host: "127.0.0.1", port, path, headers: { authorization: `Bearer ${token}` } }, (response) => {
      response.resume()
      response.once("end", () => resolve(response.statusCode === 200))
    }).once("error", reject)
  })

const fulfil = async (order: Order): Promise<Answer> => {
  let asked = 0
  let answered = 0
  const connection = async () => {
    while (asked < order.requests) {
      const token = order.tokens[asked++ % order.tokens.length] ?? ""
      // oxlint-disable-next-line eslint/no-await-in-loop -- each worker sends its requests in sequence
      if (await ask(order, token)) answered++
    }
  }
  await Promise.all(Array.from({ length: connections }, connection))
  return answered
}

parentPort?.on("message", (order: Order) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
  void fulfil(order).then((answer) => parentPort?.postMessage(answer))
})
