import * as Predicate from "effect/Predicate"
import type * as Undici from "undici"

/** undici knows its own `FormData` only, so a form is sent as the platform encodes it. */
const encoded = async (init: RequestInit): Promise<RequestInit> => {
  if (!(init.body instanceof FormData)) return init
  const form = new Response(init.body)
  const headers = new Headers(init.headers)
  const type = form.headers.get("content-type")
  if (type !== null) headers.set("content-type", type)
  return { ...init, headers, body: await form.arrayBuffer() }
}

type Fetch = typeof globalThis.fetch

/** undici's types differ from those of the platform in details that its values do not differ in. */
const isFetch = (fetch: unknown): fetch is Fetch => Predicate.isFunction(fetch)

/**
 * A `fetch` whose requests use the connections of a dispatcher. It follows no redirect unless asked to, since the server that it
 * leads to would get the certificate.
 */
export const fetchThrough =
  ({ fetch }: { readonly fetch: unknown }, dispatcher: Undici.Dispatcher): Fetch => async (input, init = {}) => {
    const options = { redirect: "manual" as const, ...await encoded(init), dispatcher }
    if (!isFetch(fetch)) throw new TypeError("undici has no fetch")
    return fetch(input instanceof Request ? input.url : input, options)
  }
