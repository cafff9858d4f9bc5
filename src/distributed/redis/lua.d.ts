/** A `.lua` file is bundled as its text. */
declare module '*.lua' {
  const text: string
  export default text
}
