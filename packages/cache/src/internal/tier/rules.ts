import * as Instant from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type { Buckets } from "../../CacheOptions.ts"

/** What holds for the entries of one bucket. */
export interface BucketRules {
  /** Whether entries of the bucket are stored. */
  readonly enabled: boolean
  /** Zero means for ever. */
  readonly ttl: Duration.Duration
  /** In bytes. */
  readonly maxItemSize: number
}

/** The rules of a tier: its own, and those of buckets that have others. */
export const makeRules = (
  tier: { readonly ttl: Duration.Duration; readonly maxItemSize: bigint },
  buckets: Buckets
): (bucket: string) => BucketRules => {
  const own: BucketRules = { enabled: true, ttl: tier.ttl, maxItemSize: Number(tier.maxItemSize) }
  const others = new Map(
    Object.entries(buckets).map(([name, { enabled, maxItemSize, ttl }]): [string, BucketRules] => [name, {
      enabled,
      ttl: ttl ?? own.ttl,
      // A bucket cannot store what the tier has no room for.
      maxItemSize: maxItemSize === undefined ? own.maxItemSize : Math.min(Number(maxItemSize), own.maxItemSize)
    }])
  )
  return others.size === 0 ? () => own : (bucket) => others.get(bucket) ?? own
}

/** The largest item of a bucket; 0 for one that is not cached. */
export const maxItemSizeOf = ({ enabled, maxItemSize }: BucketRules): number => enabled ? maxItemSize : 0

/** When an entry ends. */
export interface Ends {
  /** When it expires; `undefined` if it never does. */
  readonly end: Instant.Instant | undefined
  /** Until when it is kept. */
  readonly gone: Instant.Instant | undefined
}

/** How long an entry lives. */
export interface Life extends Ends {
  readonly created: Instant.Instant
}

/** The last time that a `DateTime` can have, in milliseconds since 1970. */
const lastTime = 8_640_000_000_000_000

/** A life that ends after all times is one without end. */
const isForever = (millis: number, now: Instant.Instant): boolean => millis === 0 || !(now.wall + millis <= lastTime)

const forever: Ends = { end: undefined, gone: undefined }

/** The life of an entry that begins now. */
export const lifeOf = (
  now: Instant.Instant,
  ttl: Duration.Duration,
  staleWindow: Duration.Duration | undefined
): Ends => {
  const millis = Duration.toMillis(ttl)
  if (isForever(millis, now)) return forever
  const end = Instant.after(now, millis)
  return {
    end,
    gone: staleWindow === undefined || Duration.isZero(staleWindow)
      ? end
      : Instant.after(end, Math.min(Duration.toMillis(staleWindow), lastTime - end.wall))
  }
}

/** The instant of a wall time, such as that of an entry that was stored by another process. */
export const instantOf = (wall: number, now: Instant.Instant): Instant.Instant => Instant.after(now, wall - now.wall)

/** Whether a number from the disk or from Redis is a time. */
export const isTime = (value: number): boolean => Number.isInteger(value) && Math.abs(value) <= lastTime

/** The time of a wall clock, brought into the range of times. */
export const wallTime = (wall: number): DateTime.Utc =>
  DateTime.makeUnsafe(Math.max(-lastTime, Math.min(lastTime, wall)))

/** The wall time of an instant. */
export const timeOf = ({ wall }: Instant.Instant): DateTime.Utc => wallTime(wall)

/** Whether an instant has come, on either clock: a machine that was suspended serves nothing old. */
export const hasPassed = (end: Instant.Instant | undefined, clock: Clock.Clock): boolean =>
  end !== undefined && Instant.hasCome(end, clock)
