/**
 * Limits the content codings of a response, for the `fetch` of Node with undici before 8. That `fetch` rejects a response
 * with more than five codings but leaves its body without an error listener, so a connection that then breaks ends the
 * process.
 */
import * as Predicate from "effect/Predicate"

/** The response handler of Node's `fetch`. `headers` alternates names and values. */
interface Handler {
  onHeaders: (status: number, headers: ReadonlyArray<unknown>, ...rest: ReadonlyArray<unknown>) => unknown
}

interface Dispatcher {
  readonly dispatch: (options: unknown, handler: Handler) => boolean
}

/** The number of codings that `fetch` decodes. */
const maxCodings = 5

/** Counts the codings. Repeated headers, each with a list, form one list (RFC 9110, 5.2). */
const countCodings = (headers: ReadonlyArray<unknown>): number =>
  headers.reduce<number>(
    (count, value, i) =>
      i % 2 === 1 && String(headers[i - 1]).toLowerCase() === "content-encoding"
        ? count + String(value).split(",").length
        : count,
    0
  )

/** Throws for too many codings, before there is a body. The error closes the connection, and `fetch` rejects with it. */
const limited = (handler: Handler): Handler => {
  const inner: Handler = Object.create(handler)
  inner.onHeaders = (status, headers, ...rest) => {
    if (countCodings(headers) > maxCodings) throw new Error(`The response has more than ${maxCodings} content codings`)
    return Reflect.apply(handler.onHeaders, inner, [status, headers, ...rest])
  }
  return inner
}

const isDispatcher = (value: unknown): value is Dispatcher =>
  Predicate.hasProperty(value, "dispatch") && Predicate.isFunction(value.dispatch)

/** Whether the platform is Node with an undici before 8. */
const isFaulty = (runtime: unknown): boolean =>
  Predicate.hasProperty(runtime, "versions") && Predicate.hasProperty(runtime.versions, "undici") &&
  Number.parseInt(String(runtime.versions.undici), 10) < 8

/** Options to add to a request; none on other platforms. Wraps the dispatcher that `fetch` uses by default. */
export const limitedContentCodings = (): object => {
  if (!isFaulty(Reflect.get(globalThis, "process"))) return {}
  const dispatcher: unknown = Reflect.get(globalThis, Symbol.for("undici.globalDispatcher.1"))
  if (!isDispatcher(dispatcher)) return {}
  return {
    dispatcher: {
      dispatch: (options: unknown, handler: Handler) => dispatcher.dispatch(options, limited(handler))
    } satisfies Dispatcher
  }
}
