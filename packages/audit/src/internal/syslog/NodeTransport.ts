import * as Effect from "effect/Effect"
import { createSocket, type Socket as DatagramSocket } from "node:dgram"
import { lookup } from "node:dns"
import { connect as connectTcp, isIP, type Socket } from "node:net"
import { connect as connectTls } from "node:tls"
import { AuditError } from "../../AuditError.ts"

/** An open connection. After a failure, and when an effect was interrupted, it is broken. */
export interface Connection {
  /** Hands messages to the system, in their order. */
  readonly send: (messages: ReadonlyArray<string>) => Effect.Effect<void, AuditError>
  /** Closes it once the system has sent what it was given. */
  readonly close: Effect.Effect<void>
  readonly destroy: () => void
}

export interface TransportOptions {
  readonly host: string
  readonly port: number
  readonly protocol: "udp" | "tcp" | "tls"
  /** Certificate authorities in PEM. Default: those of Node. */
  readonly ca?: string | undefined
}

export const failure = (operation: string, cause?: unknown): AuditError =>
  new AuditError({ _tag: "Syslog", operation }, cause)

/** What a connection calls. */
export interface ConnectionEvents {
  /** It is open. Called before the effect that opens it ends, so that no interruption loses it. */
  readonly onOpen: (connection: Connection) => void
  /** It is lost. Not called when it was closed here. */
  readonly onBroken: (connection: Connection) => void
}

/** Opens a connection. */
export const openConnection = (
  options: TransportOptions,
  events: ConnectionEvents
): Effect.Effect<void, AuditError> =>
  options.protocol === "udp" ? openDatagrams(options, events) : openStream(options, events)

const openStream = (
  { ca, host, port, protocol }: TransportOptions,
  { onBroken, onOpen }: ConnectionEvents
): Effect.Effect<void, AuditError> =>
  Effect.callback<void, AuditError>((resume) => {
    const socket = protocol === "tcp"
      ? connectTcp({ host, port })
      : connectTls({ host, port, ca, servername: isIP(host) === 0 ? host : undefined, minVersion: "TLSv1.2" })
    let cause: unknown
    let isReady = false
    let isClosing = false
    const connection: Connection = {
      send: (messages) => sendFrames(socket, messages, () => cause),
      close: Effect.suspend(() => {
        isClosing = true
        return endStream(socket)
      }),
      destroy: () => {
        isClosing = true
        socket.destroy()
      }
    }
    socket.on("error", (error) => {
      cause = error
    })
    socket.once(protocol === "tcp" ? "connect" : "secureConnect", () => {
      isReady = true
      onOpen(connection)
      resume(Effect.void)
    })
    socket.once("close", () => {
      if (!isReady) resume(Effect.fail(failure("connect", cause)))
      else if (!isClosing) onBroken(connection)
    })
    // A server sends nothing; without a reader its end of the connection would not be noticed.
    socket.resume()
    return Effect.sync(() => socket.destroy())
  })

/** Octet counting (RFC 6587, 3.4.1; RFC 5425, 4.3). A message has ASCII alone: its length is its number of bytes. */
const sendFrames = (
  socket: Socket,
  messages: ReadonlyArray<string>,
  cause: () => unknown
): Effect.Effect<void, AuditError> =>
  Effect.callback<void, AuditError>((resume) => {
    const onClose = () => resume(Effect.fail(failure("write", cause())))
    if (socket.destroyed || !socket.writable) return onClose()
    socket.once("close", onClose)
    const frames = messages.map((message) => `${message.length} ${message}`).join("")
    socket.write(frames, "latin1", (error) => {
      socket.off("close", onClose)
      resume(error === undefined || error === null ? Effect.void : Effect.fail(failure("write", error)))
    })
    // A part of a message may have been sent: nothing may follow it.
    return Effect.sync(() => socket.destroy())
  })

const endStream = (socket: Socket): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const end = () => {
      socket.destroy()
      resume(Effect.void)
    }
    if (socket.destroyed) return end()
    socket.once("close", end)
    socket.end(end)
    return Effect.sync(end)
  })

const addressOf = (host: string): Effect.Effect<{ readonly address: string; readonly family: number }, AuditError> =>
  Effect.callback((resume) => {
    lookup(host, (error, address, family) => {
      resume(error === null ? Effect.succeed({ address, family }) : Effect.fail(failure("connect", error)))
    })
  })

const openDatagrams = (
  { host, port }: TransportOptions,
  { onBroken, onOpen }: ConnectionEvents
): Effect.Effect<void, AuditError> =>
  Effect.flatMap(addressOf(host), ({ address, family }) =>
    Effect.callback<void, AuditError>((resume) => {
      const socket = createSocket(family === 6 ? "udp6" : "udp4")
      let isOpen = true
      const close = () => {
        if (!isOpen) return
        isOpen = false
        socket.close()
      }
      const connection: Connection = {
        send: (messages) => sendDatagrams(socket, messages, () => isOpen, close),
        close: Effect.sync(close),
        destroy: close
      }
      socket.on("error", () => {
        if (!isOpen) return
        close()
        onBroken(connection)
      })
      // A connected socket reports that nobody listens at the other end (ICMP), once a message was sent.
      socket.connect(port, address, (error?: Error | null) => {
        if (error === undefined || error === null) {
          onOpen(connection)
          return resume(Effect.void)
        }
        close()
        resume(Effect.fail(failure("connect", error)))
      })
      return Effect.sync(close)
    }))

/** One message in each datagram (RFC 5426, 3.1), one after the other: the system refuses none for want of buffers. */
const sendDatagrams = (
  socket: DatagramSocket,
  messages: ReadonlyArray<string>,
  isOpen: () => boolean,
  close: () => void
): Effect.Effect<void, AuditError> =>
  Effect.callback<void, AuditError>((resume) => {
    const next = (index: number) => {
      if (!isOpen()) return resume(Effect.fail(failure("write")))
      const message = messages[index]
      if (message === undefined) return resume(Effect.void)
      socket.send(Buffer.from(message, "latin1"), (error) => {
        if (error === null) return next(index + 1)
        close()
        resume(Effect.fail(failure("write", error)))
      })
    }
    next(0)
    return Effect.sync(close)
  })
