/** The last second of the year 9999: a later date is a mistake, or in milliseconds. */
export const maxNumericDate = 253_402_300_799
