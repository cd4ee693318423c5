import * as Predicate from "effect/Predicate"

/** The socket of a request of Node; `undefined` for that of another server. */
const socketOf = (source: object): object | undefined => {
  const socket: unknown = Reflect.get(source, "socket")
  return Predicate.isObject(socket) ? socket : undefined
}

/** The address from which the connection of a request comes; `undefined` where the server does not say. */
export const peerAddressOf = (source: object): string | undefined => {
  const address: unknown = Reflect.get(socketOf(source) ?? source, "remoteAddress")
  return typeof address === "string" ? address : undefined
}

/** The certificate of a TLS connection, and the object that stays the same while the connection is open. */
export interface PeerCertificate {
  readonly connection: object
  readonly der: Uint8Array<ArrayBuffer>
}

const isBytes = (u: unknown): u is Uint8Array<ArrayBuffer> => u instanceof Uint8Array && u.buffer instanceof ArrayBuffer

/**
 * The certificate with which the client of a TLS connection of Node authenticated. Whether an authority that the server trusts
 * issued it does not matter: the client proved in the handshake that it has the key (RFC 8705, 6.2).
 */
export const peerCertificateOf = (source: object): PeerCertificate | undefined => {
  const connection = socketOf(source)
  const read: unknown = connection === undefined ? undefined : Reflect.get(connection, "getPeerX509Certificate")
  if (connection === undefined || !Predicate.isFunction(read)) return undefined
  const certificate: unknown = Reflect.apply(read, connection, [])
  const der: unknown = Predicate.isObject(certificate) ? Reflect.get(certificate, "raw") : undefined
  return isBytes(der) ? { connection, der } : undefined
}
