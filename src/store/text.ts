/** A value as an error quotes it: the voice of all. */
export { text } from '../core/check.ts'
