import type { Mode } from "../../BindingOptions.ts"

/** The mode of an option that is a mode, or an object with one. */
export const modeOf = (option: Mode | { readonly mode: Mode }): Mode =>
  typeof option === "string" ? option : option.mode
