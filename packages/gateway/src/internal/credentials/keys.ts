/** Keys that requests are signed with. */

/** Keys of one identity. They are plain text, stay in this package, and appear in no log and no error. */
export interface Keys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string | undefined
  /** When they end, in milliseconds since 1970; `undefined` if they do not. */
  readonly expiresAt: number | undefined
}
