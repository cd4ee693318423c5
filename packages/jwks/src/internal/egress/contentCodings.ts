/**
 * A limit of content codings for the `fetch` of Node with undici before 8. That rejects a response with more than five,
 * but leaves its body without a listener for errors, so that a connection that then breaks ends the process.
 */
import * as Predicate from "effect/Predicate"

/** What Node's `fetch` hears of a response; headers are names and values in turn. */
interface Handler {
  onHeaders: (status: number, headers: ReadonlyArray<unknown>, ...rest: ReadonlyArray<unknown>) => unknown
}

interface Dispatcher {
  readonly dispatch: (options: unknown, handler: Handler) => boolean
}

/** As many as `fetch` decodes. */
const maxCodings = 5

/** Several headers of the name, and lists in each, are one list (RFC 9110, 5.2). */
const countCodings = (headers: ReadonlyArray<unknown>): number =>
  headers.reduce<number>(
    (count, value, i) =>
      i % 2 === 1 && String(headers[i - 1]).toLowerCase() === "content-encoding"
        ? count + String(value).split(",").length
        : count,
    0
  )

/** What a handler throws closes the connection, and is what `fetch` rejects with: here before there is a body. */
const limited = (handler: Handler): Handler => {
  const inner: Handler = Object.create(handler)
  inner.onHeaders = (status, headers, ...rest) => {
    if (countCodings(headers) > maxCodings) throw new Error(`more than ${maxCodings} content codings`)
    return Reflect.apply(handler.onHeaders, inner, [status, headers, ...rest])
  }
  return inner
}

const isDispatcher = (value: unknown): value is Dispatcher =>
  Predicate.hasProperty(value, "dispatch") && Predicate.isFunction(value.dispatch)

/** Whether the platform is Node with an undici that has the fault. */
const isFaulty = (runtime: unknown): boolean =>
  Predicate.hasProperty(runtime, "versions") && Predicate.hasProperty(runtime.versions, "undici") &&
  Number.parseInt(String(runtime.versions.undici), 10) < 8

/** What to add to a request; nothing on other platforms. The dispatcher is that which `fetch` would take itself. */
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
