/** What the two threads of the soak agree on. */

/** An order for tokens. */
export interface Order {
  readonly count: number
}

/** The first message has the port, every other one the tokens of an order. */
export type Answer = { readonly port: number } | { readonly tokens: ReadonlyArray<string> }

/** How many issuers there are, one for each path `/0`, `/1` and so on. */
export const issuers = 5
export const audience = "https://soak.example"
