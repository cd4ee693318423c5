import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as Field from "../../unstable/Field.ts"

/** The fields about time. A `ResiliencePolicy` has them once for all its parts. */
export const timeFields = {
  attemptTimeout: Schema.optionalKey(Field.duration("1 millis", "1 hour")),
  deadline: Schema.optionalKey(Field.duration("1 millis", "24 hours")),
  detach: Field.defaulted(Schema.Boolean, false)
}

/** `maxDelay` is not below `initialDelay`. */
export const isCapAboveBase = Schema.makeFilter(
  (o: { readonly initialDelay: Duration.Duration; readonly maxDelay?: Duration.Duration }) =>
    o.maxDelay === undefined || Duration.isGreaterThanOrEqualTo(o.maxDelay, o.initialDelay) ||
    { path: ["maxDelay"], issue: `at least initialDelay, which is ${Field.written(o.initialDelay)}` }
)

interface Bounds {
  readonly initialDelay?: Duration.Duration
  readonly maxDelay?: Duration.Duration
}

/** The delays of each class, with what it takes from the policy, are in order too. */
export const isClassCapAboveBase = Schema.makeFilter(
  (o: Bounds & { readonly throttled?: Bounds; readonly timedOut?: Bounds }) => {
    for (const name of ["throttled", "timedOut"] as const) {
      const own = o[name]
      const base = own?.initialDelay ?? o.initialDelay
      const cap = own?.maxDelay ?? o.maxDelay
      if (own === undefined || base === undefined || cap === undefined || Duration.isGreaterThanOrEqualTo(cap, base)) {
        continue
      }
      return own.initialDelay === undefined
        ? { path: [name, "maxDelay"], issue: `at least initialDelay, which is ${Field.written(base)}` }
        : { path: [name, "initialDelay"], issue: `at most maxDelay, which is ${Field.written(cap)}` }
    }
    return true
  }
)

/** `attemptTimeout` is not above `deadline`. */
export const isDeadlineAboveAttempt = Schema.makeFilter(
  (o: { readonly attemptTimeout?: Duration.Duration; readonly deadline?: Duration.Duration }) =>
    o.attemptTimeout === undefined || o.deadline === undefined ||
    Duration.isLessThanOrEqualTo(o.attemptTimeout, o.deadline) ||
    { path: ["attemptTimeout"], issue: `at most deadline, which is ${Field.written(o.deadline)}` }
)
