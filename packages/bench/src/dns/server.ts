/** A DNS server in a separate thread: it never answers for names below `dead.example`, and has one address for all others. */
import { createSocket } from "node:dgram"
import { parentPort } from "node:worker_threads"

/** The end of the question's name, which begins after the header of 12 bytes. */
const endOfName = (query: Buffer): number => {
  let at = 12
  while ((query[at] ?? 0) > 0) at += 1 + (query[at] ?? 0)
  return at + 1
}

const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1])

const respond = (query: Buffer, end: number): Buffer => {
  const isIpv4 = query.readUInt16BE(end) === 1
  const header = Buffer.from(query.subarray(0, 12))
  header.writeUInt16BE(0x8180, 2)
  header.writeUInt16BE(isIpv4 ? 1 : 0, 6)
  header.fill(0, 8)
  return Buffer.concat([header, query.subarray(12, end + 4), ...(isIpv4 ? [record] : [])])
}

const socket = createSocket("udp4")
socket.on("message", (query, { address, port }) => {
  const end = endOfName(query)
  if (query.subarray(12, end).toString("latin1").includes("dead")) return
  socket.send(respond(query, end), port, address)
})
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
socket.bind(53, "127.0.0.1", () => parentPort?.postMessage("ready"))
