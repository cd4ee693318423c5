/**
 * Upper bound of the values of a fetched or stored document. A key set of a thousand entries and the metadata of an issuer
 * have fewer; 1 MiB of `{},{},…` has 350,000, and takes a hundred milliseconds to parse.
 */
export const maxValues = 20_000

/**
 * Whether a JSON text has more than this many values, counted by the characters before each value, without parsing it. A
 * character within a text counts too.
 */
export const hasMoreValues = (text: string, limit = maxValues): boolean => {
  let count = 0
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at)
    // `,`, `[` and `{`.
    if ((character === 0x2c || character === 0x5b || character === 0x7b) && ++count > limit) return true
  }
  return false
}
