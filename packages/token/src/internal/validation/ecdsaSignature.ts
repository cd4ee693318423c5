/** The DER tags of an integer and of a sequence (X.690, 8.3 and 8.9). */
const integer = 0x02
const sequence = 0x30

/** The index of the first byte of a number that is not zero; of its last byte if all are. */
const firstByte = (bytes: Uint8Array, from: number, end: number): number => {
  let at = from
  while (at < end - 1 && bytes[at] === 0) at++
  return at
}

/**
 * The DER form (RFC 3279, 2.2.3) of an ECDSA signature, whose form in a JWS is two numbers of the size of a coordinate (RFC
 * 7518, 3.4). `undefined` for bytes of another size. OpenSSL checks the numbers themselves.
 */
export const ecdsaSignature = (bytes: Uint8Array, coordinate: number): Uint8Array | undefined => {
  if (bytes.length !== 2 * coordinate) return undefined
  const r = firstByte(bytes, 0, coordinate)
  const s = firstByte(bytes, coordinate, bytes.length)
  // A first bit of one would make the number negative.
  const padR = (bytes[r] ?? 0) >> 7
  const padS = (bytes[s] ?? 0) >> 7
  const sizeR = coordinate - r + padR
  const sizeS = bytes.length - s + padS
  const size = sizeR + sizeS + 4
  // A size from 128 on takes a byte more, as for P-521.
  const head = size < 0x80 ? 2 : 3
  const der = new Uint8Array(head + size)
  der[0] = sequence
  if (head === 3) der[1] = 0x81
  der[head - 1] = size
  der[head] = integer
  der[head + 1] = sizeR
  der.set(bytes.subarray(r, coordinate), head + 2 + padR)
  const second = head + 2 + sizeR
  der[second] = integer
  der[second + 1] = sizeS
  der.set(bytes.subarray(s), second + 2 + padS)
  return der
}
