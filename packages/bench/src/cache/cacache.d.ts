/** The part of cacache that is measured: it has no types. */
declare module "cacache" {
  export const put: (dir: string, key: string, data: Uint8Array) => Promise<unknown>
  export const get: (dir: string, key: string) => Promise<{ readonly data: Uint8Array }>
}
