/**
 * Fields of option schemas: a range, a message that names it, and a default.
 */
import * as ByteSize from "effect/ByteSize"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { LocalDevelopment } from "../internal/configuration/localDevelopment.ts"

/** A duration in options: a `Duration`, or text of a number and its unit, as in `"250 millis"`. */
export type DurationInput = Duration.Duration | Extract<Duration.Input, string>

const units = [["hours", 3_600_000], ["minutes", 60_000], ["seconds", 1_000], ["millis", 1]] as const

/** A duration as text that options accept, in the largest unit that gives a whole number. */
export const written = (duration: Duration.Duration): string => {
  const millis = Duration.toMillis(duration)
  const unit = units.find(([, size]) => millis >= size && millis % size === 0)
  return unit === undefined
    ? `${millis} millis`
    : `${millis / unit[1]} ${unit[1] === millis ? unit[0].replace(/s$/, "") : unit[0]}`
}

/** An option with a default. */
export const defaulted = <S extends Schema.Top>(schema: S, value: S["Type"]) =>
  schema.pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(value)))

/** Whether http to this machine is allowed. The default is that of `LocalDevelopment`; false where no effect decodes. */
export const allowLocalhost = () => Schema.Boolean.pipe(Schema.withDecodingDefaultTypeKey(LocalDevelopment))

/** A whole number in a range, both ends included. */
export const int = (minimum: number, maximum: number) => {
  const expected = `a whole number from ${minimum} to ${maximum}`
  return Schema.Number.check(Schema.isInt({ expected }).abort(), Schema.isBetween({ minimum, maximum }, { expected }))
}

/** A number in a range, both ends included. */
export const number = (minimum: number, maximum: number) => {
  const expected = `a number from ${minimum} to ${maximum}`
  return Schema.Number.check(
    Schema.isFinite({ expected }).abort(),
    Schema.isBetween({ minimum, maximum }, { expected })
  )
}

/** Text whose length is in a range, both ends included. */
export const text = (minimum: number, maximum: number) => {
  const expected = `text from ${minimum} to ${maximum} characters`
  return Schema.String.check(Schema.isMinLength(minimum, { expected }), Schema.isMaxLength(maximum, { expected }))
}

/** The units that options accept in addition to those of `Duration`, in upper or lower case: `250ms`, `1 sec`, `5 min`. */
const spellings: ReadonlyMap<string, string> = new Map([
  ["ns", "nanos"],
  ["nanosecond", "nanos"],
  ["nanoseconds", "nanos"],
  ["us", "micros"],
  ["\u00b5s", "micros"],
  ["microsecond", "micros"],
  ["microseconds", "micros"],
  ["ms", "millis"],
  ["millisecond", "millis"],
  ["milliseconds", "millis"],
  ["s", "seconds"],
  ["sec", "seconds"],
  ["secs", "seconds"],
  ["m", "minutes"],
  ["min", "minutes"],
  ["mins", "minutes"],
  ["h", "hours"],
  ["hr", "hours"],
  ["hrs", "hours"],
  ["d", "days"],
  ["w", "weeks"]
])

const spelled = /^\s*(\d+(?:\.\d+)?)\s*([a-z\u00b5\u03bc]+)\s*$/i

/** A duration in the notation of `Duration`. Any other text is returned unchanged, so that `Duration` rejects it. */
const respelled = (text: string): string => {
  const [, amount, unit = ""] = spelled.exec(text) ?? []
  if (amount === undefined) return text
  const word = unit.toLowerCase().replace("\u03bc", "\u00b5")
  return `${amount} ${spellings.get(word) ?? word}`
}

const DurationText = Schema.String.pipe(
  Schema.decodeTo(
    Schema.DurationFromString,
    SchemaTransformation.transform({ decode: respelled, encode: (text: string) => text })
  )
)

/** A duration in a range, both ends included. Its encoded form is text with a unit. */
export const duration = (minimum: DurationInput, maximum: DurationInput) => {
  const least = Duration.fromInputUnsafe(minimum)
  const most = Duration.fromInputUnsafe(maximum)
  return DurationText.check(Schema.makeFilter(
    (value: Duration.Duration) =>
      Duration.isGreaterThanOrEqualTo(value, least) && Duration.isLessThanOrEqualTo(value, most),
    { expected: `a duration with its unit, from ${written(least)} to ${written(most)}` }
  ))
}

/** A size in options: a number of bytes, or text of a number and its unit, as in `"10 MiB"`. */
export type SizeInput = ByteSize.ByteSize | number | Extract<ByteSize.Input, string>

/** The environment has text only: a number without a unit means bytes there too. */
const sizeOf = (input: number | string | bigint): Option.Option<ByteSize.ByteSize> =>
  typeof input === "string"
    ? ByteSize.fromString(/^\s*\d+\s*$/.test(input) ? `${input.trim()} bytes` : input)
    : ByteSize.fromInput(typeof input === "bigint" ? ByteSize.bytes(input) : input)

/** A size as text that options accept, in the largest unit that gives a whole number. */
export const writtenSize = (size: ByteSize.ByteSize): string => {
  const units = [["GiB", 1_073_741_824n], ["MiB", 1_048_576n], ["KiB", 1024n]] as const
  const unit = units.find(([, factor]) => size >= factor && size % factor === 0n)
  return unit === undefined ? `${size} bytes` : `${size / unit[1]} ${unit[0]}`
}

/** A size in a range, both ends included. Its encoded form is text with a unit. */
export const size = (minimum: SizeInput, maximum: SizeInput) => {
  const least = ByteSize.fromInputUnsafe(minimum)
  const most = ByteSize.fromInputUnsafe(maximum)
  const expected = `a size in bytes or with its unit, from ${writtenSize(least)} to ${writtenSize(most)}`
  return Schema.Union([Schema.String, Schema.Number, Schema.BigInt]).annotate({ expected }).pipe(
    Schema.decodeTo(
      Schema.ByteSize,
      SchemaTransformation.transformEffect({
        decode: (input: number | string | bigint) =>
          Option.match(sizeOf(input), {
            onNone: () => Effect.fail(new SchemaIssue.InvalidValue({ expected })),
            onSome: Effect.succeed
          }),
        encode: (value: ByteSize.ByteSize) => Effect.succeed(writtenSize(value))
      })
    )
  ).check(Schema.makeFilter((value: ByteSize.ByteSize) => value >= least && value <= most, { expected }))
}
