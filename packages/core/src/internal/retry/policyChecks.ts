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

/** `attemptTimeout` is not above `deadline`. */
export const isDeadlineAboveAttempt = Schema.makeFilter(
  (o: { readonly attemptTimeout?: Duration.Duration; readonly deadline?: Duration.Duration }) =>
    o.attemptTimeout === undefined || o.deadline === undefined ||
    Duration.isLessThanOrEqualTo(o.attemptTimeout, o.deadline) ||
    { path: ["attemptTimeout"], issue: `at most deadline, which is ${Field.written(o.deadline)}` }
)
