import * as Schema from "effect/Schema"
import * as Field from "../../unstable/Field.ts"
import { type BaseUrl, parseBaseUrl } from "./baseUrl.ts"

const baseUrl = "a base URL: http or https, without user, query and fragment"

const Item = Schema.Struct({
  id: Schema.optionalKey(Field.text(1, 100)),
  url: Schema.optionalKey(
    Schema.String.check(Schema.makeFilter((url: string) => parseBaseUrl(url) !== undefined, { expected: baseUrl }))
  ),
  weight: Field.defaulted(Field.int(0, 1_000), 1)
})

/** A URL or an id as text. */
const Short = Field.text(1, 2_000).check(Schema.makeFilter(
  (text: string) => !text.includes("://") || parseBaseUrl(text) !== undefined,
  { expected: `${baseUrl}, or an id` }
))

type Given = typeof Short.Type | typeof Item.Type

/** One endpoint of the list, complete. */
export interface ListedEndpoint {
  readonly id: string
  readonly url: string | undefined
  readonly base: BaseUrl | undefined
  readonly weight: number
}

const ofText = (text: string) =>
  text.includes("://") ? { id: undefined, url: text, weight: 1 } : { id: text, url: undefined, weight: 1 }

/** The endpoint of an entry. Its id is by default the host of its URL; empty if it has neither. */
export const listed = (given: Given): ListedEndpoint => {
  const { id, url, weight } = typeof given === "string" ? ofText(given) : { id: undefined, url: undefined, ...given }
  const base = url === undefined ? undefined : parseBaseUrl(url)
  return { id: id ?? (base === undefined ? "" : new URL(base.origin).host), url, base, weight }
}

const isNamed = Schema.makeFilter((list: ReadonlyArray<Given>) => {
  const index = list.findIndex((given) => listed(given).id === "")
  return index < 0 || { path: [index], issue: "an endpoint with a url or an id" }
})

const isUnique = Schema.makeFilter((list: ReadonlyArray<Given>) => {
  const ids = list.map((given) => listed(given).id)
  const index = ids.findIndex((id, place) => ids.indexOf(id) !== place)
  return index < 0 || { path: [index], issue: "an endpoint whose id differs from those before it" }
})

const isOneScheme = Schema.makeFilter((list: ReadonlyArray<Given>) => {
  const schemes = list.map((given) => listed(given).base?.origin.split(":")[0])
  const first = schemes.find((scheme) => scheme !== undefined)
  const index = schemes.findIndex((scheme) => scheme !== undefined && scheme !== first)
  return index < 0 || { path: [index], issue: `a URL with ${first}, like the URLs before it` }
})

const isWeighty = Schema.makeFilter((list: ReadonlyArray<Given>) =>
  list.some((given) => listed(given).weight > 0) ||
  { path: [0, "weight"], issue: "above 0, since every other endpoint has the weight 0" }
)

/** The endpoints of one name. A call with credentials must not go from https to http: all URLs have one scheme. */
export const EndpointList = Schema.Array(Schema.Union([Short, Item])).check(
  Schema.isMinLength(1, { expected: "1 to 100 endpoints" }),
  Schema.isMaxLength(100, { expected: "1 to 100 endpoints" }),
  isNamed,
  isUnique,
  isOneScheme,
  isWeighty
)
