import * as DateTime from "effect/DateTime"

/** The last time that a name with a year of four digits can have. */
const latest = 253_402_300_799_999

/** A time (UTC) in names, which sort by age: `2026-11-30-21-05-59-123`. */
export const stampOf = (millis: number): string =>
  DateTime.formatIso(DateTime.makeUnsafe(Math.min(Math.max(0, Math.floor(millis)), latest)))
    .replaceAll(/[T:.]/g, "-").slice(0, -1)

/** The time of such a stamp, in milliseconds since 1970; `undefined` if it is not one. */
export const timeOfStamp = (stamp: string): number | undefined => {
  const [, date, hours, minutes, seconds, millis] = /^(\d{4}-\d\d-\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d{3})$/.exec(stamp) ?? []
  if (date === undefined) return undefined
  const time = DateTime.make(`${date}T${hours}:${minutes}:${seconds}.${millis}Z`)
  return time._tag === "Some" ? time.value.epochMilliseconds : undefined
}
