/** The units of `grpc-timeout`, in nanoseconds. */
const grpcUnits: Readonly<Record<string, number>> = {
  H: 3_600_000_000_000,
  M: 60_000_000_000,
  S: 1_000_000_000,
  m: 1_000_000,
  u: 1_000,
  n: 1
}

/** The longest values that are read: 8 digits in `grpc-timeout`, as its specification says, and 115 days otherwise. */
const grpcForm = /^(\d{1,8})([HMSmun])$/
const millisForm = /^\d{1,10}$/

/** The longest time that is sent, in milliseconds: 115 days, the longest that both forms can hold. */
const longest = 9_999_999_999n

/** The value of a header for a time that is left. At least one millisecond, since zero means "no limit" to some proxies. */
export const writeTimeout = (header: string, nanos: bigint): string => {
  const whole = nanos / 1_000_000n
  const millis = whole < 1n ? 1n : whole > longest ? longest : whole
  if (header !== "grpc-timeout") return String(millis)
  return millis < 100_000_000n ? `${millis}m` : `${millis / 1000n}S`
}

/** The time in a header, in nanoseconds; `undefined` if the value is malformed, zero or longer than the forms allow. */
export const readTimeout = (header: string, value: string | undefined): bigint | undefined => {
  if (value === undefined) return undefined
  const [, amount = "", unit = ""] = header === "grpc-timeout" ? grpcForm.exec(value) ?? [] : [value, value, "m"]
  const scale = grpcUnits[unit]
  if (scale === undefined || !millisForm.test(amount)) return undefined
  const nanos = BigInt(amount) * BigInt(scale)
  return nanos > 0n ? nanos : undefined
}
